"""A NumPy array as a source of blocks, and checks of its shape and values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.errors import ShapeError
from emdist.inputs.names import Names
from emdist.interfaces import Array, Block, Floats
from emdist.store.sources.plan import block_bounds, native, usable_dtype


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Rows in memory. Use `array_source` to make one.

    Attributes
    ----------
    x
        The data, shape (n, d).
    weight
        The sample weights, shape (n,), or None.
    bounds
        The block plan: the first row of each block, then n.
    non_finite
        What happens to rows with NaN or infinity. "drop" masks them. With "raise", blocks contain
        them, and the survey raises an error. With "missing", blocks contain them too, but the
        survey accepts NaN and refuses only infinity.
    feature_names
        The names of the columns, or None.
    """

    x: Array
    weight: Floats | None
    bounds: Sequence[int]
    non_finite: str = "raise"
    feature_names: Names = None

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.x.shape[0]), int(self.x.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return usable_dtype(self.x.dtype, "X")

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def read(self, i: int) -> Block:
        a, b = self.bounds[i], self.bounds[i + 1]
        x = native(self.x[a:b])
        mask = finite_rows(x) if self.non_finite == "drop" else None
        return Block(i, a, x, None if self.weight is None else self.weight[a:b], mask)

    def fingerprint(self) -> Mapping[str, Any]:
        digest = hashlib.sha256(np.ascontiguousarray(self.x).tobytes()).hexdigest()
        return {"kind": "array", "shape": list(self.shape), "sha256": digest}


def finite_rows(x: Array, missing: bool = False) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return the mask (n,) of rows without NaN or infinity, or None if all rows are finite.

    If `missing`, NaN is allowed.
    """
    if x.dtype.kind != "f":
        return None
    # A sum is finite only if all its terms are. It overflows only for values near the maximum, and
    # the slow path below then finds that the rows are finite.
    with np.errstate(over="ignore", invalid="ignore"):
        total = x.sum()  # in its own precision: a cast would cost more than the sum
    if np.isfinite(total):
        return None
    bad = np.isinf(x) if missing else ~np.isfinite(x)
    mask = np.asarray(~bad.any(axis=1))
    return None if bool(mask.all()) else mask


def array_source(
    x: Array,
    weight: Floats | None = None,
    block_bytes: int | None = None,
    non_finite: str = "raise",
) -> ArraySource:
    """Return `x` (n, d) as a source. Raise ShapeError or DtypeError if it cannot be one."""
    check_matrix(x.shape, "X")
    usable_dtype(x.dtype, "X")
    row_bytes = x.shape[1] * x.dtype.itemsize
    bounds = block_bounds(x.shape[0], row_bytes, 1, block_bytes)
    return ArraySource(x, weight, bounds, non_finite)


def check_matrix(shape: tuple[int, ...], what: str) -> None:
    """Raise ShapeError unless `shape` is (n, d) with n and d at least 1."""
    if len(shape) != 2:
        remedy = (
            "Reshape your data to (n, 1) if it has one feature, or to (1, d) if it is one row."
            if len(shape) == 1
            else "Reshape it to (rows, features), one row per sample."
        )
        raise ShapeError(
            f"{what} has {len(shape)} dimension(s), shape {shape}; expected 2: (rows, features). "
            f"{remedy}"
        )
    if 0 in shape:
        empty = "sample" if shape[0] == 0 else "feature"
        raise ShapeError(
            f"{what} is empty: 0 {empty}(s) (shape={shape}) while a minimum of 1 is required. "
            "Check that the writer finished and that the path names the right array."
        )
