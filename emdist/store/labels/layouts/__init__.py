"""Layouts of labels: where the rows of a block lie in the output arrays, one kind per file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emdist.store.grids.boxes import Boxes
from emdist.store.labels.layouts.base import LabelLayout
from emdist.store.labels.layouts.grid import GridLayout
from emdist.store.labels.layouts.rows import RowLayout

__all__ = ["GridLayout", "LabelLayout", "RowLayout", "layout_in_mark", "layout_of_plan"]


def layout_of_plan(bounds: Sequence[int]) -> LabelLayout:
    """Return the layout of labels for the block plan of a source.

    Raises
    ------
    ConfigError
        If blocks cannot be divided into chunks of equal size.
    """
    return GridLayout(bounds) if isinstance(bounds, Boxes) else RowLayout.of_plan(bounds)


def layout_in_mark(mark: Mapping[str, Any]) -> tuple[LabelLayout, int] | None:
    """Return the layout that the mark of a group states, and the number of columns.

    Columns are those of the responsibilities. None if the mark states no layout.
    """
    stored = mark.get("layout")
    if isinstance(stored, dict):
        return GridLayout.from_stored(stored)
    return RowLayout.from_stored(stored)
