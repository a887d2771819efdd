"""Ingest: copies files of many formats into one chunked Zarr array with checksums.

Each format is one module here with the constants `suffixes` and `reader`. To add a format, add a
file: this package is scanned for them. See `emdist.ingest.table.Reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emdist.errors import ConfigError, DataError, ShapeError
from emdist.ingest.files import find, order_note
from emdist.ingest.plan import IngestPlan, check_weights, make_plan
from emdist.ingest.table import File, Selection
from emdist.ingest.target import KEY, Growing, Output, sibling, storing, written_by
from emdist.store.places.location import Location
from emdist.store.runs.run_record import digest

__all__ = ["IngestSummary", "ingest"]


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest wrote.

    Attributes
    ----------
    rows, features
        The shape of the array.
    dtype
        The dtype of the array.
    bytes_read
        The size of the source files in bytes.
    bytes_stored
        The size of the array as stored, compressed, with its metadata and without the weights.
    chunks
        The number of chunks.
    target
        The location of the array.
    weights
        The location of the sample weights, (rows,) float64, or None.
    notes
        The order of several files, and what did not reach the array, such as an index or an alpha
        band.
    """

    rows: int
    features: int
    dtype: str
    bytes_read: int
    bytes_stored: int
    chunks: int
    target: Location
    weights: Location | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "rows": self.rows,
            "features": self.features,
            "dtype": self.dtype,
            "chunks": self.chunks,
            "bytes_read": self.bytes_read,
            "bytes_stored": self.bytes_stored,
            "target": str(self.target),
            "weights": None if self.weights is None else str(self.weights),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Layout:
    """Checked settings of how the array is written."""

    rows_per_chunk: int | None
    chunk_bytes: int

    def __post_init__(self) -> None:
        for name, value in (
            ("rows_per_chunk", self.rows_per_chunk),
            ("chunk_bytes", self.chunk_bytes),
        ):
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}, expected at least 1.")

    def rows(self, plan: IngestPlan) -> int:
        """Return the rows of a chunk: about `chunk_bytes`, at least one row, at most all rows."""
        per_row = len(plan.features) * plan.dtype.itemsize
        rows = self.rows_per_chunk or max(1, self.chunk_bytes // per_row)
        return min(rows, plan.rows or rows)


def ingest(
    source: str | Path | Sequence[str | Path],
    target: Location | str | Path,
    *,
    columns: Sequence[str | int] | None = None,
    weight_column: str | int | None = None,
    dtype: str = "auto",
    rows_per_chunk: int | None = None,
    chunk_bytes: int = 8 << 20,
    overwrite: bool = False,
    reduced: bool = False,
    done: Callable[[int, int], None] | None = None,
) -> IngestSummary:
    """Write the rows of files to a new Zarr v3 array (rows, features).

    Files are streamed: memory depends on the chunk and never on the file, except for images, of
    which one at a time is in memory. The array has whole rows in its chunks, zstd with a checksum,
    dimension names ``row, feature``, and the attributes ``feature_names``, ``source`` (file names),
    ``emdist.format`` and ``emdist.complete``. Images add ``height, width, bands``; several images
    have these in ``files``.

    A local target is built as ``<target>.partial-<nonce>`` and renamed when it is complete and on
    disk. After a kill, such a folder stays until the next ingest to the same target, which removes
    it. On an object store, the array has ``emdist.complete: false`` until its last chunk is
    written.

    Parameters
    ----------
    source
        A file, a folder (its files of a known format), a pattern (``data/*.npy``), both in natural
        order (``part.2`` before ``part.10``), a list of these in its order, ``file.npz:member``, or
        one of the photographs ``sklearn:china.jpg`` and ``sklearn:flower.jpg``. Several files are
        concatenated.
    target
        The location of the new array.
    columns
        The names or 0-based positions of the features, in this order. None takes all columns,
        except those that pandas, dask or R wrote as an index.
    weight_column
        A column of sample weights. It is no feature: it becomes a second array (rows,) float64
        beside the target, ``<target without .zarr>-weights.zarr``.
    dtype
        "auto" keeps the files' own type, or the common type of mixed columns (float64 for CSV).
        Otherwise the type to convert to. A value that it cannot hold is an error.
    rows_per_chunk, chunk_bytes
        The number of rows in a chunk, or, if that is None, its size in bytes before compression.
    overwrite
        Whether to replace arrays at the target, once the new ones are complete.
    reduced
        Whether 16-bit colours may be read as 8 bits, which is all that Pillow gives of them.
    done
        A function that is called after each block with (rows written, rows in all; 0 if unknown).

    Raises
    ------
    NotFoundError, ConfigError
        For a missing file, column, member or reader package, or an unknown format.
    ShapeError, DtypeError, WeightError, DataError
        For data that are no table of real numbers, or a damaged file.
    OutputExistsError, StorageError
        If something other than the result of the same ingest is at the target. If the target cannot
        be written, or the source cannot be read.
    """
    layout = _Layout(rows_per_chunk, chunk_bytes)
    final = target if isinstance(target, Location) else Location(str(target))
    files = find(source)
    _keep_sources(files, final)
    how = [columns and list(columns), weight_column, dtype, rows_per_chunk, chunk_bytes, reduced]
    key = _key(files, how)
    if not overwrite and (there := _done_already(files, final, key, weight_column)) is not None:
        return there
    apart = () if weight_column is None else (weight_column,)
    plan = make_plan(files, Selection(_only(columns), apart, reduced), dtype)
    weights = make_plan(files, Selection(apart), "float64") if apart else None
    found = _store(plan, weights, final, layout, overwrite, key, done)
    return replace(found, notes=(*order_note(source, files), *found.notes))


def _key(files: Sequence[File], settings: Sequence[Any]) -> str:
    """Return a digest of names, sizes and times of the files, and of the settings."""
    seen = [(file.name, file.path.stat()) for file in files]
    return digest([[name, at.st_size, at.st_mtime_ns] for name, at in seen] + list(settings))


def _done_already(
    files: Sequence[File], final: Location, key: str, weight_column: str | int | None
) -> IngestSummary | None:
    """Return what an ingest with this `key` wrote at `final`, if that is there and complete."""
    beside = None if weight_column is None else _weights_of(final)
    found = [written_by(place, key) for place in (final, beside) if place is not None]
    array = found[0]
    if array is None or None in found:
        return None
    return IngestSummary(
        rows=array.shape[0],
        features=array.shape[1],
        dtype=str(array.dtype),
        bytes_read=sum(path.stat().st_size for path in {file.path for file in files}),
        bytes_stored=int(array.nbytes_stored()),
        chunks=array.nchunks,
        target=final,
        weights=beside,
        notes=("done already: the target is complete, and the source has not changed",),
    )


def _weights_of(final: Location) -> Location:
    return sibling(final, f"{final.name.removesuffix('.zarr')}-weights.zarr")


def _store(
    plan: IngestPlan,
    weights: IngestPlan | None,
    final: Location,
    layout: _Layout,
    overwrite: bool,
    key: str,
    done: Callable[[int, int], None] | None,
) -> IngestSummary:
    """Write the features and, beside them, the weights. Both or neither become visible."""
    beside = _weights_of(final)
    with _output(final, overwrite) as built:
        if weights is None:
            rows, chunks, stored = _write(plan, built, layout.rows(plan), key, done)
        else:
            with _output(beside, overwrite) as built_weights:
                rows, chunks, stored = _write(plan, built, layout.rows(plan), key, done)
                _write_weights(weights, built_weights, min(layout.rows(plan), rows), key, rows)
    return IngestSummary(
        rows=rows,
        features=len(plan.features),
        dtype=str(plan.dtype),
        bytes_read=sum(path.stat().st_size for path in {table.file.path for table in plan.tables}),
        bytes_stored=stored,
        chunks=chunks,
        target=final,
        weights=None if weights is None else beside,
        notes=plan.notes,
    )


def _only(columns: Sequence[str | int] | None) -> tuple[str | int, ...] | None:
    if isinstance(columns, str):
        raise ConfigError(f"ingest.columns is {columns!r}, expected a list: [{columns!r}].")
    return None if columns is None else tuple(columns)


def _keep_sources(files: Sequence[File], final: Location) -> None:
    """Refuse a target whose replacement would remove a source file."""
    for file in files:
        if final.is_local and file.path.resolve().is_relative_to(final.path.resolve()):
            raise ConfigError(
                f"the target {final} contains the source {file}; choose another target."
            )


@contextmanager
def _output(target: Location, overwrite: bool) -> Iterator[Location]:
    """Yield the location to build at.

    Commit it to `target` at the end; remove it after a failure.
    """
    with storing(target):
        output = Output.prepare(target, overwrite)
        built = False
        with output.owned():
            try:
                yield output.building
                built = True
            finally:
                if not built:
                    output.discard()
            output.commit(overwrite)


def _write(
    plan: IngestPlan,
    location: Location,
    rows: int,
    key: str,
    done: Callable[[int, int], None] | None,
) -> tuple[int, int, int]:
    """Write the array at `location`. Return (rows, chunks, bytes stored)."""
    array = Growing(location, plan.dtype, (len(plan.features),), rows, plan.rows)
    counts = [0] * len(plan.tables)
    for i, block in plan.blocks(rows):
        array.append(block)
        counts[i] += len(block)
        if done is not None:
            done(sum(counts), plan.rows or 0)
    if not sum(counts):
        raise ShapeError(f"{plan.tables[0].file} has no rows, expected at least one.")
    chunks, stored = array.close({**plan.attributes(counts), KEY: key})
    return sum(counts), chunks, stored


def _write_weights(
    plan: IngestPlan, location: Location, rows: int, key: str, expected: int
) -> None:
    """Write the array of sample weights, which must have as many rows as the features."""
    array = Growing(location, np.dtype(np.float64), (), rows, expected)
    counts = [0] * len(plan.tables)
    for i, block in plan.blocks(rows):
        check_weights(block, counts[i], plan.tables[i].file)
        array.append(block)
        counts[i] += len(block)
    if sum(counts) != expected:
        raise DataError(
            f"the weights have {sum(counts)} rows, but the features have {expected}, because a "
            "source file changed while emdist read it. Ingest it again."
        )
    array.close({"source": [table.file.name for table in plan.tables], KEY: key})
