"""Sources that read ahead, and that keep decoded blocks in memory between the passes of a fit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from emdist.engines.budget import AT_WORST, shares, spare
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError
from emdist.fit.events import Caching, Listener, unheard
from emdist.fit.prepared_blocks import kept_prepared
from emdist.inputs.quoting import shown_size
from emdist.inputs.validation import parse_bytes
from emdist.interfaces import Engine, Source
from emdist.prepare.source import PreparedSource, unprepared
from emdist.runtime.cache import MEMO, RESIDENT
from emdist.runtime.memory import available_memory, return_freed
from emdist.settings.config import ClusterSection
from emdist.store.sources.ahead import READ_AHEAD, Ahead
from emdist.store.sources.buffered import Buffered
from emdist.store.sources.resident import Keep
from emdist.store.sources.sequenced import SequencedSource
from emdist.store.sources.sizes import largest_block, smaller_blocks


@dataclass(frozen=True)
class _Shares:
    """The bytes for read-ahead, and those for kept blocks, of each process that computes."""

    ahead: int
    kept: int
    #: Whether kept blocks are dropped when memory gets short.
    yields: bool = False


@contextmanager
def kept_source(
    section: ClusterSection,
    source: Source,
    engine: Engine,
    needed: int = 0,
    listen: Listener = unheard,
) -> Iterator[Source]:
    """Yield `source`, read ahead and kept in memory within the budget; at the end, forget it.

    Parameters
    ----------
    section
        The settings ``memory`` and ``cache``.
    source
        The rows that each pass reads.
    engine
        The engine that reads them.
    needed
        The bytes that the fit needs in this process besides.
    listen
        Is told how much may be kept.

    Raises
    ------
    ConfigError
        If ``cluster.memory`` cannot even hold the blocks in progress, or if there is less memory
        than ``cluster.cache``.
    """
    owner = uuid.uuid4().hex
    kept = _kept(section, source, engine, needed, owner, listen)
    try:
        yield kept
    finally:
        _forget(owner)
        if (client := getattr(engine, "client", None)) is not None:
            from emdist.engines.dask.forgetting import on_workers_soon

            on_workers_soon(client, _forget_all, owner)


def _forget(owner: str) -> None:
    """Free what this process keeps of the source called `owner`."""
    RESIDENT.forget(owner)
    READ_AHEAD.forget(owner)


def _forget_all(owner: str) -> None:
    """Free what a worker keeps of the source called `owner`, and what schedules remember there.

    Another fit on the same cluster computes what it remembered again.
    """
    _forget(owner)
    MEMO.forget()
    return_freed()


def _kept(
    section: ClusterSection,
    source: Source,
    engine: Engine,
    needed: int,
    owner: str,
    listen: Listener,
) -> Source:
    """Return `source`, read ahead and kept in memory under the name `owner`, if it can be."""
    read = unprepared(source)
    if not isinstance(read, Buffered):
        return source
    if (found := _shares(section, source, engine, needed)) is None:
        return source
    keep = None
    if found.kept >= largest_block(source) and not read.is_mapped:
        keep = Keep(owner, found.kept, found.yields)
        decoded = source.shape[0] * source.shape[1] * source.dtype.itemsize
        listen(Caching(found.kept, decoded))
    return _with(source, keep, Ahead(owner, found.ahead), engine)


def kept_bytes(section: ClusterSection, source: Source, engine: Engine, needed: int = 0) -> int:
    """Return how many bytes of blocks all processes together would keep between passes."""
    read = unprepared(source)
    if (
        not isinstance(read, Buffered)
        or (found := _shares(section, source, engine, needed)) is None
    ):
        return 0
    if read.is_mapped or found.kept < largest_block(source):
        return 0
    client = getattr(engine, "client", None)
    workers = 1 if client is None else len(client.scheduler_info(n_workers=-1)["workers"])
    return found.kept * workers


def ahead_source(source: Source, engine: Engine, section: ClusterSection | None = None) -> Source:
    """Return `source` with read-ahead, for a single pass, which needs no cache."""
    if not isinstance(source, Buffered):
        return source
    once = (section or ClusterSection()).model_copy(update={"cache": "off"})
    found = _shares(once, source, engine)
    return source if found is None else replace(source, ahead=Ahead(uuid.uuid4().hex, found.ahead))


def _with(source: Source, keep: Keep | None, ahead: Ahead, engine: Engine) -> Source:
    """Return `source` with `keep` and `ahead`, where prepared rows are kept in the smaller form."""
    if isinstance(source, PreparedSource):
        inner = _with(source.source, keep, ahead, engine)
        made = kept_prepared(inner, source.preparation, engine)
        return replace(made, feature_names=source.feature_names)  # type: ignore[type-var]
    if isinstance(source, SequencedSource):
        return replace(source, source=_with(source.source, keep, ahead, engine))
    return replace(source, keep=keep, ahead=ahead)  # type: ignore[type-var]


def _shares(
    section: ClusterSection, source: Source, engine: Engine, needed: int = 0
) -> _Shares | None:
    """Return the bytes for read-ahead and for kept blocks, or None if nothing is known of memory.

    Raises ConfigError as `kept_source` does.
    """
    memory, block = section.memory_bytes, largest_block(source)
    if isinstance(engine, LocalEngine):
        threads = engine.at_work(len(source))
        spared = None if memory is None else spare(memory, threads, block)
        if memory is not None and spared is not None and spared < 0:
            fitting = int(block + spared / (AT_WORST * threads))
            raise ConfigError(
                f"cluster.memory is {shown_size(memory)}, but {threads} thread(s) with blocks "
                f"of {block >> 20} MiB need about {memory - spared >> 20} MiB. "
                f"{smaller_blocks(source, fitting)} Or use fewer threads, or more memory."
            )
        ahead, kept = shares(spared, threads, block)
        if section.cache == "off":
            return _Shares(ahead, 0)
        if section.cache == "auto":
            if memory is not None:
                return _Shares(ahead, kept)
            return _Shares(ahead, max(0, available_memory() - needed) // 2, yields=True)
        return _Shares(ahead, _stated(section.cache, kept if memory is not None else None, needed))
    if (client := getattr(engine, "client", None)) is not None:
        from emdist.engines.dask.memory import shares_of_workers

        ahead, kept = shares_of_workers(client, block, memory)
        if section.cache == "off":
            return _Shares(ahead, 0)
        return _Shares(ahead, kept if section.cache == "auto" else parse_bytes(section.cache))
    return None  # It is the user's own engine, of whose memory nothing is known.


def _stated(cache: str, spared: int | None, needed: int) -> int:
    """Return the bytes that ``cluster.cache`` states, if there is as much."""
    wanted = parse_bytes(cache)
    free = available_memory() - needed if spared is None else spared
    if wanted > free:
        where = "is free on this machine" if spared is None else "of cluster.memory is left for it"
        raise ConfigError(
            f"cluster.cache is {shown_size(wanted)}, but only {shown_size(max(0, free))} {where}. "
            "Set cluster.cache to 'auto', or to less."
        )
    return wanted
