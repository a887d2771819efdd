"""Package check: every worker must have the needed packages and the same code as the driver."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distributed import Client
from distributed.versions import get_versions

from emdist.engines.dask.faults import address_of, answering, ask, lost
from emdist.errors import WorkerPackageError
from emdist.runtime.arithmetic import arithmetic, differing
from emdist.runtime.extras import same

logger = logging.getLogger(__name__)

#: The packages with which workers unpickle and run tasks.
NEEDED = ("emdist", "numpy", "numba", "zarr", "numcodecs", "dask", "distributed", "threadpoolctl")

#: The packages of which another version may change the last bits, or fail in the middle of a run.
SAME = ("python", "numpy", "numba", "zarr", "numcodecs", "dask", "distributed", "emdist")

#: Seconds within which workers must have imported everything: a cold network disk is slow.
IMPORT_TIME = 120.0


def check_workers(client: Client) -> None:
    """Refuse a cluster whose workers lack a package, or have another version than the driver.

    This checks the present workers. Workers that join later are found by their first task.

    Raises
    ------
    WorkerPackageError
        The message names the worker, the package, the version there and here, and the remedy.
    SchedulerError
        If the scheduler or a worker does not answer.
    """
    # Silent workers would be waited for without end, because Dask's own calls have no time limit.
    asked, silent = answering(client)
    if silent:
        logger.warning("not checking the packages of %s, which do not answer", ", ".join(silent))
    versions = _versions(client, asked)
    here = versions["client"]["packages"]
    for place, told in _machines(client, versions):
        for package in SAME:
            _compare(place, package, told["packages"].get(package), here.get(package))
    local = _probe()(NEEDED)
    computes: dict[str, Mapping[str, str]] = {}
    for worker, told in sorted(on_workers(client, asked, _probe(), NEEDED).items()):
        place = f"the worker at {worker}"
        if isinstance(told, BaseException):
            raise _error(place, f"could not be checked: {type(told).__name__}: {told}")
        for package, failure in told["failures"].items():
            finding = f"cannot import {package}, which emdist needs: {failure}"
            raise _error(place, finding, package, here.get(package))
        if told["code"] != local["code"]:
            finding = (
                f"has different emdist code ({told['code']}) from this process ({local['code']})"
            )
            raise _error(place, finding, "emdist", here.get("emdist"))
        computes[worker] = told["arithmetic"]
    if (doubt := mixed(local["arithmetic"], computes)) is not None:
        logger.warning(doubt)


def mixed(here: Mapping[str, str], workers: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return a warning if the machines of a cluster do not compute alike, or None if they do.

    Parameters
    ----------
    here
        `emdist.runtime.arithmetic.arithmetic` of the driver.
    workers
        The same for each worker, by its address.
    """
    first = min(workers, default="")
    kinds = {tuple(sorted(one.items())) for one in workers.values()}
    for address, found in sorted(workers.items()):
        if len(kinds) > 1 and (lines := differing(workers[first], found)):
            return (
                "The workers do not give bit-identical results: "
                f"{address} has {'; '.join(lines)} ({first}). Results are right, but their last "
                "binary digits depend on which worker processes which block, so a second run may "
                "differ in these. For bit-identical results, use workers with one kind of CPU, or "
                "set NUMBA_CPU_NAME and OPENBLAS_CORETYPE to a kind that all of them support."
            )
        if len(kinds) == 1 and (lines := differing(here, found)):
            return (
                "The workers and this process do not give bit-identical results: the workers have "
                f"{'; '.join(lines)}. Results are right, and repeated runs on such workers agree, "
                "but their last binary digits may differ from those of a fit on the threads of "
                "this machine."
            )
    return None


def told_by(client: Client) -> str | None:
    """Return what `mixed` says about the present workers of `client` that answer."""
    told = on_workers(client, answering(client)[0], arithmetic)
    found = {w: one for w, one in told.items() if not isinstance(one, BaseException)}
    return mixed(arithmetic(), found)


def _versions(client: Client, workers: Sequence[str]) -> dict[str, Any]:
    """Return the same as `Client.get_versions`, for some workers and with a time limit."""
    packages = list(NEEDED)
    message = {"op": "versions", "packages": packages}
    return {
        "client": get_versions(packages=packages),
        "scheduler": ask(client, "versions", packages=packages),
        "workers": ask(client, "broadcast", msg=message, workers=workers, on_error="ignore"),
    }


def _machines(client: Client, versions: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    # Include the scheduler, because it unpickles the graphs.
    machines = [(f"the scheduler at {address_of(client)}", versions["scheduler"])]
    machines += [(f"the worker at {w}", told) for w, told in sorted(versions["workers"].items())]
    return [(place, told) for place, told in machines if told]


def _compare(place: str, package: str, there: str | None, here: str | None) -> None:
    """Raise WorkerPackageError if a package has another version `there` than `here`."""
    if there == here:
        return
    if package == "emdist" and not (_is_release(there) and _is_release(here)):
        return  # The metadata of a clone are of an earlier commit, so the code is compared instead.
    if there is None:
        finding = f"does not have the package {package}, which is {here} here"
    else:
        finding = f"has {package} {there}, but here it is {here or 'not installed'}"
    raise _error(place, finding, package, here)


def _is_release(version: str | None) -> bool:
    return version is not None and "dev" not in version and "+" not in version


def _error(
    place: str, finding: str, package: str | None = None, version: str | None = None
) -> WorkerPackageError:
    """Return an error whose remedy gets `version` of `package` in the way emdist was installed."""
    remedy = f", or {same(package, version)}" if package and version else ""
    return WorkerPackageError(
        f"{place} {finding}. Use the same environment for the scheduler, the workers and this "
        f"process, such as one image or one lock file{remedy}. Then restart them."
    )


def on_workers(
    client: Client, workers: Sequence[str], function: Callable[..., Any], *arguments: Any
) -> dict[str, Any]:
    """Return what `function` returns or raises in each worker."""
    # `_run` and not `run`, because the public method has no time limit, and a worker may hang.
    try:
        told: dict[str, Any] = client.sync(
            client._run, function, *arguments, workers=workers, on_error="return",
            callback_timeout=IMPORT_TIME,
        )  # fmt: skip
    except (OSError, TimeoutError, RuntimeError) as error:
        raise lost(client, f"a worker did not answer: {type(error).__name__} {error}") from error
    return told


def _probe() -> Callable[[tuple[str, ...]], dict[str, Any]]:
    """Return a function that says what a process can import, with a digest of its emdist.

    It is a closure, because closures are pickled by value: it must run even where emdist is
    missing. For the same reason it imports what it needs itself. Versions in metadata do not say
    whether a package can be imported, and a checkout has no metadata.
    """

    def probe(packages: tuple[str, ...]) -> dict[str, Any]:
        import hashlib
        import importlib
        import pathlib

        failures = {}
        for name in packages:
            try:
                importlib.import_module(name)
            except Exception as error:  # noqa: BLE001  an import may raise anything
                failures[name] = f"{type(error).__name__}: {error}"
        digest = hashlib.sha256()
        if "emdist" not in failures:
            package = importlib.import_module("emdist")
            root = pathlib.Path(next(iter(package.__path__)))
            for path in sorted(root.rglob("*.py")):
                digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
        found = {}
        if not failures:
            found = importlib.import_module("emdist.runtime.arithmetic").arithmetic()
        return {"failures": failures, "code": digest.hexdigest()[:12], "arithmetic": found}

    return probe
