"""`PrepareStep`, the base class of steps, and `Known`, the moments from which steps learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.errors import ConfigError
from emdist.interfaces import Array, Floats

#: What a step has learned from the data: arrays by name. Empty for a step that learns nothing.
LearnedArrays: TypeAlias = Mapping[str, Array]

#: What a step needs to know of the data before it can be applied: nothing, means and variances,
#: the covariance of complete rows, the covariance of pairs of features, or passes of its own.
Need: TypeAlias = Literal["", "spread", "covariance", "pairs", "sketch"]


@dataclass(frozen=True)
class Known:
    """Moments of the rows that enter a step.

    Attributes
    ----------
    weight
        The sum of the sample weights; the number of rows if there are none.
    cells
        (d,) the weight of the rows in which a feature was observed.
    mean, variance
        (d,) weighted means and variances (divided by `cells`) of the observed values.
    covariance
        (d, d) the covariance, divided by the weight less 1; None if it was not asked for.
    missing
        How many values were missing.
    """

    weight: float
    cells: Floats
    mean: Floats
    variance: Floats
    covariance: Floats | None = None
    missing: int = 0

    def affine(self, shift: Floats, factor: Floats) -> Known:
        """Return the moments of ``(x - shift) * factor``."""
        scaled = None
        if self.covariance is not None:
            scaled = self.covariance * factor * factor[:, None]
        return Known(
            self.weight,
            self.cells,
            (self.mean - shift) * factor,
            self.variance * factor**2,
            scaled,
            self.missing,
        )


@dataclass(frozen=True)
class Affine:
    """The map ``x -> (x - shift) * factor``, or ``(x - shift) @ factor + offset`` for a matrix.

    Attributes
    ----------
    shift
        (d,) what is subtracted.
    factor
        (d,) one factor for each feature, or a matrix (d, k).
    offset
        What is added in the end, or None for nothing.
    """

    shift: Floats
    factor: Floats
    offset: Floats | None = None

    def __call__(self, x: Floats) -> Floats:
        """Return the map of rows `x` (m, d), which is overwritten."""
        x -= self.shift
        return self.scaled(x)

    def scaled(self, x: Floats) -> Floats:
        """Return the map of rows from which the shift is subtracted already; overwrites `x`."""
        if self.factor.ndim == 1:
            x *= self.factor
        else:
            x = x @ self.factor
        if self.offset is not None:
            x += self.offset
        return x

    def then(self, other: Affine) -> Affine:
        """Return the map that applies this one and then `other`, in one product."""
        left, right = self.factor, other.factor
        shift, offset = self.shift, -other.shift if self.offset is None else (
            self.offset - other.shift
        )  # fmt: skip
        if left.ndim == 1:
            # x' = (x - shift) * left; moving the offset into the shift saves a pass over the rows.
            moved = Affine(shift - offset / left, _product(left, right), other.offset)
            return moved if np.isfinite(moved.shift).all() else Affine(shift, left).joined(other)
        added = offset @ right if right.ndim == 2 else offset * right
        return Affine(
            shift, _product(left, right), added if other.offset is None else added + other.offset
        )

    def joined(self, other: Affine) -> Affine:
        """Return the same map as `then`, with everything that is added at the end."""
        right = other.factor
        moved = -other.shift if self.offset is None else self.offset - other.shift
        added = moved @ right if right.ndim == 2 else moved * right
        return Affine(
            self.shift,
            _product(self.factor, right),
            added if other.offset is None else added + other.offset,
        )


def _product(left: Floats, right: Floats) -> Floats:
    """Return the factor of two maps, one after the other."""
    if left.ndim == 1:
        return left * right if right.ndim == 1 else left[:, None] * right
    return left * right if right.ndim == 1 else left @ right


@dataclass(frozen=True)
class RowsAt:
    """Where the rows of a tile lie, for messages.

    Attributes
    ----------
    first
        The index, in the whole data, of the first row of the tile.
    mask
        Which rows of the tile count, (m,) bool, or None if all do. The others are not checked.
    """

    first: int
    mask: NDArray[np.bool_] | None = None

    def wrong(self, bad: Any) -> NDArray[np.int64]:
        """Return the positions in the tile of the rows that count and are `bad` (m,)."""
        return np.flatnonzero(bad if self.mask is None else bad & self.mask)


@dataclass(frozen=True)
class PrepareStep:
    """One step of preparing rows. Its fields are its options, as a configuration has them.

    A step works on tiles of rows in float64. What it learns from the data is not part of it: the
    methods take it as arrays by name.
    """

    #: The name of the step in a configuration.
    name: ClassVar[str] = ""
    #: The option that a value alone stands for, as in ``{pca: 8}``.
    shorthand: ClassVar[str] = ""

    def need(self, d: int) -> Need:
        """Return what the step needs to know of the data, of `d` features."""
        return ""

    @property
    def refuses_missing(self) -> bool:
        """Whether rows with missing values cannot be prepared."""
        return False

    @property
    def inverts(self) -> bool:
        """Whether the step has an inverse, at least for what it keeps of the rows."""
        return True

    @property
    def mixes(self) -> bool:
        """Whether a value afterwards depends on several features, and not on its own alone."""
        return False

    @property
    def renames(self) -> bool:
        """Whether the features afterwards are others, which belong to no variable."""
        return False

    @property
    def needs_variables(self) -> bool:
        """Whether the step needs to know to which variable each feature belongs."""
        return False

    @property
    def has_known_width(self) -> bool:
        """Whether the number of features afterwards is known without the data."""
        return True

    def bound(self, d: int) -> int:
        """Return the largest number of features that rows of `d` features may have afterwards."""
        return d

    def features(self, d: int, learned: LearnedArrays) -> int:
        """Return how many features rows of `d` features have afterwards.

        Raises
        ------
        CheckpointError
            If `learned`, which may come from a file, does not suit `d` features.
        """
        return d

    def names(self, names: tuple[str, ...], learned: LearnedArrays) -> tuple[str, ...]:
        """Return the names of the features afterwards, from those before."""
        return names

    def learn(self, known: Known, names: tuple[str, ...]) -> tuple[LearnedArrays, list[str]]:
        """Return what the step learns from the moments of the rows, and warnings about it."""
        return {}, []

    def moved(self, known: Known, learned: LearnedArrays) -> Known | None:
        """Return the moments of the rows afterwards, or None if only another pass can tell."""
        return None

    def affine(self, learned: LearnedArrays) -> Affine | None:
        """Return the step as an affine map, or None if it is none."""
        return None

    def apply(self, x: Floats, learned: LearnedArrays, at: RowsAt) -> Floats:
        """Return the rows of a tile `x` (m, d) afterwards; `x` may be overwritten.

        Raises
        ------
        DataError
            If a row that counts cannot be prepared.
        """
        raise NotImplementedError

    def invert(self, x: Floats, learned: LearnedArrays) -> Floats:
        """Return rows from which `apply` makes `x`, as far as they are determined."""
        raise NotImplementedError

    def config(self) -> Any:
        """Return the step as a configuration has it: its name, or a mapping with its options.

        Options at their defaults are left out, so that an option that a later version adds does
        not change the identity of a run.
        """
        given = {}
        for field in fields(self):
            default = field.default_factory() if field.default_factory is not MISSING else (
                field.default
            )  # fmt: skip
            value = getattr(self, field.name)
            if value != default:
                given[field.name] = _plain(value)
        return {self.name: given} if given else self.name

    @classmethod
    def options(cls, value: Any) -> Any:
        """Return the options for a value alone, such as 8 in ``{pca: 8}``."""
        if not cls.shorthand:
            raise ConfigError("it has no value; give its options as {name: value}, or none.")
        return {cls.shorthand: value}


def _plain(value: Any) -> Any:
    """Return `value` with lists in place of tuples, as JSON has it."""
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
