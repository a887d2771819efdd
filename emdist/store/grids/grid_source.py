"""Variables on a grid as a source of blocks: boxes of whole chunks, with all features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emdist.errors import ConfigError
from emdist.inputs.names import Names
from emdist.interfaces import Array, Block, Box, Floats
from emdist.store.chunks.zarr_thread import apart
from emdist.store.grids.arrangement import Arrangement
from emdist.store.grids.boxes import Boxes, boxes_of, cuts_within
from emdist.store.grids.columns import Columns, names_of_columns
from emdist.store.grids.coordinates import NOTHING, Coordinates, described_grid
from emdist.store.grids.grid_weights import weights_on
from emdist.store.grids.identities import identity_of, identity_of_rows, limited
from emdist.store.grids.variables import Members, Variable
from emdist.store.sources.arrays import finite_rows
from emdist.store.sources.buffered import Buffered
from emdist.store.sources.diagnosis import Region
from emdist.store.sources.plan import usable_dtype
from emdist.store.sources.references import ArrayRef
from emdist.store.sources.stamps import stamps_of

#: How often chunks must be read in each pass, on average, before users are told.
_OFTEN = 2.0


@dataclass(frozen=True)
class GridSource(Buffered):
    """Blocks of variables on a grid. Use `grid_source` to make one.

    Attributes
    ----------
    title
        What messages and records call the data.
    plan
        Which dimensions of which variables make up rows and features.
    bounds
        The block plan.
    weight
        The sample weights: an array of the shape of the grid, a variable, or None.
    feature_names
        The names of the features by variable and coordinate, or None.
    coordinates
        What describes the grid, for labels.
    missing, non_finite, corrupt
        As in `emdist.store.sources.zarr_source.ZarrSource`.
    """

    title: str
    plan: Arrangement
    bounds: Boxes
    weight: Floats | Columns | None = None
    missing: str = "raise"
    non_finite: str = "raise"
    corrupt: str = "raise"
    feature_names: Names = field(default=None, compare=False)
    coordinates: Coordinates = field(default=NOTHING, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # Names and coordinates never travel with tasks.
        return {**self.__dict__, "feature_names": None, "coordinates": NOTHING}

    @property
    def doubt(self) -> str:
        """What costs time for a reason that lies in the chunks, as a sentence; may be empty.

        A chunk is read as often as boxes touch it.
        """
        times, shown = 1.0, ""
        for one in self.plan.variables:
            reads = 1.0
            for dim, first, n, step in zip(
                self.plan.samples,
                self.bounds.origin,
                self.plan.shape,
                self.bounds.steps,
                strict=True,
            ):
                unit = one.unit(dim)
                chunks = -(-(first + n) // unit) - first // unit
                # Each edge of a box within a chunk makes one more read of this chunk.
                reads *= 1 + cuts_within(first, step, -(-n // step), unit) / chunks
            if reads > times:
                times, shown = reads, one.name or self.title
        if times < _OFTEN:
            return ""
        return (
            f"Chunks of {shown} are read {times:.1f} times in each pass, because one of them is "
            "larger than a block, differs from those of other variables, or begins before the "
            "selection. Raise data.block_size if there is memory, or rechunk the data."
        )

    @property
    def shape(self) -> tuple[int, int]:
        return self.bounds.rows, self.plan.width

    @property
    def dtype(self) -> np.dtype[Any]:
        found = np.result_type(*(one.variable.dtype for one in self.plan.columns))
        return usable_dtype(found, self.title)

    @property
    def feature_variables(self) -> tuple[str, ...]:
        """The name of the variable of each feature."""
        return tuple(one.variable.name for one in self.plan.columns for _ in range(one.width))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def _nbytes(self, i: int) -> int:
        rows = int(np.prod(self.bounds.box(i).size))
        weight = 0 if self.weight is None else 8
        return rows * (self.plan.width * self.dtype.itemsize + weight)

    def _read(self, i: int) -> Block:
        """Read and decode block `i`, with its sample weights and its mask."""
        box = self.bounds.box(i)
        rows = int(np.prod(box.size))
        x: Array = np.empty((rows, self.plan.width), self.dtype)
        whole = x.reshape(*box.size, self.plan.width)
        mask = np.ones(box.size, bool)
        first = 0
        for columns in self.plan.columns:
            part = whole[..., first : first + columns.width]
            # Splitting an axis gives a view.
            self._fill(columns, box, i, mask, part.reshape(*box.size, *columns.shape))
            first += columns.width
        for condition in self.plan.conditions:
            mask &= condition.met(self._values(condition.columns, box, i, mask))
        weight = self._weight(box, i, mask)
        counted = None if mask.all() else mask.reshape(-1)
        if self.non_finite == "drop" and (finite := finite_rows(x)) is not None:
            counted = finite if counted is None else counted & finite
        if weight is not None and counted is not None:
            weight = np.where(counted, weight, 0.0)  # Areas are often NaN on land.
        return Block(i, self.bounds[i], x, weight, counted, self._note(), box)

    def _values(self, columns: Columns, box: Box, i: int, mask: Array) -> Array:
        """Return the values of `columns` in `box`; rows without values are masked in `mask`."""
        found: Array = np.empty((*box.size, *columns.shape), columns.variable.exact_dtype)
        self._fill(columns, box, i, mask, found)
        return found

    def _fill(self, columns: Columns, box: Box, i: int, mask: Array, target: Array) -> None:
        """Read the values of `columns` in `box` to `target`, and mask rows without values."""
        region, variable = _region(columns, box), columns.variable
        for piece in variable.pieces(region, i, self._policy, self.corrupt):
            columns.place(piece, box, target)
            for part in piece.lost:
                mask[_within(variable, part, box)] = False

    @property
    def _policy(self) -> str:
        """The policy for gaps: under "raise", those that are left mean missing values."""
        return "fill" if self.missing == "raise" else self.missing

    def _weight(self, box: Box, i: int, mask: Array) -> Floats | None:
        if self.weight is None:
            return None
        if isinstance(self.weight, Columns):
            found = self._values(self.weight, box, i, mask)
        else:
            found = self.weight[box.region]
        return np.ascontiguousarray(found, np.float64).reshape(-1)

    def _note(self) -> str:
        return "".join(sorted({one.note for one in self.plan.variables}))

    @apart
    def fingerprint(self) -> Mapping[str, Any]:
        """Return what identifies the contents of all variables and how rows are made of them."""
        found: dict[str, Any] = {
            "kind": "grid",
            "array": self.title,
            "shape": list(self.shape),
            "samples": list(self.plan.samples),
            "origin": list(self.plan.origin),
            "grid": list(self.plan.shape),
            "columns": [identity_of(one) for one in self.plan.columns],
            "where": [
                {**identity_of(one.columns), "tests": [list(test) for test in one.tests]}
                for one in self.plan.conditions
            ],
        }
        if isinstance(self.weight, Columns):
            found["weights"] = identity_of(self.weight)
        return found

    @apart
    def stamps(self) -> Mapping[str, str]:
        """Return digests of sizes and times of all files of all variables; see `stamps_of`."""
        rows = {ref: getattr(one, "rows", None) for one in self._used for ref in one.refs}
        return stamps_of(*self.refs, rows=rows) if self.refs else {}

    @property
    def refs(self) -> tuple[ArrayRef, ...]:
        """The arrays that are read."""
        return tuple(dict.fromkeys(ref for one in self._used for ref in one.refs))

    @property
    def _used(self) -> list[Variable]:
        return [one.variable for one in self._columns]

    @property
    def _columns(self) -> list[Columns]:
        own = [self.weight] if isinstance(self.weight, Columns) else []
        return [*self.plan.columns, *(one.columns for one in self.plan.conditions), *own]

    def identity_of_rows(self, rows: int) -> list[Any]:
        """Return what identifies the contents of the first `rows` positions, if the grid grows."""
        first = self.plan.origin[0]
        return identity_of_rows(self._columns, self.plan.samples[0], first, first + rows)

    @property
    def selected_rows(self) -> str | None:
        """The rows along the first sample dimension, as a slice, if some were selected."""
        if all(getattr(one, "rows", None) is None for one in self._used):
            return None
        return f"{self.plan.origin[0]}:{self.plan.origin[0] + self.plan.shape[0]}"


def _region(columns: Columns, box: Box) -> Region:
    """Return what is read of a variable for `box`."""
    at = dict(zip(box.names, zip(box.start, box.size, box.origin, strict=True), strict=True))
    picked, found = dict(columns.picked), []
    for dim in columns.variable.dims:
        if dim in at:
            start, size, origin = at[dim]
            found.append(slice(start + origin, start + origin + size))
        else:
            found.append(picked[dim].hull)
    return tuple(found)


def _within(variable: Variable, part: Region, box: Box) -> tuple[slice, ...]:
    """Return a part of a variable as slices of the box."""
    known, found = dict(zip(variable.dims, part, strict=True)), []
    for dim, start, size, origin in zip(box.names, box.start, box.size, box.origin, strict=True):
        begin = start + origin
        one = known.get(dim, slice(begin, begin + size))
        found.append(slice(max(one.start - begin, 0), min(one.stop - begin, size)))
    return tuple(found)


@apart
def grid_source(
    members: Members,
    plan: Arrangement,
    weight: Floats | Members | ArrayRef | str | None = None,
    block_bytes: int | None = None,
    missing: str = "raise",
    non_finite: str = "raise",
    corrupt: str = "raise",
    decode: str = "cf",
    growing: bool = False,
) -> GridSource:
    """Return variables on a grid as a source, checked as far as their metadata and keys allow.

    Parameters
    ----------
    members
        The variables of a group or a dataset.
    plan
        Which dimensions of which variables make up rows and features, as `arranged` returns it.
    weight
        The sample weights: an array in memory, of the shape of the grid or with one number for each
        row; the name of a variable of the group, one array with its coordinates, or the reference
        of an array, on some of the sample dimensions; or None.
    block_bytes, missing, non_finite, corrupt, decode
        As in `emdist.store.sources.zarr_source.zarr_source`.
    growing
        Whether the variables grow along the first sample dimension. What `plan` does not read of it
        is then no part of what identifies the data.

    Raises
    ------
    DataError, ConfigError
        If the variables or the weights are wrong. The subclass says what is.
    """
    whole = Box(plan.samples, plan.shape, (0,) * len(plan.shape), plan.shape, plan.origin)
    weights = weights_on(weight, plan, members, decode)
    columns = tuple(_checked(one, whole, missing) for one in plan.columns)
    conditions = tuple(
        replace(one, columns=_checked(one.columns, whole, missing)) for one in plan.conditions
    )
    plan = replace(plan, columns=columns, conditions=conditions)
    if isinstance(weights, Columns):
        weights = _checked(weights, whole, missing)
    if growing:
        rows = (plan.samples[0], plan.origin[0], plan.origin[0] + plan.shape[0])
        plan = replace(
            plan,
            columns=tuple(limited(one, *rows) for one in plan.columns),
            conditions=tuple(
                replace(one, columns=limited(one.columns, *rows)) for one in plan.conditions
            ),
        )
        weights = limited(weights, *rows) if isinstance(weights, Columns) else weights
    found = GridSource(
        members.title,
        plan,
        Boxes(plan.samples, plan.shape, plan.shape, plan.origin),
        weights,
        missing,
        non_finite,
        corrupt,
        names_of_columns(plan.columns, members),
        described_grid(members, plan),
    )
    row_bytes = plan.width * found.dtype.itemsize
    bounds = boxes_of(plan.samples, plan.shape, plan.units, plan.origin, row_bytes, block_bytes)
    if plan.time and bounds.steps[-1] < plan.shape[-1]:
        raise ConfigError(
            f"A sequence of {plan.shape[-1]} positions of {plan.time} with {plan.width} features "
            "is larger than a block. Set a larger data.block_size."
        )
    return replace(found, bounds=replace(bounds, taken=plan.taken))


def _checked(columns: Columns, whole: Box, missing: str) -> Columns:
    return replace(columns, variable=columns.variable.checked(_region(columns, whole), missing))
