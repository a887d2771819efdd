"""A Dask cluster that a class starts, for example on Kubernetes, SLURM or in a cloud."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from distributed import Client

from emdist.engines.clusters.address import ready
from emdist.engines.dask.quiet import closing_quietly
from emdist.engines.dask.tls import Tls
from emdist.errors import ConfigError, SchedulerError
from emdist.inputs.quoting import shown

#: The classes that a configuration may name: pattern, and the package to install for it.
KNOWN: Mapping[str, str] = {
    r"(dask\.)?distributed\.(LocalCluster|SSHCluster)": "distributed",
    r"dask_kubernetes(\.operator)?\.KubeCluster": "dask-kubernetes",
    r"dask_jobqueue\.\w+Cluster": "dask-jobqueue",
    r"dask_gateway\.GatewayCluster": "dask-gateway",
    r"dask_cloudprovider(\.\w+)+Cluster": "dask-cloudprovider[all]",
    r"coiled\.Cluster": "coiled",
}

#: The environment variable by which the person who starts a run permits its configuration to
#: contain code. A file cannot grant that to itself.
TRUST = "EMDIST_TRUST_CONFIG"

#: Settings of the known classes whose values are code, because they are imported or run by a shell.
_CODE = re.compile(
    r"(preload\w*|\w*_?(class|plugins|extensions|prologue|epilogue|shebang|bootstrap)|python|"
    r"remote_python|\w*_python|env|env_\w+|environ\w*|\w*(command|script|entrypoint|initcommand)\w*|"
    r"(docker|worker|scheduler|job)_(args|extra\w*|exec\w*)|extra|nanny|connect_options|"
    r"serializers|deserializers|custom_\w+)",
    re.IGNORECASE,
)

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
        if _package(self.cluster_class) is None and not (self.allow_any and _trusted()):
            raise ConfigError(
                f"cluster_class {shown(self.cluster_class)} is not one of the allowed classes: "
                "dask.distributed.LocalCluster, dask.distributed.SSHCluster, "
                "dask_kubernetes.operator.KubeCluster, dask_jobqueue.*Cluster, "
                "dask_gateway.GatewayCluster, dask_cloudprovider.*Cluster, coiled.Cluster. If "
                "you trust this configuration as you trust code, set allow_any: true in it and "
                f"{TRUST}=1 in the environment."
            )
        if (found := _code_in([self.cluster_kwargs, self.client_kwargs])) and not _trusted():
            raise ConfigError(
                f"the settings of the cluster contain {', '.join(found)}, which can run code. If "
                f"you trust this configuration as you trust code, set {TRUST}=1 in the environment."
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
        secured = {} if self.tls is None else {"security": self.tls.security()}
        with closing_quietly() as stack:
            try:
                cluster = stack.enter_context(make(**{**self.cluster_kwargs, **secured}))
                if self.adapt_kwargs is not None:
                    cluster.adapt(**self._patient(self.adapt_kwargs))
                elif self.scale is not None:
                    cluster.scale(self.scale)
                client = stack.enter_context(Client(cluster, **{**self.client_kwargs, **secured}))
            except TypeError as error:
                raise ConfigError(
                    f"{self.cluster_class} does not accept its settings: {error}"
                ) from error
            except Exception as error:  # queues, clouds and Kubernetes have errors of their own
                raise SchedulerError(
                    f"{self.cluster_class} did not start: {type(error).__name__}: {error}. Check "
                    "cluster_kwargs, your credentials and your quota."
                ) from error
            ready(client, self.wait_for_workers, self.timeout)
            yield client

    def _patient(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings for ``adapt``, with `PATIENT` as default where it is accepted."""
        # Dask Gateway adapts on its server, and its `adapt` does not accept `wait_count`.
        if self.cluster_class.startswith("dask_gateway."):
            return dict(settings)
        return {"wait_count": PATIENT, **settings}


cluster = ByClass


def _package(path: str) -> str | None:
    """Return the package to install for the class at `path`, or None if the class is not known."""
    found = (package for pattern, package in KNOWN.items() if re.fullmatch(pattern, path))
    return next(found, None)


def _trusted() -> bool:
    return os.environ.get(TRUST) == "1"


def _code_in(settings: Any) -> list[str]:
    """Return the keys in `settings`, at any depth, whose values are code."""
    found: list[str] = []
    waiting = [settings]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            found += [str(key) for key in value if _CODE.fullmatch(str(key))]
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return sorted(set(found))


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
        package = _package(path) or module.partition(".")[0]
        raise ConfigError(
            f"cluster_class {path!r} cannot be imported ({error}); run `pip install '{package}'` "
            "here and on the workers."
        ) from error
    except AttributeError as error:
        raise ConfigError(
            f"cluster_class {path!r} does not exist: the module {module} has no {name}."
        ) from error
    return make
