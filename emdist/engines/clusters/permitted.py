"""Which classes of clusters a configuration may name, and which of their settings are code."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple


class ClusterClass(NamedTuple):
    """A class that a configuration may name: the package to install, and what to check."""

    package: str
    check: str = "Check cluster_kwargs, your credentials and your quota."
    #: Whether a shell reads its settings, on another machine or in a job.
    shell: bool = False


#: The classes that a configuration may name, by a pattern of their path.
KNOWN: Mapping[str, ClusterClass] = {
    r"(dask\.)?distributed\.LocalCluster": ClusterClass("distributed", "Check cluster_kwargs."),
    r"(dask\.)?distributed\.SSHCluster": ClusterClass(
        "asyncssh",
        "Check that `ssh` reaches every host from here without a question (known_hosts, key, user "
        "and port as in ~/.ssh/config), and that every host has this Python environment at the "
        "same path.",
        shell=True,
    ),
    r"dask_kubernetes(\.operator)?\.KubeCluster": ClusterClass("dask-kubernetes"),
    r"dask_jobqueue\.\w+Cluster": ClusterClass(
        "dask-jobqueue",
        "Check cluster_kwargs and what you may use of this system (partition or queue, account, "
        "limits).",
        shell=True,
    ),
    r"dask_gateway\.GatewayCluster": ClusterClass(
        "dask-gateway",
        "Check cluster_kwargs.address, and the settings gateway.auth and gateway.address in "
        "Dask's own configuration.",
    ),
    r"dask_cloudprovider(\.\w+)+Cluster": ClusterClass("dask-cloudprovider[all]", shell=True),
    r"coiled\.Cluster": ClusterClass("coiled"),
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

#: Characters that make a shell run or read something else. Classes insert settings into scripts as
#: they are, so a line break in the name of a queue begins a new command.
_SHELL = re.compile(r"[\x00-\x1f'\"`$;&|<>()\\]")


def known(path: str) -> ClusterClass | None:
    """Return what is known of the class at `path`, or None if it is not one of `KNOWN`."""
    found = (one for pattern, one in KNOWN.items() if re.fullmatch(pattern, path))
    return next(found, None)


def trusted() -> bool:
    """Return whether the user permits code in the configuration."""
    return os.environ.get(TRUST) == "1"


def code_in(path: str, settings: Any) -> list[str]:
    """Return the keys in `settings` of the class at `path`, at any depth, whose values are code."""
    found: set[str] = set()
    shell = (known(path) or ClusterClass("")).shell
    waiting: list[tuple[str, Any]] = [("", settings)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, Mapping):
            found |= {str(name) for name in value if _CODE.fullmatch(str(name))}
            waiting += [(str(name), inner) for name, inner in value.items()]
            waiting += [(str(name), str(name)) for name in value]
        elif isinstance(value, list | tuple):
            waiting += [(key, inner) for inner in value]
        elif shell and isinstance(value, str) and _SHELL.search(value):
            found.add(key)
    return sorted(found)
