"""Data frames of polars in memory, read block by block without a copy of the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.errors import DtypeError
from emdist.inputs.arrays import as_array
from emdist.inputs.names import Names
from emdist.inputs.polars_frames import dtype_of, rows_of
from emdist.interfaces import Block, Floats
from emdist.store.sources.arrays import check_matrix, finite_rows
from emdist.store.sources.plan import block_bounds, native, usable_dtype


@dataclass(frozen=True, eq=False)
class FrameSource:
    """The rows of a polars.DataFrame. Use `frame_source` to make one.

    Attributes
    ----------
    frame
        The frame, whose columns are numbers.
    stored
        The dtype that holds the values of all columns.
    bounds, weight, non_finite, feature_names
        As in `ArraySource`.
    """

    frame: Any
    stored: np.dtype[Any]
    bounds: Sequence[int]
    weight: Floats | None = None
    non_finite: str = "raise"
    feature_names: Names = None

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.frame.height), int(self.frame.width)

    @property
    def dtype(self) -> np.dtype[Any]:
        return usable_dtype(self.stored, "X")

    @property
    def nbytes(self) -> int:
        """The bytes of the frame in memory."""
        return int(self.frame.estimated_size())

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def read(self, i: int) -> Block:
        a, b = self.bounds[i], self.bounds[i + 1]
        x = native(rows_of(self.frame.slice(a, b - a), self.stored))
        mask = finite_rows(x) if self.non_finite == "drop" else None
        return Block(i, a, x, None if self.weight is None else self.weight[a:b], mask)

    def fingerprint(self) -> Mapping[str, Any]:
        digest = hashlib.sha256()
        for i in range(len(self)):
            digest.update(self.read(i).x.tobytes())
        return {"kind": "array", "shape": list(self.shape), "sha256": digest.hexdigest()}


def frame_source(
    frame: Any, weight: Floats | None, block_bytes: int | None, non_finite: str, names: Names
) -> FrameSource:
    """Return a polars.DataFrame as a source.

    Raise ShapeError or DtypeError if it cannot be one. The message names the column.
    """
    others = [name for name, dtype in frame.schema.items() if not dtype.is_numeric()]
    if others:
        as_array(frame.select(others), "X", DtypeError)  # names a column of text or dates
    stored = dtype_of(frame, [frame[name].null_count() > 0 for name in frame.columns])
    check_matrix((frame.height, frame.width), "X")
    usable_dtype(stored, "X")
    bounds = block_bounds(frame.height, frame.width * stored.itemsize, 1, block_bytes)
    return FrameSource(frame, stored, bounds, weight, non_finite, names)
