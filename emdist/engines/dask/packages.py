"""Whether every worker has the packages that the work needs, and the same code as here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distributed import Client
from distributed.versions import get_versions

from emdist.engines.dask.faults import address_of, answering, ask, lost
from emdist.errors import WorkerPackageError
from emdist.runtime.arithmetic import arithmetic, differing

logger = logging.getLogger(__name__)

#: Workers unpickle and run with these.
NEEDED = ("emdist", "numpy", "numba", "zarr", "numcodecs", "dask", "distributed", "threadpoolctl")

#: Another version of these may give other bits, or fail in the middle of a run.
SAME = ("python", "numpy", "numba", "zarr", "numcodecs", "dask", "distributed", "emdist")

#: Seconds in which workers must have imported everything: a cold network disk is slow.
IMPORT_TIME = 120.0


def check_workers(client: Client) -> None:
    """Refuse a cluster whose workers lack a package, or have another version than the driver.

    Knows the workers of now; those that join later are found out by their first task.

    Raises
    ------
    WorkerPackageError
        Names the worker, the package, the version there and here, and the remedy.
    SchedulerError
        The scheduler or a worker does not answer.
    """
    # They would be waited for without end: Dask's own calls have no time limit.
    asked, silent = answering(client)
    if silent:
        logger.warning("not asking %s, which do not answer", ", ".join(silent))
    versions = _versions(client, asked)
    here = versions["client"]["packages"]
    for place, told in _machines(client, versions):
        for package in SAME:
            _compare(place, package, told["packages"].get(package), here.get(package))
    local = _probe()(NEEDED)
    computes: dict[str, Mapping[str, str]] = {}
    for worker, told in sorted(_run(client, asked, _probe(), NEEDED).items()):
        place = f"the worker at {worker}"
        if isinstance(told, BaseException):
            raise _error(place, f"could not be examined: {type(told).__name__}: {told}")
        for package, failure in told["failures"].items():
            raise _error(place, f"cannot import {package}, which the work needs: {failure}")
        if told["code"] != local["code"]:
            raise _error(
                place,
                f"has other emdist code ({told['code']}) than this process ({local['code']})",
            )
        computes[worker] = told["arithmetic"]
    if (doubt := mixed(local["arithmetic"], computes)) is not None:
        logger.warning(doubt)


def mixed(here: Mapping[str, str], workers: Mapping[str, Mapping[str, str]]) -> str | None:
    """What to tell of a cluster whose machines do not compute alike; None if all do.

    Parameters
    ----------
    here
        `emdist.runtime.arithmetic.arithmetic` of the driver.
    workers
        The same of each worker by its address.
    """
    first = min(workers, default="")
    kinds = {tuple(sorted(one.items())) for one in workers.values()}
    for address, found in sorted(workers.items()):
        if len(kinds) > 1 and (lines := differing(workers[first], found)):
            return (
                f"The workers do not compute alike: {address} has {'; '.join(lines)} ({first}). "
                "Results are right, but their last bits depend on which worker does which block: a "
                "second run may give others. For the same bits use workers of one kind of CPU, or "
                "set NUMBA_CPU_NAME and OPENBLAS_CORETYPE to what all of them have."
            )
        if len(kinds) == 1 and (lines := differing(here, found)):
            return (
                f"The workers do not compute as this process does: they have {'; '.join(lines)}. "
                "Results are right and the same on such workers each time; their last bits may "
                "differ from those of a fit on the threads of this machine."
            )
    return None


def told_by(client: Client) -> str | None:
    """As `mixed`, of the workers that `client` has now and that answer."""
    told = _run(client, answering(client)[0], arithmetic)
    found = {w: one for w, one in told.items() if not isinstance(one, BaseException)}
    return mixed(arithmetic(), found)


def _versions(client: Client, workers: Sequence[str]) -> dict[str, Any]:
    """As `Client.get_versions`, of some workers and with a time limit."""
    packages = list(NEEDED)
    message = {"op": "versions", "packages": packages}
    return {
        "client": get_versions(packages=packages),
        "scheduler": ask(client, "versions", packages=packages),
        "workers": ask(client, "broadcast", msg=message, workers=workers, on_error="ignore"),
    }


def _machines(client: Client, versions: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    # The scheduler too: it unpickles the graphs.
    machines = [(f"the scheduler at {address_of(client)}", versions["scheduler"])]
    machines += [(f"the worker at {w}", told) for w, told in sorted(versions["workers"].items())]
    return [(place, told) for place, told in machines if told]


def _compare(place: str, package: str, there: str | None, here: str | None) -> None:
    if there == here:
        return
    if package == "emdist" and not (_is_release(there) and _is_release(here)):
        return  # metadata of a clone are of an earlier commit: its code is compared instead
    if there is None:
        raise _error(place, f"has no {package}; here it is {here}")
    raise _error(place, f"has {package} {there}; here it is {here or 'not installed'}")


def _is_release(version: str | None) -> bool:
    return version is not None and "dev" not in version and "+" not in version


def _error(place: str, finding: str) -> WorkerPackageError:
    return WorkerPackageError(
        f"{place} {finding}. Give scheduler, workers and this process the same environment: one "
        "image, one lock file, or `pip install emdist==<version>` in each, and restart them."
    )


def _run(
    client: Client, workers: Sequence[str], function: Callable[..., Any], *arguments: Any
) -> dict[str, Any]:
    """What `function` returns or raises in each worker."""
    # `_run` and not `run`: the public one has no time limit, and a worker may hang.
    try:
        told: dict[str, Any] = client.sync(
            client._run, function, *arguments, workers=workers, on_error="return",
            callback_timeout=IMPORT_TIME,
        )  # fmt: skip
    except (OSError, TimeoutError, RuntimeError) as error:
        raise lost(client, f"a worker did not answer: {type(error).__name__} {error}") from error
    return told


def _probe() -> Callable[[tuple[str, ...]], dict[str, Any]]:
    """A function that says what a process can import, and a digest of its emdist.

    A closure, because those are pickled by value: it must also run where emdist is missing.
    For the same reason it imports what it needs itself. Versions in metadata do not tell
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
