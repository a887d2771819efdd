"""Keeps prepared blocks between passes, in place of the blocks that they are made of."""

from __future__ import annotations

import uuid
import weakref
from dataclasses import replace

from emdist.engines.budget import AT_WORST
from emdist.engines.threads import LocalEngine
from emdist.interfaces import Engine, Source
from emdist.prepare.preparation import Preparation
from emdist.prepare.source import PreparedSource, prepared, row_bytes
from emdist.runtime.cache import RESIDENT
from emdist.runtime.memory import available_memory
from emdist.store.sources.arrays import ArraySource
from emdist.store.sources.buffered import Buffered
from emdist.store.sources.plan import longest
from emdist.store.sources.resident import Keep


def kept_prepared(source: Source, made: Preparation, engine: Engine) -> Source:
    """Return the prepared rows of `source`, which keeps blocks within a budget, if it does.

    The smaller ones are kept: blocks as they are read, or prepared blocks.
    """
    ready = prepared(source, made)
    keep = source.keep if isinstance(source, Buffered) else None
    if keep is None or not isinstance(engine, LocalEngine) or not isinstance(ready, PreparedSource):
        return ready
    each = ready.shape[1] * ready.dtype.itemsize
    # Prepared blocks at work take memory that the budget does not know of.
    work = int(engine.at_work(len(source)) * AT_WORST * longest(source.bounds) * each)
    left = replace(keep, budget=max(0, keep.budget - work))
    if each > row_bytes(source):
        return replace(ready, source=replace(source, keep=left))  # type: ignore[type-var]
    left = replace(left, form="prepared")
    return replace(ready, source=replace(source, keep=None), keep=left)  # type: ignore[type-var]


def held_prepared(source: Source, made: Preparation, engine: Engine) -> Source:
    """Return the prepared rows of `source`, which are kept between passes as far as memory allows.

    Those of an array in memory are held as long as the returned source is used, if they take at
    most half of the memory that is free. Otherwise every pass prepares them again.
    """
    if isinstance(source, Buffered):
        return kept_prepared(source, made, engine)
    ready = prepared(source, made)
    fits = isinstance(source, ArraySource) and isinstance(engine, LocalEngine)
    if not fits or not isinstance(ready, PreparedSource):
        return ready
    nbytes = ready.shape[0] * (ready.shape[1] * ready.dtype.itemsize + 9)
    if nbytes > available_memory() // 2:
        return ready
    keep = Keep(uuid.uuid4().hex, nbytes + RESIDENT.nbytes)
    ready = replace(ready, keep=keep)
    weakref.finalize(ready, RESIDENT.forget, keep.owner)
    return ready


def uncached(source: Source) -> Source:
    """Return `source` without the cache of a fit that has ended.

    Prepared rows of an array in memory stay as they are: they belong to the source.
    """
    if isinstance(source, PreparedSource):
        inner = uncached(source.source)
        return source if inner is source.source else replace(source, source=inner, keep=None)
    return replace(source, keep=None) if isinstance(source, Buffered) else source
