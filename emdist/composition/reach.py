"""Reach: checks that every worker of a cluster can open the stores that a user opened here."""

from __future__ import annotations

import pickle
from typing import Any

from emdist.errors import ConfigError, EngineError
from emdist.inputs.quoting import listed
from emdist.interfaces import Engine
from emdist.store.sources.references import ArrayRef, cannot_open

#: The line that works, by what keeps a store in its process.
_WRITE = (
    'Write it where workers can read it, as zarr.from_array("x.zarr", data=X) with a path that '
    "they share, and pass that path; or leave engine out, to use the threads of this process"
)
_COMMIT = (
    'Commit it, then pass X opened in repo.readonly_session("main").store: '
    'zarr.open_array(store, path="{path}", mode="r")'
)


def check_reach(engine: Engine, *refs: Any) -> None:
    """Check that the workers of `engine` can open those of `refs` that a user opened.

    Each worker opens each array once, so that data which only this process has are refused before
    the fit. Threads of this process need no check.

    Parameters
    ----------
    engine
        The engine that will read the arrays.
    refs
        References of arrays. Anything else is ignored, such as weights in memory.

    Raises
    ------
    ConfigError
        If the data of a store are in the memory of this process, and workers are other processes.
    EngineError
        If a worker cannot open the array, or finds another one.
    """
    client = getattr(engine, "client", None)
    own = [ref for ref in refs if isinstance(ref, ArrayRef) and ref.opened is not None]
    if client is None or not own:
        return
    from emdist.engines.dask.faults import answering
    from emdist.engines.dask.packages import on_workers

    workers = answering(client)[0]
    for ref in own:
        # As bytes, because what fails to unpickle on a worker would not come back as an answer.
        told = on_workers(client, workers, cannot_open, pickle.dumps(ref))
        failed = {worker: str(why) for worker, why in sorted(told.items()) if why}
        if not failed:
            continue
        assert ref.opened is not None
        if why := ref.opened.bound:
            remedy = _COMMIT if "Icechunk" in why else _WRITE
            raise ConfigError(
                f"X is {ref}, which workers in other processes cannot read: {why}. "
                f"{remedy.format(path=ref.path)}."
            )
        why = next(iter(failed.values()))
        raise EngineError(
            f"{len(failed)} of {len(told)} workers cannot read {ref} ({listed([*failed], 2)}): "
            f"{why.rstrip('.')}. Workers need the packages, the network and the folders of this "
            f"process. {_WRITE}."
        )
