"""Rows that a selection leaves out, in words: for data that are read like those of a fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from emdist.inputs.layout import Layout
from emdist.inputs.quoting import listed
from emdist.interfaces import Source
from emdist.store.grids.grid_source import GridSource
from emdist.store.grids.taken import untaken


@dataclass(frozen=True)
class LeftOut:
    """What a selection leaves of the rows of a grid.

    Attributes
    ----------
    dims
        The sample dimensions of which not all positions are read.
    selection
        What is read of them, in words.
    rows, total
        How many rows are read, and how many there are.
    """

    dims: tuple[str, ...]
    selection: str
    rows: int
    total: int

    def __str__(self) -> str:
        return f"{self.selection}; {self.rows:,} of {self.total:,} rows"


def left_out(source: Source, layout: Layout, dims: Collection[str]) -> LeftOut | None:
    """Return what the selections of `dims` leave of the rows of `source`; None if all rows.

    Parameters
    ----------
    source
        The rows, as `layout` makes them.
    layout
        How they are made.
    dims
        Dimensions of the selection, such as those whose selection is that of a fit.
    """
    if not isinstance(source, GridSource):
        return None  # An array (rows, features) as it lies.
    plan = source.plan
    sizes = {
        dim: size
        for one in map(untaken, plan.variables)
        for dim, size in zip(one.dims, one.shape, strict=True)
    }
    read = dict(zip(plan.samples, plan.shape, strict=True))
    read |= {dim: 1 for dim, _ in plan.scalars if _may_be_sample(dim, layout)}
    chosen = dict(layout.select)
    narrow = {
        dim: chosen[dim] for dim in read if dim in chosen and dim in dims and read[dim] < sizes[dim]
    }
    if not narrow:
        return None
    rows = prod(read.values())
    total = rows // prod(read[dim] for dim in narrow) * prod(sizes[dim] for dim in narrow)
    told = ", ".join(f"{dim} {_told(choice)}" for dim, choice in narrow.items())
    return LeftOut(tuple(narrow), told, rows, total)


def _may_be_sample(dim: str, layout: Layout) -> bool:
    """Return whether a dimension would be one of the samples if all of it were read."""
    return dim not in layout.features and (not layout.samples or dim in layout.samples)


def _told(choice: Any) -> str:
    """Return an entry of ``select`` in words."""
    if isinstance(choice, Mapping):
        (kind, value) = next(iter(choice.items()))
        shown = listed(value, 5) if isinstance(value, list) else str(value)
        return f"at index {shown}" if kind == "index" else f"of {shown}"
    if not isinstance(choice, list):
        return f"of {choice}"
    low, high = choice
    if low is None:
        return f"up to {high}"
    return f"from {low}" + ("" if high is None else f" to {high}")
