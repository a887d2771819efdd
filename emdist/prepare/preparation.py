"""`Preparation`: steps with what they have learned, as one function of rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.errors import NonFiniteError, ShapeError
from emdist.interfaces import Array, Block, Floats
from emdist.kernels.tiles.scaling import scaled
from emdist.kernels.tiles.tiles import shifted, tiles
from emdist.prepare.base import Affine, LearnedArrays, PrepareStep, RowsAt

#: Bytes of a tile of rows in float64. Matrix products gain from tiles larger than those of kernels.
_TILE = 1 << 19

#: How to go on with missing values where steps need complete rows, by step, and otherwise.
_COMPLETE = {
    "normalise": "leave out the step normalise, which needs complete rows",
    "pca": "give pca the option missing: pairwise",
}
_COUNTED = "or to 'missing' if NaN stands for values missing at random."

#: A part of the work on a tile: an affine map, or a step that is none.
_Part: TypeAlias = Affine | Callable[[Floats, RowsAt], Floats]


@dataclass(frozen=True, eq=False)
class Preparation:
    """Steps in their order, with what each has learned. It is picklable, and cheap to apply.

    Attributes
    ----------
    n_features_in
        How many features the rows have before the first step.
    steps
        The steps.
    learned
        What each step has learned.
    notes
        What users are told of how it was learned, such as the number of passes.
    doubts
        Warnings about what was learned.
    """

    n_features_in: int
    steps: tuple[PrepareStep, ...] = ()
    learned: tuple[LearnedArrays, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = field(default=())

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def then(self, step: PrepareStep, learned: LearnedArrays, doubts: list[str]) -> Preparation:
        """Return the preparation with one more step."""
        return replace(
            self,
            steps=(*self.steps, step),
            learned=(*self.learned, learned),
            doubts=(*self.doubts, *doubts),
        )

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The number of features before the first step, and after each step.

        Raises
        ------
        CheckpointError
            If what the steps have learned does not fit together.
        """
        found = [self.n_features_in]
        for step, learned in zip(self.steps, self.learned, strict=True):
            found.append(step.features(found[-1], learned))
        return tuple(found)

    @property
    def n_features(self) -> int:
        """How many features the rows have after the last step."""
        return self.widths[-1]

    def names_out(self, names: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the names of the features afterwards; x0, x1, ... are those of unnamed ones."""
        found = names or tuple(f"x{j}" for j in range(self.n_features_in))
        for step, learned in zip(self.steps, self.learned, strict=True):
            found = step.names(found, learned)
        return found

    def dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype of prepared rows: float32 for floats and integers of few bits."""
        narrow = dtype == np.float32 or dtype.itemsize < 4
        return np.dtype(np.float32 if narrow and self.steps else np.float64)

    @cached_property
    def _parts(self) -> tuple[_Part, ...]:
        """The work on a tile: affine steps that follow each other are one matrix product."""
        parts: list[_Part] = []
        joined: Affine | None = None
        for step, learned in zip(self.steps, self.learned, strict=True):
            affine = step.affine(learned)
            if affine is not None:
                joined = affine if joined is None else joined.then(affine)
                continue
            if joined is not None:
                parts.append(joined)
                joined = None
            parts.append(partial(_stepped, step, learned))
        if joined is not None:
            parts.append(joined)
        return tuple(parts)

    def tiles(self, block: Block, missing: bool = True) -> Iterator[tuple[int, int, Floats]]:
        """Yield the prepared rows a..b of a block in float64, tile by tile, as ``(a, b, rows)``.

        `missing` says that NaN is accepted where the steps can take it.

        Raises
        ------
        DataError
            If a row that counts holds infinity, or a missing value that a step cannot take, or
            values outside of a step's domain.
        """
        d = max(self.widths)
        rows = int(min(8192, max(512, _TILE // (8 * d))))
        checked = block.x.dtype.kind == "f"
        parts = self._parts
        # An affine map begins with a difference, which is taken while the tile is read.
        begins = parts[0] if parts and isinstance(parts[0], Affine) else None
        for a, b in tiles(len(block.x), rows):
            if begins is not None:
                x = shifted(block.x[a:b], begins.shift, "float64")
            else:
                x = block.x[a:b].astype(np.float64)
            at = RowsAt(block.start + a, None if block.mask is None else block.mask[a:b])
            # Rows that are left out may hold anything.
            with np.errstate(all="ignore"):
                if checked and not np.isfinite(x.sum()):
                    self._check(block.x[a:b], at, block.missing_note, missing)
                for i, part in enumerate(parts):
                    if isinstance(part, Affine):
                        x = part.scaled(x) if i == 0 else part(x)
                    else:
                        x = part(x, at)
            yield a, b, x

    def _check(self, x: Array, at: RowsAt, note: str, missing: bool) -> None:
        """Raise NonFiniteError if a row holds infinity, or NaN that is not accepted."""
        if len(rows := at.wrong(np.isinf(x).any(axis=1))):
            row = int(rows[0])
            j = int(np.argmax(np.isinf(x[row])))
            raise NonFiniteError(
                f"Input contains infinity: row {at.first + row} has {x[row, j]} in feature {j}. "
                "Replace these values, or set data.non_finite to 'drop' to leave these rows out."
            )
        refuses = list(dict.fromkeys(one.name for one in self.steps if one.refuses_missing))
        if (refuses or not missing) and len(rows := at.wrong(np.isnan(x).any(axis=1))):
            row = int(rows[0])
            j = int(np.argmax(np.isnan(x[row])))
            raise NonFiniteError(
                f"Input contains NaN: row {at.first + row} has nan in feature {j}{note}. Set "
                "data.non_finite to 'drop' to leave such rows out, "
                + (f"or {' and '.join(map(_complete, refuses))}." if refuses else _COUNTED)
            )

    def __call__(self, block: Block) -> Array:
        """Return the prepared rows of a block, (n, n_features). Raises the errors of `tiles`."""
        out = np.empty((len(block.x), self.n_features), self.dtype(block.x.dtype))
        match self._parts:
            case (Affine(shift, factor, None),) if factor.ndim == 1:
                if scaled(block.x, shift, factor, out):
                    return out
        for a, b, x in self.tiles(block):
            with np.errstate(all="ignore"):
                out[a:b] = x
        return out

    def counted(self, block: Block, missing: bool = True) -> Iterator[tuple[Floats, Floats | None]]:
        """Yield the prepared rows of a block that count, with their weights, tile by tile."""
        for a, b, x in self.tiles(block, missing):
            mask = None if block.mask is None else block.mask[a:b]
            weight = None if block.weight is None else block.weight[a:b]
            if mask is not None and not mask.all():
                yield x[mask], None if weight is None else weight[mask]
            else:
                yield x, weight

    @property
    def inverted_from(self) -> int:
        """The number of steps from the first that have no inverse. See `inverse`."""
        last = [i for i, step in enumerate(self.steps) if not step.inverts]
        return last[-1] + 1 if last else 0

    def inverse(self, x: NDArray[Any]) -> Floats:
        """Return prepared rows `x` (m, n_features) in the units of the data, as far as possible.

        A step without an inverse (normalise) ends it, with a warning: the rows are then in the
        units after it. Principal components that were not kept are taken at their mean.

        Raises
        ------
        ShapeError
            If `x` is not of this shape.
        """
        if np.ndim(x) != 2 or np.shape(x)[1] != self.n_features:
            raise ShapeError(
                f"x has the shape {np.shape(x)}; expected prepared rows, (n, {self.n_features}), "
                "such as the means of the model."
            )
        if self.inverted_from:
            warnings.warn(
                f"The step {self.steps[self.inverted_from - 1].name} cannot be undone: it does not "
                f"keep the size of a row. The result is {self.units}, not in those of the data.",
                UserWarning,
                stacklevel=2,
            )
        return self.moved_back(x)

    def moved_back(self, x: NDArray[Any]) -> Floats:
        """Return what `inverse` returns, for those who know in which `units` it is."""
        found = np.array(x, np.float64)
        for i in range(len(self.steps) - 1, self.inverted_from - 1, -1):
            found = self.steps[i].invert(found, self.learned[i])
        return found

    @property
    def mixing(self) -> str:
        """The name of the first step that mixes the features of a row, or "" if none does."""
        return next((step.name for step in self.steps if step.mixes), "")

    @property
    def scale(self) -> Floats | None:
        """(d,) the factor by which differences of a feature grow; None if it is not constant."""
        match self._parts:
            case ():
                return np.ones(self.n_features_in)
            case (Affine(_, factor, _),) if factor.ndim == 1:
                return factor
        return None

    @property
    def units(self) -> str:
        """In which units `inverse` returns values, in words."""
        at = self.inverted_from
        return f"in units after {self.steps[at - 1].name}" if at else "in the units of the data"

    def config(self) -> list[Any]:
        """Return the steps as a configuration has them."""
        return [step.config() for step in self.steps]


def _complete(name: str) -> str:
    """Return how to go on with missing values where the step `name` refuses them."""
    return _COMPLETE.get(name, f"leave out the step {name}")


def _stepped(step: PrepareStep, learned: LearnedArrays, x: Floats, at: RowsAt) -> Floats:
    return step.apply(x, learned, at)
