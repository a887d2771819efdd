"""Why all rows of a source are left out: counts by reason, for an error message."""

from __future__ import annotations

from collections import Counter

import numpy as np

from emdist.errors import EmdistError
from emdist.interfaces import Array, Source
from emdist.store.grids.arrangement import Condition
from emdist.store.grids.grid_source import GridSource

#: How many blocks are read again to count reasons.
_BLOCKS = 8


def nothing_left(source: Source) -> str:
    """Return that all rows of `source` are left out, and for which reasons, as sentences."""
    return f"All {source.shape[0]:,} rows are left out. {reasons(source)}"


def reasons(source: Source) -> str:
    """Return a sentence that says how many rows of `source` are left out for which reason.

    It reads the first blocks again, in this process.
    """
    while hasattr(source, "source"):  # rows that are prepared or observed where they are read
        source = source.source
    try:
        rows, counts = _counted(source)
    except EmdistError:
        return (
            "Rows are left out because of missing chunks, corrupt chunks, values that are not "
            "finite, or conditions (data.where)."
        )
    if not counts:
        return "Check the data."
    each = ", ".join(f"{n:,} {why}" for why, n in counts.items())
    return f"Of {'all' if rows == source.shape[0] else 'the first'} {rows:,} rows, {each}."


def _counted(source: Source) -> tuple[int, Counter[str]]:
    """Return how many rows were looked at, and how many of them each reason leaves out."""
    rows, counts = 0, Counter[str]()
    for i in range(min(len(source), _BLOCKS)):
        block = source.read(i)
        rows += len(block.x)
        left = np.zeros(len(block.x), bool)
        for reason, found in _reasons(source, i, block.x):
            if found.any():
                counts[reason] += int(np.count_nonzero(found))
                left |= found
        if block.mask is not None and (rest := ~block.mask & ~left).any():
            counts["lie in missing or corrupt chunks"] += int(np.count_nonzero(rest))
            left |= rest
        if block.weight is not None and (rest := (block.weight == 0) & ~left).any():
            counts["have the sample weight zero"] += int(np.count_nonzero(rest))
    return rows, counts


def _reasons(source: Source, i: int, x: Array) -> list[tuple[str, Array]]:
    """Return each reason that may leave out rows of block `i`, and which rows it leaves out."""
    found = []
    if isinstance(source, GridSource):
        box = source.bounds.box(i)
        for condition in source.plan.conditions:
            values = source._values(condition.columns, box, i, np.ones(box.size, bool))
            found.append((_told(condition), ~condition.met(values).reshape(-1)))
    if x.dtype.kind == "f":
        found.append(("have values that are not finite", ~np.isfinite(x).all(axis=1)))
    return found


def _told(condition: Condition) -> str:
    tests = " and ".join(f"{name} {number}" for name, number in condition.tests)
    return f"do not meet data.where ({condition.columns.variable.name} {tests})"
