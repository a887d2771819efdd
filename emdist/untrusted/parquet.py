"""Pages of Parquet files: checks their headers against the footer before unpacking.

A page itself says how many bytes it unpacks to, and readers allocate that many. A correct page of
numbers takes a few bytes for each value, and the pages of a column have as many values as the
footer counts. This module reads only the headers of pages, in Thrift's compact protocol, as
parquet.thrift defines them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

#: The largest number of bytes of a value and its levels: a 256-bit decimal, as text of its own
#: length.
_VALUE = 48
#: What a page may take besides its values: levels without values, headers of codecs.
_SLACK = 1 << 16
#: The largest header of a page in bytes: it may hold extremes of the values.
_LONGEST_HEADER = 1 << 16
#: The size in bytes that most headers do not exceed.
_SHORT_HEADER = 1 << 9

#: Types of fields in Thrift's compact protocol.
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, 12
#: Types of pages, and for each the field of the header that states its number of values.
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_OF_KIND = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}


@dataclass(frozen=True)
class PageHeader:
    """What the header of a page says: its type, its bytes unpacked and packed, and its values."""

    kind: int
    unpacked: int
    packed: int
    values: int


class _CutOffError(ValueError):
    """The header continues beyond the bytes that were read."""


class _Reader:
    """Reads the fields of a header one after another. It is mutable: it has a position."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise _CutOffError("the header of a page is cut off")
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number in the header of a page has no end")

    def integer(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields by number: integers, structs, and None for what is skipped."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        """Return the value of a field of this kind, or skip it and return None."""
        if kind in _INTEGERS:
            return self.integer()
        if kind == _STRUCT and depth < 4:
            return self.struct(depth + 1)
        if kind == _BYTE:
            self.at += 1
        elif kind == _DOUBLE:
            self.at += 8
        elif kind == _BINARY:
            length = self.varint()
            self.at += length
        elif kind not in _BOOLEANS:  # headers of pages have no lists
            raise ValueError(f"the header of a page has a field of kind {kind}")
        return None


def _page(data: bytes) -> tuple[PageHeader, int]:
    """Return the page whose header is at the beginning of `data`, and the header's length."""
    reader = _Reader(data)
    fields = reader.struct()
    kind = fields.get(1)
    inner = fields.get(_OF_KIND.get(kind, 0)) if isinstance(kind, int) else None
    values = inner.get(1) if isinstance(inner, dict) else 0  # a page of an index has none
    told = [kind, fields.get(2), fields.get(3), values]
    numbers = [n for n in told if isinstance(n, int) and n >= 0]
    if len(numbers) < len(told):
        raise ValueError("the header of a page lacks its sizes")
    return PageHeader(*numbers), reader.at


def _page_at(stream: IO[bytes], at: int, end: int) -> tuple[PageHeader, int]:
    """Return `_page` of the header at `at`, reading no more bytes than necessary."""
    for most in (_SHORT_HEADER, _LONGEST_HEADER):
        stream.seek(at)
        data = stream.read(min(most, end - at))
        try:
            return _page(data)
        except _CutOffError:
            if len(data) < most or most == _LONGEST_HEADER:
                raise
    raise AssertionError


def _pages(stream: IO[bytes], start: int, end: int) -> Iterator[PageHeader]:
    """Yield the pages in the bytes from `start` to `end`."""
    at = start
    while at < end:
        page, length = _page_at(stream, at, end)
        yield page
        at += length + page.packed


def check_pages(stream: IO[bytes], metadata: Any, leaves: set[int]) -> None:
    """Raise ValueError if a page of the columns `leaves` claims implausible sizes.

    Parameters
    ----------
    stream
        The open file.
    metadata
        The footer of the file, as pyarrow gives it.
    """
    size = os.fstat(stream.fileno()).st_size
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for leaf in leaves:
            column, kind = row_group.column(leaf), metadata.schema.column(leaf).physical_type
            if column.physical_type != kind:
                # pyarrow ends the process if it is asked for the statistics of such a column.
                raise ValueError(f"a column of {kind} is stored as {column.physical_type}")
            _check_column(stream, column, size)


def _check_column(stream: IO[bytes], column: Any, size: int) -> None:
    """Raise ValueError if a page of `column` claims too many values or bytes."""
    # An offset is zero if there is no such page.
    start = min(filter(None, (column.data_page_offset, column.dictionary_page_offset)), default=0)
    end = start + column.total_compressed_size
    if not 0 < start <= end <= size:
        raise ValueError(f"a column should be at bytes {start} to {end}, but the file has {size}")
    counted = 0
    for page in _pages(stream, start, end):
        if page.values > column.num_values or page.unpacked > _VALUE * page.values + _SLACK:
            raise ValueError(
                f"a page claims {page.values} values in {page.unpacked} bytes unpacked, in a "
                f"column of {column.num_values} values"
            )
        counted += page.values if page.kind in (_DATA, _DATA_V2) else 0
    if counted > column.num_values:
        raise ValueError(f"its pages have {counted} values, expected {column.num_values}")
