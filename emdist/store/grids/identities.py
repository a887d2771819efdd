"""What identifies the contents of variables on a grid, or of some of their positions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from emdist.store.grids.columns import Columns
from emdist.store.grids.positions import Positions
from emdist.store.grids.stored import StoredVariable


def identity_of(columns: Columns) -> dict[str, Any]:
    """Return what identifies the contents of one variable, and what is read of it."""
    variable = columns.variable
    return {
        "dims": list(variable.dims),
        "features": list(columns.dims),
        "picked": {dim: _told(one) for dim, one in columns.picked},
        **variable.identity(),
    }


def _told(picked: Positions) -> str:
    if isinstance(picked.at, range):
        return f"{picked.at.start}:{picked.at.stop}:{picked.at.step}"
    return ",".join(map(str, picked.at))


def limited(columns: Columns, dim: str, start: int, stop: int) -> Columns:
    """Return `columns` of a variable that is identified by some positions of `dim` alone."""
    variable = columns.variable
    if not isinstance(variable, StoredVariable) or dim not in variable.dims:
        return columns
    rows = (variable.dims.index(dim), start, stop)
    return replace(columns, variable=replace(variable, rows=rows))


def identity_of_rows(used: Iterable[Columns], dim: str, start: int, stop: int) -> list[Any]:
    """Return what identifies some positions of `dim` of variables that grow, wherever they are."""
    found = [identity_of(limited(one, dim, start, stop)) for one in used]
    return [{name: value for name, value in one.items() if name != "array"} for one in found]
