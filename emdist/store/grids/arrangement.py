"""Arrangements: a layout held against the variables that it names, so that every choice is made."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from emdist.errors import ConfigError, DataError, ShapeError
from emdist.inputs.layout import Layout
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import listed
from emdist.store.grids.axes import check_dims
from emdist.store.grids.columns import Columns, picked_of
from emdist.store.grids.comparing import at_least, at_most, equal
from emdist.store.grids.positions import Positions, positions
from emdist.store.grids.taken import At, taken_of
from emdist.store.grids.variables import Members, Variable, matching


def _equal(values: Any, numbers: Any) -> Any:
    return equal(values, numbers if isinstance(numbers, list) else [numbers])


#: Comparison -> what it computes. NaN is left out beside.
_TESTS: Mapping[str, Callable[[Any, Any], Any]] = {
    "equals": _equal,
    "not_equals": lambda values, numbers: ~_equal(values, numbers),
    "at_least": at_least,
    "at_most": at_most,
    "above": lambda values, number: ~at_most(values, number),
    "below": lambda values, number: ~at_least(values, number),
}


@dataclass(frozen=True)
class Condition:
    """A condition on a variable that a row must meet.

    Attributes
    ----------
    columns
        What is read of the variable: one value for each row, because all its dimensions are sample
        dimensions or read at one position.
    tests
        Pairs of a comparison of `emdist.inputs.layout.COMPARISONS` and its number, or numbers.
    """

    columns: Columns
    tests: tuple[tuple[str, Any], ...]

    def met(self, values: Any) -> Any:
        """Return where `values` meet the condition, as booleans. NaN meets none."""
        found = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
        for name, number in self.tests:
            found &= _TESTS[name](values, number)
        return found


@dataclass(frozen=True)
class Arrangement:
    """Which dimensions of which variables make up rows and features.

    Attributes
    ----------
    samples
        The names of the sample dimensions, in the order in which rows are numbered.
    shape, origin
        The size of the grid of samples, and the position at which it begins in the arrays.
    columns
        The features, variable by variable.
    conditions
        The conditions that rows must meet.
    scalars
        Dimensions that are read at one position, and where, for the coordinates of labels.
    taken
        Sample dimensions of which positions are read that do not follow one another. To the other
        attributes, they are the only positions that there are.
    time
        The last sample dimension, if rows follow one another along it; otherwise empty.
    """

    samples: tuple[str, ...]
    shape: tuple[int, ...]
    origin: tuple[int, ...]
    columns: tuple[Columns, ...]
    conditions: tuple[Condition, ...] = ()
    scalars: tuple[tuple[str, int], ...] = ()
    taken: tuple[tuple[str, At], ...] = ()
    time: str = ""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All variables that are read, those of conditions last."""
        return tuple(one.variable for one in self._all)

    @property
    def _all(self) -> tuple[Columns, ...]:
        return (*self.columns, *(one.columns for one in self.conditions))

    @property
    def width(self) -> int:
        """The number of features."""
        return sum(one.width for one in self.columns)

    @property
    def units(self) -> tuple[int, ...]:
        """The size along each sample dimension of what all variables store in whole objects.

        That is the least common multiple of their chunks, or the largest of them where the
        multiple would be longer than the grid.
        """
        found = []
        for dim, size, first in zip(self.samples, self.shape, self.origin, strict=True):
            sizes = [one.unit(dim) for one in self.variables if dim in one.dims]
            common = math.lcm(*sizes)
            unit = common if common <= size else max(sizes)
            # A grid that begins within a chunk is divided from there on.
            found.append(unit if first % unit == 0 or unit < size else size)
        if self.time:  # A block has whole sequences.
            found[-1] = self.shape[-1]
        return tuple(found)


def arranged(members: Members, layout: Layout) -> Arrangement:
    """Return the arrangement that `layout` describes.

    Raises
    ------
    NotAnArrayError, ShapeError, ConfigError
        If a variable or dimension does not exist, or if it is not clear which dimensions are
        samples.
    """
    chosen = _variables(members, layout)
    sizes = _sizes(chosen)
    for name in (*layout.samples, *layout.features, *(dim for dim, _ in layout.select)):
        if name not in sizes:
            raise ConfigError(
                f"{name!r} is no dimension of {', '.join(v.name or 'the array' for v in chosen)}"
                f"{nearest(name, sizes)}. The dimensions are {', '.join(sizes)}."
            )
    if not sizes:
        raise ShapeError(
            f"{chosen[0].name or members.title} has no dimensions, and so no rows. Choose another "
            "variable in data.variables."
        )
    for dim, size in sizes.items():
        if not size:
            raise ShapeError(
                f"The variables are empty: the dimension {dim} has the size 0. Check that the "
                "writer finished and that the names are right."
            )
    picked = {
        dim: positions(dim, sizes[dim], choice, lambda dim=dim: members.coordinate(dim))  # type: ignore[misc]
        for dim, choice in layout.select
    }
    kept = [dim for dim in sizes if not (dim in picked and picked[dim].scalar)]
    samples, features = _divided(layout, kept, chosen, members)
    if layout.time:
        samples = _in_time(samples, layout.time)
    shape, origin, taken = [], [], dict[str, At]()
    for dim in samples:
        at = picked.get(dim, Positions(range(sizes[dim])))
        shape.append(len(at.at))
        origin.append(at.at[0] if at.contiguous else 0)
        if not at.contiguous:
            taken[dim] = _increasing(dim, at)
    chosen = [taken_of(one, taken) for one in chosen]
    columns = tuple(picked_of(one, picked, samples, features) for one in chosen)
    if not shape:
        single = [dim for dim, at in picked.items() if at.scalar]
        what = "data.select reads one position of" if single else "data.features has"
        raise ShapeError(
            f"No dimension is left for samples: {what} {', '.join(single or features)}. Leave out "
            "those that make up the rows."
        )
    if 0 in shape or not sum(one.width for one in columns):
        raise ShapeError("The variables are empty: a dimension has the size 0.")
    conditions = tuple(
        _condition(members, one, samples, sizes, picked, taken) for one in layout.where
    )
    gone = [(dim, at.at[0]) for dim, at in picked.items() if at.scalar]
    return Arrangement(
        tuple(samples),
        tuple(shape),
        tuple(origin),
        columns,
        conditions,
        tuple(gone),
        tuple(taken.items()),
        layout.time if len(samples) > 1 else "",
    )


def _in_time(samples: Sequence[str], time: str) -> list[str]:
    """Return the sample dimensions with time last, so that rows of a sequence are consecutive."""
    if time not in samples:
        raise ConfigError(
            f"data.time is {time}, which is no sample dimension; they are {', '.join(samples)}."
        )
    return [*(dim for dim in samples if dim != time), time]


def _increasing(dim: str, picked: Positions) -> At:
    """Return the positions of a sample dimension; ConfigError if they are not in order."""
    at = picked.at
    steps = {b - a for a, b in itertools.pairwise(at)}
    if min(steps) < 1:
        raise ConfigError(
            f"data.select for {dim} picks positions in another order than the data have, but {dim} "
            "is a sample dimension, whose rows stay in order. Give them in the order of the data."
        )
    return range(at[0], at[-1] + 1, steps.pop()) if len(steps) == 1 else tuple(at)


def _variables(members: Members, layout: Layout) -> list[Variable]:
    if members.is_array:
        only = members.only()
        if layout.variables and list(layout.variables) != [only.name]:
            raise ConfigError(
                f"data.variables is {list(layout.variables)}, but {members.title} is one array. "
                "Give the path of its group, or leave data.variables out."
            )
        return [only]
    if layout.variables:
        return [members.variable(name) for name in matching(members, layout.variables)]
    found = members.data_variables()
    if len(found) != 1:
        raise ConfigError(
            f"{members.title} is a group with several variables: "
            f"{listed(found, 8, partial(_with_dims, members))}. Say which of them are features, in "
            "data.variables."
            if found
            else f"{members.title} is a group without variables. Give the path of another group."
        )
    return [members.variable(found[0])]


def _with_dims(members: Members, name: str) -> str:
    """Return the name of a variable with its dimensions and their sizes."""
    try:
        one = members.variable(name)
    except DataError:  # such as text, which is no feature
        return name
    sizes = zip(one.dims, one.shape, strict=True)
    return f"{name} ({', '.join(f'{dim} {size}' for dim, size in sizes)})"


def _sizes(variables: Sequence[Variable]) -> dict[str, int]:
    """Return the size of each dimension, in order of appearance."""
    found: dict[str, tuple[int, str]] = {}
    for one in variables:
        for dim, size in zip(one.dims, one.shape, strict=True):
            known, by = found.setdefault(dim, (size, one.name))
            if known != size:
                raise ShapeError(
                    f"Dimension {dim} has {known} positions in {by} and {size} in {one.name}. "
                    "Variables that make up the same rows must have the same grid."
                )
    return {dim: size for dim, (size, _) in found.items()}


def _divided(
    layout: Layout, dims: Sequence[str], variables: Sequence[Variable], members: Members
) -> tuple[list[str], list[str]]:
    """Return the sample dimensions and the feature dimensions."""
    samples = [dim for dim in layout.samples if dim in dims]
    features = [dim for dim in layout.features if dim in dims]
    if layout.samples and layout.features:
        if rest := [dim for dim in dims if dim not in samples and dim not in features]:
            raise ConfigError(
                f"{', '.join(rest)} is neither in data.samples nor in data.features. Leave one of "
                "the two out, so that it has all other dimensions, or read one position of it by "
                "data.select."
            )
        return samples, features
    if layout.samples:
        return samples, [dim for dim in dims if dim not in samples]
    if layout.features or len(variables) > 1:
        return [dim for dim in dims if dim not in features], features
    if len(dims) == 2:
        check_dims(tuple(dims), variables[0].name or members.title, members.attributes)
        return [dims[0]], [dims[1]]
    raise ConfigError(
        f"{variables[0].name or members.title} has the dimensions {', '.join(dims)}. Say which of "
        "them make up the rows, in data.samples, or the features, in data.features."
    )


def _condition(
    members: Members,
    asked: Mapping[str, Any],
    samples: Sequence[str],
    sizes: Mapping[str, int],
    picked: Mapping[str, Positions],
    taken: Mapping[str, At],
) -> Condition:
    variable = members.variable(asked["variable"])
    for dim, size in zip(variable.dims, variable.shape, strict=True):
        if dim in samples and size != sizes[dim]:
            raise ShapeError(
                f"{variable.name} of data.where has {size} positions of {dim}, and the variables "
                f"have {sizes[dim]}."
            )
        if dim not in samples and not (dim in picked and picked[dim].scalar):
            raise ConfigError(
                f"{variable.name} of data.where has the dimension {dim}, which is no sample "
                "dimension. Read one position of it by data.select."
            )
    tests = tuple((name, asked[name]) for name in asked if name != "variable")
    return Condition(picked_of(taken_of(variable, taken), picked, samples, ()), tests)
