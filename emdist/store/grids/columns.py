"""Columns: which values of the variables become the features of a row, and what they are called."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.inputs.names import Names, coordinate_names
from emdist.interfaces import Array
from emdist.store.grids.positions import Positions
from emdist.store.grids.variables import Members, Variable, size_of

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
        found = dict(self.picked)
        return int(np.prod([len(found[dim].at) for dim in self.dims], dtype=np.int64))

    def arranged(self, values: Array, samples: Sequence[str], size: Sequence[int]) -> Array:
        """Return values of a box of samples as a view (rows of the box..., features).

        Parameters
        ----------
        values
            What was read: the hull of the picked positions, and the samples of the box.
        samples
            The names of the sample dimensions.
        size
            The size of the box.

        Returns
        -------
        ndarray
            Of the shape ``(*size, *feature dimensions)``. A variable without one of the sample
            dimensions is repeated along it.
        """
        picked, names = dict(self.picked), list(self.variable.dims)
        for axis, dim in enumerate(names):
            if dim in picked and not picked[dim].contiguous:
                first = picked[dim].hull.start
                values = np.take(values, [i - first for i in picked[dim].at], axis)
        gone = tuple(i for i, dim in enumerate(names) if dim in picked and dim not in self.dims)
        values = values.squeeze(axis=gone)
        names = [dim for i, dim in enumerate(names) if i not in gone]
        own = [dim for dim in samples if dim in names]
        values = values.transpose([names.index(dim) for dim in [*own, *self.dims]])
        at = tuple(slice(None) if dim in names else np.newaxis for dim in samples)
        values = values[at]
        return np.broadcast_to(values, (*size, *values.shape[len(size) :]))


def names_of_columns(columns: Sequence[Columns], members: Members) -> Names:
    """Return the names of all features, or None if the only variable has no coordinates.

    A feature is called by its variable, and by its coordinates where its variable gives several:
    ``depth=10.0`` of the only variable, ``TEMP[depth=10.0]`` of one among several.
    """
    if sum(one.width for one in columns) > _MOST:
        return None
    found: list[str] = []
    for one in columns:
        parts = [_along(dim, dict(one.picked)[dim], members) for dim in one.dims]
        if len(columns) == 1:
            if not one.dims:
                return (one.variable.name or "x0",)
            if all(named is None for named in parts):
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
