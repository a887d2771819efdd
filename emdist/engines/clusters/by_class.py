"""A Dask cluster that a class starts, for example on Kubernetes, SLURM or in a cloud."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Client
from distributed.deploy import SpecCluster

from emdist.engines.clusters.address import ready
from emdist.engines.clusters.permitted import TRUST, ClusterClass, code_in, known, trusted
from emdist.engines.clusters.workers import jobs, overheard, reason, request, watched
from emdist.engines.dask.departing import end_with
from emdist.engines.dask.quiet import closing_quietly
from emdist.engines.dask.tls import Tls
from emdist.errors import ConfigError, EmdistError, SchedulerError
from emdist.inputs.quoting import shown
from emdist.wording import either

#: How classes refuse an argument that they do not know, if not by TypeError.
_UNEXPECTED = re.compile(r"unexpected keyword argument|Unknown fields")

#: How often an adaptive cluster must find a worker idle before it stops the worker. Dask's default
#: of 3 would stop workers, and lose their caches, during every M-step.
PATIENT = 60


@dataclass(frozen=True)
class ByClass:
    """Starts a cluster by calling a class, and closes it with the client.

    Parameters
    ----------
    cluster_class
        The dotted path of the class, such as "dask_jobqueue.SLURMCluster".
    cluster_kwargs
        Arguments for the class.
    client_kwargs
        Arguments for `distributed.Client`.
    scale
        The number of workers to request. None leaves it to `cluster_kwargs`.
    adapt_kwargs
        Arguments for ``cluster.adapt``. None keeps the cluster at a fixed size, which is more
        stable.
    wait_for_workers
        The number of workers to wait for, 0 for none.
    timeout
        Seconds to wait for the workers. A queue or a cloud takes minutes.
    allow_any
        Whether classes that emdist does not know are permitted. emdist imports and calls the
        class, which can run any code. Therefore the configuration file alone cannot permit it: the
        user who starts the run must also set the environment variable EMDIST_TRUST_CONFIG to 1.
    tls
        Certificates, given to the class and to the client as ``security``. None if the class has
        its own way (Kubernetes, Gateway, Coiled) or if the network is trusted.
    """

    cluster_class: str
    cluster_kwargs: Mapping[str, Any] = field(default_factory=dict)
    adapt_kwargs: Mapping[str, Any] | None = None
    scale: int | None = None
    client_kwargs: Mapping[str, Any] = field(default_factory=dict)
    wait_for_workers: int = 1
    timeout: float = 600.0
    allow_any: bool = False
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if known(self.cluster_class) is None and not (self.allow_any and trusted()):
            raise ConfigError(
                f"cluster_class {shown(self.cluster_class)} is not one of the allowed classes: "
                "dask.distributed.LocalCluster, dask.distributed.SSHCluster, "
                "dask_kubernetes.operator.KubeCluster, dask_jobqueue.*Cluster, "
                "dask_gateway.GatewayCluster, dask_cloudprovider.*Cluster, coiled.Cluster. If "
                "you trust this configuration as you trust code, set allow_any: true in it and "
                f"{TRUST}=1 in the environment."
            )
        given = [self.cluster_kwargs, self.client_kwargs]
        if (found := code_in(self.cluster_class, given)) and not trusted():
            raise ConfigError(
                f"the settings of the cluster contain {', '.join(map(shown, found))}, which can "
                "run code. If you trust this configuration as you trust code, set "
                f"{TRUST}=1 in the environment, or put these settings into Dask's own "
                "configuration files."
            )
        if self.scale is not None and self.adapt_kwargs is not None:
            raise ConfigError("scale and adapt_kwargs cannot be used together; leave one out.")

    @contextmanager
    def open(self) -> Iterator[Client]:
        """Yield a client of a new cluster. Both are closed on exit.

        Raises
        ------
        ConfigError
            If the class cannot be imported, or does not accept these arguments.
        SchedulerError
            If the cluster did not start.
        """
        make = _load(self.cluster_class)
        with closing_quietly() as stack:
            secured = self._secured(stack)
            try:
                with overheard() as lines:
                    cluster = stack.enter_context(make(**{**self.cluster_kwargs, **secured}))
                client = stack.enter_context(Client(cluster, **{**self.client_kwargs, **secured}))
            except Exception as error:  # queues, clouds and Kubernetes have errors of their own
                raise self._failed("did not start", error, lines) from error
            end_with(client)
            self._request(cluster)
            ready(client, self.wait_for_workers, self.timeout, lambda: jobs(cluster))
            with watched(client, cluster, self._size(cluster)):
                yield client

    def _secured(self, stack: ExitStack) -> dict[str, Any]:
        """Return the arguments that set up TLS, or make Dask's configuration do it until the end.

        `SSHCluster` starts its processes with Dask's configuration, and ignores ``security``.
        """
        if self.tls is None:
            return {}
        if not self.cluster_class.endswith(".SSHCluster"):
            return {"security": self.tls.security()}
        self.tls.security()  # Check the files.
        stack.enter_context(dask.config.set(self.tls.configuration()))
        return {}

    def _request(self, cluster: Any) -> None:
        """Request the workers, and raise SchedulerError if one of them cannot be started."""
        size = self._size(cluster)
        if self.wait_for_workers and _requests_none(cluster, size, self.adapt_kwargs):
            raise ConfigError(
                f"{self.cluster_class} starts no workers with these settings. "
                + (
                    "The first of its hosts runs the scheduler only: name it twice to run a worker "
                    "there too."
                    if self.cluster_class.endswith(".SSHCluster")
                    else f"Set {either('scale', 'cluster.scale')} to their number."
                )
            )
        try:
            with overheard() as lines:
                if self.adapt_kwargs is not None:
                    # The first block would request one. Errors in `adapt` are only logged.
                    request(cluster, max(1, int(self.adapt_kwargs.get("minimum") or 0)))
                    cluster.adapt(**self._patient(self.adapt_kwargs))
                elif size is not None:
                    request(cluster, size)
        except FileNotFoundError as error:
            raise SchedulerError(
                f"{self.cluster_class} cannot start workers: this machine has no command "
                f"{shown(str(error.filename or error))}. Start emdist where jobs can be submitted, "
                "such as on a login node."
            ) from error
        except Exception as error:  # queues, clouds and Kubernetes have errors of their own
            raise self._failed("cannot start workers", error, lines) from error

    def _failed(self, what: str, error: Exception, lines: Sequence[str]) -> EmdistError:
        """Return the error to raise for one of the class. `lines`: what its processes wrote."""
        why = reason(error, lines)
        if isinstance(error, TypeError) or _UNEXPECTED.search(why):
            return ConfigError(
                f"{self.cluster_class} does not accept its settings: {why}. Check "
                f"{either('cluster_kwargs', 'cluster.cluster_kwargs')}."
            )
        found = known(self.cluster_class)
        check = ClusterClass("").check if found is None else found.check
        return SchedulerError(f"{self.cluster_class} {what}: {why}. {check}")

    def _size(self, cluster: Any) -> int | None:
        """Return the number of workers to keep, or None if only the class knows it."""
        if self.adapt_kwargs is not None:
            return None
        given = len(cluster.worker_spec) if isinstance(cluster, SpecCluster) else 0
        return self.scale if self.scale is not None else given or None

    def _patient(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings for ``adapt``, with `PATIENT` as default where it is accepted."""
        # Dask Gateway adapts on its server, and its `adapt` does not accept `wait_count`.
        if self.cluster_class.startswith("dask_gateway."):
            return dict(settings)
        return {"wait_count": PATIENT, **settings}


cluster = ByClass


def _requests_none(cluster: Any, size: int | None, adapt: Mapping[str, Any] | None) -> bool:
    """Return whether the class is known to start no worker unless its size is given."""
    sized = isinstance(cluster, SpecCluster) or type(cluster).__name__ == "GatewayCluster"
    return sized and adapt is None and not size


def _load(path: str) -> Callable[..., Any]:
    """Import and return the class at the dotted `path`."""
    module, _, name = path.rpartition(".")
    if not module:
        raise ConfigError(
            f"cluster_class {path!r} is not a dotted path, expected one such as package.Class."
        )
    try:
        make: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ImportError as error:
        found = known(path)
        package = module.partition(".")[0] if found is None else found.package
        raise ConfigError(
            f"cluster_class {path!r} cannot be imported ({error}); run `pip install '{package}'` "
            "here and on the workers."
        ) from error
    except AttributeError as error:
        raise ConfigError(
            f"cluster_class {path!r} does not exist: the module {module} has no {name}."
        ) from error
    return make
