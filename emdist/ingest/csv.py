"""CSV and other delimited text, plain or gzipped, read as a stream of blocks.

Every column is read as float64 (integers are exact up to 2^53), because a type guessed from the
first block may not hold for the rest of the file. Empty cells, ``NA`` and ``null`` become NaN. The
first line is a header unless all its cells are numbers or blank. Without a header, columns are
named ``x0, x1, ...``. The delimiter is the most frequent of ``, ; | tab`` in the first line (tab
for .tsv), or a single space if none of these occurs in a .txt file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from emdist.errors import ConfigError, DataError, DtypeError, ShapeError, StorageError
from emdist.ingest.table import File, Selection, Table, index_note, need, refuse_text
from emdist.inputs.index_columns import ROW_NAMES
from emdist.inputs.validation import is_number
from emdist.interfaces import Array

suffixes = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")

#: Bytes of text that are parsed at a time. A line must fit. pyarrow's read-ahead holds about forty
#: times as much, so larger blocks would cost hundreds of MB.
_BLOCK = 1 << 20
_LONGEST_LINE = 2 << 20
#: The largest number of columns: pyarrow takes ten kilobytes for each, whatever it holds.
_WIDEST = 1 << 15
#: The number of columns whose types are guessed at a time.
_GUESSED = 1 << 10

#: The types that pyarrow guesses for columns that can be features.
_NUMERIC = ("int64", "double", "null", "bool")


@dataclass(frozen=True)
class Dialect:
    """How one file is written.

    Attributes
    ----------
    delimiter
        The delimiter, one character.
    names
        The column names if the file has no header, else None.
    block
        The bytes to parse at a time.
    """

    delimiter: str
    names: tuple[str, ...] | None
    block: int


def open_csv(file: File, selection: Selection) -> Table:
    """Open the numeric columns of a delimited text file. The number of rows is not known yet."""
    with _faults(file):
        dialect = _dialect(file)
    with _faults(file, dialect.block):
        text = _first_block(file, dialect)
        names = _names(text, dialect)
        index = _index_columns(names, dialect)
        chosen = [names[i] for i in selection.pick(names, file, index)]
        if "" in chosen and selection.only is None:
            raise DataError(
                f"{file} has a column without a name, perhaps because its lines end with a "
                "delimiter; choose the features (ingest.columns)."
            )
        kinds, bad = _kinds(text, dialect, chosen)
        refuse_text(file, bad, [name for name in kinds if kinds[name] in _NUMERIC])
    flags = tuple(name for name, kind in kinds.items() if kind == "bool")
    return Table(
        file,
        tuple(kinds),
        np.dtype(np.float64),
        None,
        partial(_blocks, file, dialect, tuple(kinds), flags),
        notes=index_note(index, tuple(kinds)) if selection.only is None else (),
    )


reader = open_csv


def _index_columns(names: Sequence[str], dialect: Dialect) -> tuple[str, ...]:
    """Return the first column if pandas or R wrote row names there: no name, or "Unnamed: 0"."""
    if dialect.names is not None or not names or len(names) == 1:
        return ()
    return (names[0],) if names[0] in ROW_NAMES else ()


def _first_block(file: File, dialect: Dialect) -> Any:
    """Return the first lines, as many as are parsed at a time, in a pyarrow buffer."""
    pa = need("pyarrow")
    with pa.input_stream(str(file.path)) as stream:
        text = stream.read(dialect.block)
        whole = len(text) < dialect.block or not stream.read(1)
    end = len(text) if whole else max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
    return pa.py_buffer(text[:end])


def _names(text: Any, dialect: Dialect) -> list[str]:
    """Return the names of all columns.

    Cells are not converted, because that would take memory for each column.
    """
    names: list[str] = _parsed(
        text, dialect, null_values=[], true_values=[], false_values=[]
    ).schema.names
    return names


def _kinds(
    text: Any, dialect: Dialect, chosen: Sequence[str]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the type that pyarrow guesses for each column, and the contents of non-numeric ones.

    To save memory, it looks at some columns at a time, in this thread. For each column, pyarrow
    takes kilobytes for the spellings of NaN. If another thread did this, the reading that follows
    could not use the memory that this thread has freed.
    """
    kinds: dict[str, str] = {}
    bad = []
    for start in range(0, len(chosen), _GUESSED):
        some = chosen[start : start + _GUESSED]
        table = _parsed(text, dialect, include_columns=some)
        for name, column in zip(some, table.columns, strict=True):
            kinds[name] = str(column.type)
            if kinds[name] not in _NUMERIC:
                bad.append((name, _content(column)))
    return kinds, bad


def _content(column: Any) -> str:
    """Describe the content of a non-numeric column, for a message."""
    if str(column.type) != "string":
        return str(column.type)
    words = (str(cell) for cell in column if not _is_number(str(cell)) and cell.is_valid)
    return f"text such as {next(words, '')[:30]!r}"


def _parsed(text: Any, dialect: Dialect, **convert: Any) -> Any:
    """Return the table in a buffer."""
    pa, pc = need("pyarrow"), need("pyarrow.csv")
    return pc.read_csv(
        pa.BufferReader(text),
        read_options=_reading(dialect, use_threads=False),
        parse_options=pc.ParseOptions(delimiter=dialect.delimiter),
        convert_options=pc.ConvertOptions(**convert),
    )


def _reading(dialect: Dialect, *, use_threads: bool) -> Any:
    return need("pyarrow.csv").ReadOptions(
        block_size=dialect.block,
        column_names=dialect.names and list(dialect.names),
        use_threads=use_threads,
    )


@contextmanager
def _faults(file: File, block: int = _BLOCK) -> Iterator[None]:
    """Turn what pyarrow raises into an error that says what to do.

    `block` is the number of bytes that pyarrow parses at a time.
    """
    pa = need("pyarrow")
    try:
        yield
    except (DataError, ConfigError, StorageError, PermissionError):
        raise
    except UnicodeDecodeError as error:
        raise _not_utf8(file) from error
    except (pa.lib.ArrowException, OSError, EOFError) as error:
        raise _explain(str(error), file, block) from error


def _not_utf8(file: File) -> DataError:
    return DataError(f"{file} is not UTF-8 text; convert it, for example with iconv -t utf-8.")


def _explain(message: str, file: File, block: int) -> DataError:
    """Return the error for a message of pyarrow, which parses `block` bytes at a time."""
    if "Empty CSV" in message:
        return ShapeError(f"{file} is empty, expected at least one row of numbers.")
    if ragged := re.search(r"Expected (\d+) columns, got (\d+): ?(.*)", message, re.DOTALL):
        return ShapeError(
            f"{file} has a line of {ragged[2]} cells, expected {ragged[1]}: {ragged[3][:80]!r}. "
            "Correct the line, or quote cells that contain the delimiter."
        )
    if cell := re.search(r"CSV column #(\d+).*invalid value '(.*)'", message, re.DOTALL):
        return DtypeError(
            f"{file} has {cell[2][:80]!r} in column {cell[1]} (0-based, of those read), expected a "
            "number. Correct the cell, leave it empty for NaN, or choose other columns "
            "(ingest.columns)."
        )
    if "straddling" in message:
        return ShapeError(f"{file} has a line of more than {block} bytes; check its line ends.")
    return DataError(f"{file} cannot be read as delimited text: {message.rstrip('.')[:300]}.")


def _dialect(file: File) -> Dialect:
    """Return the dialect of a file, from its first line."""
    line = _first_line(file)
    delimiter = _delimiter(line, file)
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise ShapeError(
            f"the first line of {file} cannot be read as a row of a table: {error}."
        ) from error
    if len(cells) > _WIDEST:
        raise ShapeError(
            f"{file} has {len(cells)} columns, but emdist reads at most {_WIDEST} from text; save "
            "the table as NPY."
        )
    blanks = need("pyarrow.csv").ConvertOptions().null_values
    bare = all(_is_number(cell) or cell in blanks for cell in cells)
    names = tuple(f"x{i}" for i in range(len(cells))) if bare else None
    return Dialect(delimiter, names, max(_BLOCK, 4 * len(line)))


def _first_line(file: File) -> str:
    """Return the first line that is not empty, decoded. Raise ShapeError if there is none."""
    found, begun, over = bytearray(), False, False
    with need("pyarrow").input_stream(str(file.path)) as stream:
        while not over and (more := stream.read(1 << 16)):
            found += more
            rest = more if begun else more.lstrip()
            begun = begun or bool(rest)
            over = b"\n" in rest or b"\r" in rest
            if len(found) > _LONGEST_LINE:
                raise ShapeError(
                    f"{file} has no line end in its first {_LONGEST_LINE} bytes, so it is probably "
                    "not a CSV file."
                )
    if found.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _not_utf8(file)
    lines = found.decode("utf-8-sig", errors="replace").split("\n")
    line = next((part for part in re.split("[\r\n]", "\n".join(lines)) if part.strip()), "")
    if not line:
        raise ShapeError(f"{file} is empty, expected at least one row of numbers.")
    return line


def _delimiter(line: str, file: File) -> str:
    """Return the delimiter of a file, from its name and its first line."""
    name = file.path.name.lower()
    if ".tsv" in name:
        return "\t"
    counts = {mark: line.count(mark) for mark in ",;|\t"}
    mark = max(counts, key=counts.__getitem__)
    if counts[mark] or ".txt" not in name or " " not in line.strip():
        return mark if counts[mark] else ","
    if line != line.strip() or "  " in line:
        # Each further space would be an empty cell, and so a NaN that nobody wrote.
        raise ShapeError(
            f"{file} separates its columns by several spaces; write it with commas or tabs."
        )
    return " "


def _is_number(cell: str) -> bool:
    return not cell.strip() or is_number(cell)


def _stream(file: File, dialect: Dialect, types: dict[str, Any]) -> Any:
    """Return pyarrow's streaming reader of the columns named in `types`."""
    pc = need("pyarrow.csv")
    return pc.open_csv(
        str(file.path),
        read_options=_reading(dialect, use_threads=True),
        parse_options=pc.ParseOptions(delimiter=dialect.delimiter),
        convert_options=pc.ConvertOptions(column_types=types, include_columns=list(types)),
    )


def _blocks(
    file: File, dialect: Dialect, names: tuple[str, ...], flags: tuple[str, ...], rows: int
) -> Iterator[Array]:
    """Yield blocks of the columns called `names`. Those in `flags` hold true and false."""
    pa = need("pyarrow")
    types = {name: pa.bool_() if name in flags else pa.float64() for name in names}
    with _faults(file, dialect.block), _stream(file, dialect, types) as stream:
        for batch in stream:
            for start in range(0, batch.num_rows, rows):
                part = batch.slice(start, rows)
                block = np.empty((part.num_rows, len(names)))
                for j in range(len(names)):
                    column = part.column(j).cast(pa.float64())
                    block[:, j] = column.to_numpy(zero_copy_only=False)
                yield block
