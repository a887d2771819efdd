"""Persisted Dask arrays: chunks stay on the workers that hold them, and tasks run there.

A block's task depends on the futures of its chunks, as Dask's own tasks do. So the scheduler
computes a lost chunk again, and sends chunks to another worker if necessary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from dask.optimization import cull
from dask.task_spec import DataNode
from distributed import Client, Future
from numpy.typing import NDArray

from emdist.engines.dask.faults import ask
from emdist.engines.dask.placement import Places
from emdist.errors import ConfigError
from emdist.runtime.contexts import set_to

if TYPE_CHECKING:
    # Not imported at run time: every worker imports this module, and dask.array loads pandas and
    # xarray, which take 100 MB.
    from dask.array import Array as DaskArray

#: The key of a chunk on the scheduler.
Key: TypeAlias = Any

#: The chunks that were given to the current task, by their keys.
_SUPPLIED: ContextVar[Mapping[Key, Any]] = ContextVar("supplied", default={})  # noqa: B039


@dataclass(frozen=True)
class Lying:
    """Represents, in a graph, a chunk that a worker holds.

    Attributes
    ----------
    key
        The key of the chunk on the scheduler.
    """

    key: Key


def detached(array: DaskArray) -> tuple[DaskArray, dict[Key, Future]]:
    """Return `array` with `Lying` in place of futures, and the futures by their keys."""
    futures: dict[Key, Future] = {}
    graph: dict[Any, Any] = {}
    for key, node in dict(array.__dask_graph__()).items():
        value = getattr(node, "value", node)
        if isinstance(value, Future):
            futures[value.key] = value
            node = Lying(value.key)
        graph[key] = node
    if not futures:
        return array, {}
    return type(array)(graph, array.name, array.chunks, meta=array._meta), futures


def lying_in(graph: Mapping[Any, Any], keys: Sequence[Any]) -> tuple[Key, ...]:
    """Return the keys of the held chunks from which `keys` of `graph` are made, in fixed order."""
    needed, _ = cull(graph, list(keys))
    return tuple(dict.fromkeys(node.key for node in needed.values() if isinstance(node, Lying)))


def with_chunks(graph: Mapping[Any, Any], keys: Sequence[Any]) -> dict[Any, Any]:
    """Return the part of `graph` that computes `keys`, with the chunks that the task was given."""
    given = _SUPPLIED.get()
    needed, _ = cull(graph, list(keys))
    return {
        key: DataNode(key, given[node.key]) if isinstance(node, Lying) else node
        for key, node in needed.items()
    }


def supplied(keys: Sequence[Key], chunks: Sequence[Any]) -> AbstractContextManager[None]:
    """Return a context in which sources of this thread find these chunks."""
    return set_to(_SUPPLIED, dict(zip(keys, chunks, strict=True)))


def needs_of(task: Any) -> Callable[[int], tuple[Key, ...]] | None:
    """Return a function that gives the keys of the chunks for a block, or None without chunks."""
    found: Callable[[int], tuple[Key, ...]] | None
    found = getattr(getattr(task, "source", None), "needs", None)
    return found


def check_alive(futures: Mapping[Key, Future]) -> None:
    """Raise ConfigError if a chunk is no longer on its cluster."""
    for future in futures.values():
        if future.status in ("cancelled", "lost", "error"):
            raise ConfigError(
                f"the Dask array was persisted, but its chunk {str(future.key)[:80]} is "
                f"{future.status}, because the cluster was closed or restarted. Persist the "
                "original array again: X = X.persist()."
            )


def check_client(futures: Mapping[Key, Future], client: Client | None) -> None:
    """Raise ConfigError unless the chunks are on the cluster of `client`."""
    check_alive(futures)
    own = next(iter(futures.values())).client
    here = own.scheduler.address if own.scheduler is not None else "an unknown address"
    there = None if client is None or client.scheduler is None else client.scheduler.address
    if here != there:
        raise ConfigError(
            f"the Dask array was persisted on the cluster at {here}, but the fit would run "
            f"{'on threads of this process' if there is None else f'on the one at {there}'}. Pass "
            "engine=client with the client that persisted it, or pass the original array, before "
            "persist()."
        )


def near(client: Client, places: Places, needs: Sequence[tuple[Key, ...]]) -> NDArray[np.int64]:
    """Return the worker of each block, shape (n,): the one that holds most of its chunks.

    If no worker of `places` holds any, the worker is the one that `places` gives.
    """
    keys = list(dict.fromkeys(key for one in needs for key in one))
    holders = ask(client, "who_has", keys=keys)
    known = {address: w for w, address in enumerate(places.workers)}
    index = places.index.copy()
    for i, own in enumerate(needs):
        votes = Counter(
            known[address] for key in own for address in holders.get(key, ()) if address in known
        )
        if votes:
            index[i] = max(votes, key=lambda w: (votes[w], -w))
    return index
