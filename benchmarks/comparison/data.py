"""The data of the workloads: drawn once and stored, so that every contender reads the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from emdist.interfaces import Array

#: Number of rows that are drawn at a time.
_STRETCH = 1 << 17


@dataclass(frozen=True)
class Clusters:
    """Gaussian clusters of unit width, or clusters of binary data.

    Attributes
    ----------
    rows, features, components
        Number of rows, of features, and of components of data and start.
    dtype
        Data type of rows and start.
    spread
        Standard deviation of the clusters' centres. With 2, clusters overlap if there are few
        features; with 20 they do not.
    bits
        Whether rows are 0 and 1, with a probability for each cluster and feature.
    offset
        A number that is added to all values.
    start
        The starting centres. "rows": randomly drawn rows; "near": the true centres with noise.
    """

    rows: int
    features: int
    components: int
    dtype: Literal["float32", "float64"] = "float32"
    spread: float = 2.0
    bits: bool = False
    offset: float = 0.0
    start: Literal["rows", "near"] = "rows"

    def __str__(self) -> str:
        return f"{_short(self.rows)} x {self.features}, k={self.components}, f{self.dtype[-2:]}"

    @property
    def nbytes(self) -> int:
        return self.rows * self.features * np.dtype(self.dtype).itemsize

    def centres(self) -> Array:
        """Draw the (k, d) means, or the probabilities of binary data."""
        rng = np.random.default_rng([0, self.features, self.components])
        if self.bits:
            return rng.uniform(0.1, 0.9, (self.components, self.features))
        return rng.normal(0, self.spread, (self.components, self.features)) + self.offset

    def draw(self, at: int, rows: int) -> Array:
        """Draw `rows` rows from row `at` on; the result does not depend on earlier calls."""
        rng = np.random.default_rng([1, at])
        centres = self.centres().astype(self.dtype)
        of = centres[rng.integers(self.components, size=rows)]
        if self.bits:
            return (rng.random(of.shape, dtype=np.float32) < of).astype(self.dtype)
        noise = rng.standard_normal(of.shape, dtype=np.dtype(self.dtype).type)
        noise += of
        return noise

    def begin(self, x: Array) -> Array:
        """Draw the (k, d) starting centres."""
        rng = np.random.default_rng(2)
        if self.bits:
            return (0.25 + 0.5 * rng.random((self.components, self.features))).astype(self.dtype)
        if self.start == "near":
            return (self.centres() + rng.normal(0, 0.5, self.centres().shape)).astype(self.dtype)
        return x[np.sort(rng.choice(len(x), self.components, replace=False))].copy()


def in_memory(data: Clusters, folder: Path) -> Mapping[str, Path]:
    """Write ``x`` and ``start`` as .npy files if they are not there, and return the files."""
    name = _name(data)
    files = {"x": folder / f"{name}.npy", "start": folder / f"{name}-start.npy"}
    if not files["start"].exists():
        x = np.lib.format.open_memmap(
            files["x"], "w+", data.dtype, (data.rows, data.features)
        )  # fmt: skip
        for at in range(0, data.rows, _STRETCH):
            x[at : at + _STRETCH] = data.draw(at, min(_STRETCH, data.rows - at))
        np.save(files["start"], data.begin(x))
    return files


def on_disk(
    data: Clusters,
    folder: Path,
    chunk_bytes: int,
    compressed: bool = False,
    decimals: int | None = None,
) -> Mapping[str, Path]:
    """Write ``x`` as Zarr in chunks of about `chunk_bytes`, and ``start`` as .npy.

    `decimals` rounds values, as measuring instruments do, which makes them compressible.
    """
    name = f"{_name(data)}-{chunk_bytes}{'-zstd' if compressed else ''}"
    files = {"x": folder / f"{name}.zarr", "start": folder / f"{name}-start.npy"}
    if files["start"].exists():
        return files
    row = data.features * np.dtype(data.dtype).itemsize
    chunk = max(1, min(chunk_bytes // row, data.rows))
    kwargs: dict[str, Any] = {"compressors": "auto" if compressed else None}
    array = zarr.create_array(
        files["x"],
        shape=(data.rows, data.features),
        chunks=(chunk, data.features),
        dtype=data.dtype,
        overwrite=True,
        **kwargs,
    )
    first: Array | None = None
    for at in range(0, data.rows, chunk):
        x = data.draw(at, min(chunk, data.rows - at))
        if decimals is not None:
            x = x.round(decimals)
        array[at : at + len(x)] = x
        first = x if first is None else first
    assert first is not None
    np.save(files["start"], data.begin(first))
    return files


def _name(data: Clusters) -> str:
    parts = (data.rows, data.features, data.components, data.dtype, data.spread, data.offset)
    kind = "bits" if data.bits else "near" if data.start == "near" else "rows"
    return "-".join(str(part) for part in (*parts, kind))


def _short(n: int) -> str:
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n / size:.3g}{letter}"
    return str(n)
