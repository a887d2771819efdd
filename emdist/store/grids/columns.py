"""Columns: which values of the variables become the features of a row, and what they are called."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.inputs.names import Names, coordinate_names
from emdist.interfaces import Array, Box
from emdist.store.grids.positions import Positions
from emdist.store.grids.variables import Members, Piece, Variable, size_of

#: Names of more features than this are not made: each takes about a hundred bytes.
_MOST = 1 << 18


@dataclass(frozen=True)
class Columns:
    """The features that one variable gives: one for each position along its feature dimensions.

    Attributes
    ----------
    variable
        The variable.
    dims
        Its feature dimensions, in the order in which their positions become columns.
    picked
        What is read of each dimension of the variable that is no sample dimension, by name. A
        dimension that is not among `dims` is read at one position.
    """

    variable: Variable
    dims: tuple[str, ...]
    picked: tuple[tuple[str, Positions], ...]

    @property
    def width(self) -> int:
        """The number of features."""
        return math.prod(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of positions of each feature dimension."""
        found = dict(self.picked)
        return tuple(len(found[dim].at) for dim in self.dims)

    def place(self, piece: Piece, box: Box, target: Array) -> None:
        """Copy the values of a piece to their places in `target`.

        Parameters
        ----------
        piece
            Values of a part of the variable.
        box
            The box of samples that is read.
        target
            Gets the values, of the shape ``(*box.size, *positions of the feature dimensions)``. A
            variable without one of the sample dimensions is repeated along it.
        """
        picked, names = dict(self.picked), list(self.variable.dims)
        values, into = piece.values, dict[str, Any]()
        for axis, (dim, part) in enumerate(zip(names, piece.region, strict=True)):
            if dim not in picked:
                begin = box.origin[box.names.index(dim)] + box.start[box.names.index(dim)]
                into[dim] = slice(part.start - begin, part.stop - begin)
                continue
            at = picked[dim].at
            if picked[dim].contiguous:
                into[dim] = slice(part.start - at[0], part.stop - at[0])
                continue
            held = [n for n, i in enumerate(at) if part.start <= i < part.stop]
            values = np.take(values, [at[n] - part.start for n in held], axis)
            into[dim] = np.array(held, np.int64)
        gone = [dim for dim in names if dim in picked and dim not in self.dims]
        if any(isinstance(into[dim], np.ndarray) and not len(into[dim]) for dim in into):
            return
        values = values.squeeze(axis=tuple(names.index(dim) for dim in gone))
        names = [dim for dim in names if dim not in gone]
        own = [dim for dim in box.names if dim in names]
        values = values.transpose([names.index(dim) for dim in [*own, *self.dims]])
        values = values[tuple(slice(None) if dim in names else np.newaxis for dim in box.names)]
        _assigned(target, [into.get(dim, slice(None)) for dim in (*box.names, *self.dims)], values)


def _assigned(target: Array, at: list[Any], values: Array) -> None:
    """Assign `values` to ``target[at]``, where each entry of `at` picks along its own dimension."""
    for axis, one in enumerate(at):
        if isinstance(one, np.ndarray):
            for n, i in enumerate(one.tolist()):
                rest = [*at[:axis], i, *at[axis + 1 :]]
                _assigned_at(target, rest, axis, np.take(values, n, axis))
            return
    target[tuple(at)] = values


def _assigned_at(target: Array, at: list[Any], axis: int, values: Array) -> None:
    """Assign to the part of `target` at one position of `axis`."""
    part = target[(slice(None),) * axis + (at[axis],)]
    _assigned(part, [*at[:axis], *at[axis + 1 :]], values)


def names_of_columns(columns: Sequence[Columns], members: Members) -> Names:
    """Return the names of all features, or None if the only variable has nothing to name them by.

    A feature is called by its variable, and by its coordinates where its variable gives several:
    ``depth=10`` of the only variable, ``TEMP[depth=10]`` of one among several. Positions stand for
    coordinates that do not exist, for the only variable where some positions are selected.
    """
    if sum(one.width for one in columns) > _MOST:
        return None
    found: list[str] = []
    for one in columns:
        parts = [_along(dim, dict(one.picked)[dim], members) for dim in one.dims]
        if len(columns) == 1:
            if not one.dims:
                return (one.variable.name or "x0",)
            picked = dict(one.picked)
            whole = all(picked[dim].at == range(size_of(one.variable, dim)) for dim in one.dims)
            if whole and all(named is None for named in parts):
                return None
        texts = [
            named if named is not None else [f"{dim}={i}" for i in dict(one.picked)[dim].at]
            for dim, named in zip(one.dims, parts, strict=True)
        ]
        for combined in itertools.product(*texts):
            inside = ",".join(combined)
            alone = inside if len(columns) == 1 else f"{one.variable.name}[{inside}]"
            found.append(alone if combined else one.variable.name)
    return tuple(found)


def _along(dim: str, picked: Positions, members: Members) -> Sequence[str] | None:
    """Return the names of the positions of a dimension by its coordinate, or None."""
    values = members.coordinate(dim)
    if values is None or len(values) <= max(picked.at):
        return None
    return coordinate_names(dim, values[list(picked.at)])


def picked_of(
    variable: Variable, chosen: Mapping[str, Positions], samples: Sequence[str], dims: Sequence[str]
) -> Columns:
    """Return the columns of `variable`, where `dims` are the feature dimensions of the grid."""
    rest = [dim for dim in variable.dims if dim not in samples]
    picked: list[tuple[str, Any]] = [
        (dim, chosen.get(dim, Positions(range(size_of(variable, dim))))) for dim in rest
    ]
    return Columns(variable, tuple(dim for dim in dims if dim in rest), tuple(picked))
