"""The arrays of a group of labels: shapes, chunks, dtypes, fill values and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emdist.store.labels.layouts import LabelLayout
from emdist.store.labels.layouts.grid import GridLayout
from emdist.store.labels.outputs import OUTPUTS

#: The label of rows that were left out: -1, or -2 in a model with noise, where -1 is the noise.
MASKED, MASKED_BESIDE_NOISE = -1, -2
#: The dimension of components.
COMPONENT = "component"
#: NaN as xarray stores the attribute ``_FillValue`` of floats in Zarr format 3.
_NAN = "AAAAAAAA+H8="
#: More labels than this are not listed in ``flag_values``.
_MOST_FLAGS = 256


@dataclass(frozen=True)
class ArrayPlan:
    """How one array is stored.

    Attributes
    ----------
    shape, chunks, dims
        The sizes of the array and of its chunks, and the names of its dimensions.
    dtype
        Its dtype.
    fill
        The value of what was not written.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    fill: Any
    dims: tuple[str, ...]


@dataclass(frozen=True)
class StoredOutputs:
    """What a labelling stores of each row; small and hashable.

    Attributes
    ----------
    outputs
        The outputs, names from `OUTPUTS`, in the order of the digests.
    layout
        Where the rows of each block lie.
    n_columns
        The number of columns of the responsibilities.
    noise
        Whether the last column is the noise component, whose rows have the label -1.
    chosen
        The columns that outputs of chosen components have; None for all.
    """

    outputs: tuple[str, ...]
    layout: LabelLayout
    n_columns: int
    noise: bool = False
    chosen: tuple[int, ...] | None = field(default=None)

    @property
    def on_grid(self) -> bool:
        """Whether the rows are the samples of a grid."""
        return isinstance(self.layout, GridLayout)

    @property
    def masked(self) -> int:
        """The label of left-out rows."""
        return MASKED_BESIDE_NOISE if self.noise else MASKED

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns that outputs of chosen components have."""
        return tuple(range(self.n_columns)) if self.chosen is None else self.chosen

    def label_of(self, column: int) -> int:
        """Return the label of a column of the responsibilities: its number, or -1 for noise."""
        return -1 if self.noise and column == self.n_columns - 1 else column

    def fill(self, name: str) -> Any:
        """Return what an output has for left-out rows."""
        return self.masked if name == "labels" else np.nan

    def array(self, name: str) -> ArrayPlan:
        """Return how output `name` is stored."""
        output, layout = OUTPUTS[name], self.layout
        shape, chunks, dims = layout.shape, layout.chunks, layout.dims
        count = len(self.columns) if output.chosen else self.n_columns
        if output.components == "last":
            shape, chunks, dims = (*shape, count), (*chunks, count), (*dims, COMPONENT)
        elif output.components == "first":
            # One component is one map, which is read without the others.
            shape, chunks, dims = (count, *shape), (1, *chunks), (COMPONENT, *dims)
        return ArrayPlan(shape, chunks, output.dtype, self.fill(name), dims)

    def progress(self) -> ArrayPlan:
        """Return how progress is stored: one row for each block."""
        width = 3 + self.n_columns
        shape = (self.layout.blocks, width)
        return ArrayPlan(shape, (1, width), "float64", np.nan, ("block", "sum"))

    def arrays(self) -> dict[str, ArrayPlan]:
        """Return how all arrays are stored, by path."""
        found = {name: self.array(name) for name in self.outputs}
        return found | {self.layout.progress: self.progress()}

    def component_labels(self) -> list[int] | None:
        """Return the coordinate of the dimension of components, or None if it has none."""
        if any(OUTPUTS[name].chosen for name in self.outputs):
            return [self.label_of(column) for column in self.columns]
        return None

    def attributes(self, name: str) -> dict[str, Any]:
        """Return the attributes of output `name` on a grid, by the CF conventions."""
        fill = self.masked if name == "labels" else _NAN
        return {**described(name, self.n_columns, self.noise), "_FillValue": fill}


def described(name: str, n_columns: int, noise: bool) -> dict[str, Any]:
    """Return what an output is, as attributes of the CF conventions, wherever it is.

    `n_columns` and `noise` are as in `StoredOutputs`. Labels are listed with their meanings.
    """
    found: dict[str, Any] = {"long_name": OUTPUTS[name].meaning}
    if name == "labels" and n_columns <= _MOST_FLAGS:
        labels = [*range(n_columns - 1), -1] if noise else [*range(n_columns)]
        found["flag_values"] = labels
        found["flag_meanings"] = " ".join(_meaning(label) for label in labels)
    return found


def _meaning(label: int) -> str:
    return "noise" if label < 0 else f"component_{label}"


def chosen_columns(
    components: Sequence[int] | None, n_columns: int, noise: bool
) -> tuple[int, ...] | None:
    """Return the columns of the responsibilities that `components` name; None for all.

    The noise component is -1, as in labels. ValueError for a component that there is not, or twice.
    """
    if components is None:
        return None
    last = n_columns - 1
    known = [*range(last), -1] if noise else [*range(n_columns)]
    for one in components:
        if one not in known:
            raise ValueError(
                f"component {one} cannot be written: the model has the components "
                f"0..{last - 1 if noise else last}{', and -1 for noise' if noise else ''}."
            )
    if len(set(components)) < len(components) or not components:
        raise ValueError(
            f"the components {list(components)} cannot be written: choose at least one, and none "
            "twice."
        )
    return tuple(last if one == -1 else one for one in components)
