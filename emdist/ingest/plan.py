"""The ingest plan: several files as one stream of blocks of one dtype."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.errors import (
    ConfigError,
    DtypeError,
    EmdistError,
    ShapeError,
    StorageError,
    WeightError,
)
from emdist.ingest.files import reader_of, same_features
from emdist.ingest.table import File, Selection, Table
from emdist.interfaces import Array


@dataclass(frozen=True)
class IngestPlan:
    """What will be written: the files in order, and the dtype of the result.

    Attributes
    ----------
    tables
        One table per file. All have the same features.
    dtype
        The dtype of the result.
    """

    tables: tuple[Table, ...]
    dtype: np.dtype[Any]

    @property
    def features(self) -> tuple[str, ...]:
        """The d names of the features."""
        return self.tables[0].features

    @property
    def rows(self) -> int | None:
        """The number of rows of all files, or None if it is unknown for one of them."""
        known = [table.rows for table in self.tables if table.rows is not None]
        return sum(known) if len(known) == len(self.tables) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all files, each once."""
        return tuple(dict.fromkeys(note for table in self.tables for note in table.notes))

    def attributes(self, counts: Sequence[int]) -> Mapping[str, Any]:
        """Return JSON about the files, given the rows that were read from each.

        The attributes of a single file (an image's height and width) are at the top level. Those of
        several files are in ``files``, in order, with the rows of each file.
        """
        names = [table.file.name for table in self.tables]
        own: Mapping[str, Any] = dict(self.tables[0].attributes)
        if len(self.tables) > 1:
            own = {
                "files": [
                    {"name": table.file.name, "rows": rows, **table.attributes}
                    for table, rows in zip(self.tables, counts, strict=True)
                ]
            }
        return {"feature_names": list(self.features), "source": names, **own}

    def blocks(self, rows: int) -> Iterator[tuple[int, Array]]:
        """Yield (index of the file, block), files in order.

        A block has the shape (m, d), with m about `rows`, and the dtype of the plan.
        """
        for i, table in enumerate(self.tables):
            start = 0
            with _reading(table.file):
                for block in table.blocks(rows):
                    yield i, cast(block, self.dtype, table, start)
                    start += len(block)


def make_plan(files: Sequence[File], selection: Selection, dtype: str) -> IngestPlan:
    """Open every file as far as needed to know features and type. Rows are not read.

    Raises
    ------
    ShapeError
        If there is nothing to read, or if a file has other features than the first.
    """
    wanted = _wanted(dtype)
    tables = []
    for file in files:
        with _reading(file):
            tables.append(reader_of(file)(file, selection))
        same_features(tables[0].features, tables[-1].features, files[0], file)
    if not tables[0].features:
        raise ShapeError(f"{files[0]} has no columns to read, expected at least one feature.")
    plan = IngestPlan(tuple(tables), wanted or np.result_type(*(table.dtype for table in tables)))
    if plan.rows == 0:
        raise ShapeError(f"{files[0]} has no rows, expected at least one.")
    return plan


def _wanted(dtype: str) -> np.dtype[Any] | None:
    """Return the requested dtype, or None for "auto"."""
    if dtype == "auto":
        return None
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(object)
    if wanted.kind not in "iuf" or wanted.itemsize > 8:
        raise ConfigError(
            f"the dtype {dtype!r} cannot be used for features; use 'auto', 'float32', 'float64' "
            "or an integer type such as 'uint8'."
        )
    return wanted.newbyteorder("=")


def cast(block: Array, dtype: np.dtype[Any], table: Table, start: int) -> Array:
    """Return `block` as `dtype`. Floats may be rounded, but no other change of a value is allowed.

    Raises
    ------
    DtypeError
        For a value that `dtype` cannot hold. The message shows its row (0-based, in the file) and
        feature.
    """
    if block.dtype == dtype:
        return block
    with np.errstate(over="ignore", invalid="ignore"):
        out: Array = block.astype(dtype)
        if np.can_cast(block.dtype, dtype, "safe"):
            return out
        wrong = np.isinf(out) & np.isfinite(block) if dtype.kind == "f" else out != block
    if wrong.any():
        row, j = (int(i) for i in np.argwhere(wrong)[0])
        raise DtypeError(
            f"{table.file} has {block[row, j]} in row {start + row} of {table.features[j]!r}, "
            f"which {dtype} cannot hold; choose a wider dtype, or 'auto'."
        )
    return out


def check_weights(weights: Array, start: int, file: File) -> None:
    """Raise WeightError, with the row, for sample weights (m, 1) that are negative or infinite.

    NaN is refused too.
    """
    wrong = ~(np.isfinite(weights[:, 0]) & (weights[:, 0] >= 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise WeightError(
            f"{file} has the sample weight {weights[row, 0]} in row {start + row}, expected a "
            "finite number >= 0 (0 leaves a row out)."
        )


@contextmanager
def _reading(file: File) -> Iterator[None]:
    """Turn an OSError while reading into a StorageError that names the file."""
    try:
        yield
    except EmdistError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot read {file}: {reason}. Check its permissions.") from error
