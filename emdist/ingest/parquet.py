"""Parquet files, read batch by batch: numeric columns, and columns of equally long number lists.

A list column, such as an embedding of 768 floats, becomes 768 features ``name[0] ...``. Nulls
become NaN. So a column of integers that has nulls, or without statistics may have them, is read as
floating point. Memory depends on the block and on the pages of one row group.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from emdist.errors import ConfigError, DataError, ShapeError, StorageError
from emdist.ingest.table import File, Selection, Table, check_width, index_note, need, refuse_text
from emdist.inputs.index_columns import is_stored_index
from emdist.interfaces import Array
from emdist.untrusted.parquet import check_pages

suffixes = (".parquet", ".pq")

#: The largest footer in bytes. Once parsed, it takes twenty times as much.
_LONGEST_FOOTER = 16 << 20


@dataclass(frozen=True)
class Column:
    """One column of the file.

    Attributes
    ----------
    name
        The name in the schema.
    width
        The number of features that it becomes: 1, or the length of its lists.
    listed
        Whether its cells are lists.
    dtype
        The dtype of its values: floating point if nulls may occur.
    """

    name: str
    width: int
    listed: bool
    dtype: np.dtype[Any]

    @property
    def features(self) -> list[str]:
        """The names of its features, one for each."""
        return [f"{self.name}[{i}]" for i in range(self.width)] if self.listed else [self.name]


def open_parquet(file: File, selection: Selection) -> Table:
    """Open the numeric columns of a Parquet file."""
    with _corrupt(file), _file(file) as parquet:
        schema = parquet.schema_arrow
        check_width(len(schema), file)
        index = _index_columns(schema)
        chosen = [schema.field(i) for i in selection.pick(schema.names, file, index)]
        kinds = {field.name: _values(field.type) for field in chosen}
        refuse_text(
            file,
            [(field.name, str(field.type)) for field in chosen if kinds[field.name] is None],
            [name for name, kind in kinds.items() if kind is not None],
        )
        leaves = _leaves(parquet)
        _check_pages(parquet, {leaf for field in chosen for leaf in leaves[field.name]}, file)
        columns = tuple(_column(parquet, field, leaves[field.name], file) for field in chosen)
        check_width(sum(column.width for column in columns), file)
        rows = int(parquet.metadata.num_rows)
    features = tuple(name for column in columns for name in column.features)
    dtype = np.result_type(*(column.dtype for column in columns)) if columns else np.dtype(float)
    notes = index_note(index, [field.name for field in chosen]) if selection.only is None else ()
    return Table(file, features, dtype, rows, partial(_blocks, file, columns, dtype), notes=notes)


reader = open_parquet


def _index_columns(schema: Any) -> tuple[str, ...]:
    """Return the columns that pandas or dask wrote as an index, by metadata or by name."""
    found = [name for name in schema.names if is_stored_index(name)]
    try:
        columns = (schema.pandas_metadata or {}).get("index_columns", [])
        # A range index is described by its bounds and is not stored as a column.
        found += [name for name in columns if isinstance(name, str) and name in schema.names]
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass  # metadata that pandas did not write
    return tuple(dict.fromkeys(found))


@contextmanager
def _corrupt(file: File) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file into a DataError."""
    pa = need("pyarrow")
    try:
        yield
    except (DataError, ConfigError, StorageError, PermissionError):
        raise
    except (pa.lib.ArrowException, OSError, UnicodeDecodeError) as error:
        # pyarrow raises OSError for damaged pages
        detail = (
            str(error).splitlines()[0].rstrip(".")[:300] if str(error) else type(error).__name__
        )
        raise DataError(
            f"{file} is not a readable Parquet file: {detail}. Write it again."
        ) from error


def _file(file: File) -> Any:
    """Open a Parquet file, after a check of the size of its footer."""
    with file.path.open("rb") as stream:
        stream.seek(-min(8, file.path.stat().st_size), os.SEEK_END)
        footer, mark = int.from_bytes(stream.read(4), "little"), stream.read(4)
    if mark == b"PAR1" and footer > _LONGEST_FOOTER:
        raise DataError(
            f"{file} has {footer} bytes of metadata, but emdist reads at most {_LONGEST_FOOTER}. "
            "Write the file again with fewer columns or fewer row groups."
        )
    # Buffered instead of pre-buffered, so that memory depends on the page and not on the row group.
    return need("pyarrow.parquet").ParquetFile(
        str(file.path), pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True
    )


def _leaves(parquet: Any) -> dict[str, range]:
    """Return, for each column of the schema, the positions of the stored columns that form it."""
    found, first = {}, 0
    for field in parquet.schema_arrow:
        found[field.name] = range(first, first + _stored(field.type))
        first = found[field.name].stop
    if first != parquet.metadata.num_columns:
        raise OSError(
            f"its schema has {first} columns, but it stores {parquet.metadata.num_columns}"
        )
    return found


def _stored(kind: Any) -> int:
    """Return the number of columns as which a type is stored."""
    kind = getattr(kind, "storage_type", kind)
    return sum(_stored(kind.field(i).type) for i in range(kind.num_fields)) or 1


def _check_pages(parquet: Any, leaves: set[int], file: File) -> None:
    """Refuse pages that unpack to more than their values need, and lists that are too long."""
    metadata = parquet.metadata
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for leaf in leaves:
            check_width(row_group.column(leaf).num_values // max(1, row_group.num_rows), file)
    with file.path.open("rb") as stream:
        try:
            check_pages(stream, metadata, leaves)
        except ValueError as error:
            raise DataError(
                f"{file} is not a readable Parquet file: {error}. Write it again."
            ) from error


def _values(kind: Any) -> Any:
    """Return the Arrow type of a column's numbers, or None if it holds no numbers."""
    types = need("pyarrow").types
    if _is_list(kind):
        kind = kind.value_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return kind if number or types.is_boolean(kind) or types.is_null(kind) else None


def _is_list(kind: Any) -> bool:
    types = need("pyarrow").types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _column(parquet: Any, field: Any, leaves: range, file: File) -> Column:
    """Return what a column of the schema becomes in the array."""
    types = need("pyarrow").types
    kind = _values(field.type)
    if types.is_boolean(kind):
        dtype: np.dtype[Any] = np.dtype(np.uint8)
    elif types.is_null(kind) or types.is_decimal(kind):
        dtype = np.dtype(np.float64)
    else:
        dtype = np.dtype(kind.to_pandas_dtype())
    if dtype.kind != "f" and _may_be_null(parquet, leaves):
        dtype = np.result_type(dtype, np.float16)  # the smallest float type that holds every value
    listed = _is_list(field.type)
    return Column(field.name, _width(parquet, field, file) if listed else 1, listed, dtype)


def _may_be_null(parquet: Any, leaves: range) -> bool:
    """Return whether a row group has nulls in a column, or does not say that it has none."""
    metadata = parquet.metadata
    for leaf in leaves:
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(leaf).statistics
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                return True
    return False


def _width(parquet: Any, field: Any, file: File) -> int:
    """Return the length of a column's lists: from its type, or else from its first list."""
    if need("pyarrow").types.is_fixed_size_list(field.type):
        return int(field.type.list_size)
    for batch in parquet.iter_batches(batch_size=1, columns=[field.name]):
        for cell in batch.column(0):
            if cell.is_valid:
                return len(cell.values)
    raise ShapeError(
        f"{file} has only nulls in the list column {field.name!r}; leave the column out."
    )


def _blocks(
    file: File, columns: tuple[Column, ...], dtype: np.dtype[Any], rows: int
) -> Iterator[Array]:
    """Yield blocks of the columns, in order of the rows."""
    width = sum(column.width for column in columns)
    start = 0
    with _corrupt(file), _file(file) as parquet:
        names = [column.name for column in columns]
        for batch in parquet.iter_batches(batch_size=rows, columns=names):
            block = np.empty((batch.num_rows, width), dtype)
            j = 0
            for column in columns:
                cells = batch.column(batch.schema.get_field_index(column.name))
                block[:, j : j + column.width] = _numbers(cells, column, file, start)
                j += column.width
            yield block
            start += batch.num_rows


def _numbers(cells: Any, column: Column, file: File, start: int) -> Array:
    """Return the values (m, width) of one column of a batch whose first row is `start`."""
    if not column.listed:
        return _plain(cells, column.dtype).reshape(-1, 1)
    lengths = cells.value_lengths().to_numpy(zero_copy_only=False)
    valid = cells.is_valid().to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(valid & (lengths != column.width))
    if len(odd):
        raise ShapeError(
            f"{file} has a list of {int(lengths[odd[0]])} values in row {start + int(odd[0])} of "
            f"{column.name!r}, expected {column.width}. All lists must have the same length."
        )
    flat = _plain(cells.flatten(), column.dtype)  # flatten() leaves out the lists that are null
    if valid.all():
        return flat.reshape(-1, column.width)
    table: Array = np.full((len(cells), column.width), np.nan, column.dtype)
    table[valid] = flat.reshape(-1, column.width)
    return table


def _plain(cells: Any, dtype: np.dtype[Any]) -> Array:
    """Return the numbers (m,) of a flat Arrow array, with NaN for null."""
    pa = need("pyarrow")
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_null(cells.type) or pa.types.is_decimal(cells.type):
        cells = cells.cast(pa.float64())
    elif pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.uint8())
    values: Array = cells.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return values
