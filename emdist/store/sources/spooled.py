"""Spooled rows: rows that can be read only once, such as those of a query, in a temporary file.

The file has no name, so that nothing stays behind however the process ends. Each pass reads its
blocks from there. Memory follows the block.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from emdist.errors import StorageError
from emdist.inputs.names import Names
from emdist.interfaces import Array, Block, Floats
from emdist.store.places.faults import told
from emdist.store.sources.arrays import check_matrix, finite_rows
from emdist.store.sources.plan import block_bounds, native, usable_dtype


class OwnFile:
    """A file that is closed when nobody refers to this object any more."""

    def __init__(self, file: IO[bytes]) -> None:
        self.number = file.fileno()
        weakref.finalize(self, file.close)


@dataclass(frozen=True, eq=False)
class SpooledSource:
    """Rows in a temporary file of this process. Use `spooled` to make one.

    Attributes
    ----------
    file
        The file, which holds the rows one after another. It is gone with the source.
    rows, features
        The shape of the data.
    stored
        The dtype of the values in the file.
    digest
        The SHA-256 of the file.
    bounds, weight, non_finite, feature_names
        As in `ArraySource`.
    """

    file: OwnFile = field(repr=False)
    rows: int
    features: int
    stored: np.dtype[Any]
    digest: str
    bounds: Sequence[int]
    weight: Floats | None = None
    non_finite: str = "raise"
    feature_names: Names = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.features

    @property
    def dtype(self) -> np.dtype[Any]:
        return usable_dtype(self.stored, "X")

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def read(self, i: int) -> Block:
        a, b = self.bounds[i], self.bounds[i + 1]
        out = np.empty((b - a, self.features), self.stored)
        view = memoryview(out.reshape(-1).view(np.uint8).data)
        start, done = a * self.features * self.stored.itemsize, 0
        with told("read the temporary file of", "X"):
            while done < len(view):
                count = os.preadv(self.file.number, [view[done:]], start + done)
                if count == 0:
                    raise StorageError("The temporary file of X is cut off. Fit again.")
                done += count
        x = native(out)
        mask = finite_rows(x) if self.non_finite == "drop" else None
        return Block(i, a, x, None if self.weight is None else self.weight[a:b], mask)

    def fingerprint(self) -> Mapping[str, Any]:
        return {"kind": "array", "shape": list(self.shape), "sha256": self.digest}


def spooled(
    batches: Iterable[Array],
    features: int,
    dtype: np.dtype[Any],
    weight: Floats | None,
    block_bytes: int | None,
    non_finite: str,
    names: Names,
) -> SpooledSource:
    """Write `batches` of rows (m, features) to a temporary file, and return it as a source.

    Raises
    ------
    StorageError
        If the folder of temporary files has too little space; the message names ``TMPDIR``.
    ShapeError, DtypeError
        As `array_source` does.
    """
    usable_dtype(dtype, "X")
    folder = tempfile.gettempdir()
    digest, rows = hashlib.sha256(), 0
    with told("write the rows of X to", f"{folder}, the folder of temporary files (set TMPDIR)"):
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  the source holds it
        owned = OwnFile(file)
        for batch in batches:
            raw = memoryview(np.ascontiguousarray(batch, dtype).reshape(-1).view(np.uint8).data)
            digest.update(raw)
            while raw:
                raw = raw[file.write(raw) or 0 :]
            rows += len(batch)
    check_matrix((rows, features), "X")
    bounds = block_bounds(rows, features * dtype.itemsize, 1, block_bytes)
    return SpooledSource(
        owned, rows, features, dtype, digest.hexdigest(), bounds, weight, non_finite, names
    )
