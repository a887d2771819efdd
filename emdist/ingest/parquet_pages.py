"""Pages of a Parquet file from elsewhere, held against its footer before a reader unpacks them.

A page says itself how many bytes it unpacks to, and readers make room for so many. An honest page
of numbers takes a few bytes a value, and the pages of a column have the values that its footer
counts. Only headers of pages are read here: Thrift's compact protocol, as in parquet.thrift.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

#: Bytes of a value at most, and of its levels: a decimal of 256 bits as text of its own length.
_VALUE = 48
#: What a page may take beside its values: levels of nothing, headers of codecs.
_SLACK = 1 << 16
#: Bytes of a page's header at most: it may hold extremes of its values.
_LONGEST_HEADER = 1 << 16
#: Bytes that most have.
_SHORT_HEADER = 1 << 9

#: Kinds of fields.
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, 12
#: Kinds of pages, and the field of the header that tells of their values.
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_OF_KIND = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}


@dataclass(frozen=True)
class Page:
    """What a page says of itself: bytes unpacked and packed, its kind and values."""

    kind: int
    unpacked: int
    packed: int
    values: int


class _CutOffError(ValueError):
    """There is more of a header than was read."""


class _Reader:
    """Reads fields of a header one after another; has state for that."""

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
        """Fields by number: integers, structs, and None for what is skipped."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
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
        elif kind not in _BOOLEANS:  # lists are in no header of a page
            raise ValueError(f"the header of a page has a field of kind {kind}")
        return None


def _page(data: bytes) -> tuple[Page, int]:
    """The page whose header `data` begins with, and the length of that."""
    reader = _Reader(data)
    fields = reader.struct()
    kind = fields.get(1)
    inner = fields.get(_OF_KIND.get(kind, 0)) if isinstance(kind, int) else None
    values = inner.get(1) if isinstance(inner, dict) else 0  # a page of an index has none
    told = [kind, fields.get(2), fields.get(3), values]
    numbers = [n for n in told if isinstance(n, int) and n >= 0]
    if len(numbers) < len(told):
        raise ValueError("the header of a page lacks its sizes")
    return Page(*numbers), reader.at


def _page_at(stream: IO[bytes], at: int, end: int) -> tuple[Page, int]:
    """`_page` of what lies there, read no further than need be."""
    for most in (_SHORT_HEADER, _LONGEST_HEADER):
        stream.seek(at)
        data = stream.read(min(most, end - at))
        try:
            return _page(data)
        except _CutOffError:
            if len(data) < most or most == _LONGEST_HEADER:
                raise
    raise AssertionError


def _pages(stream: IO[bytes], start: int, end: int) -> Iterator[Page]:
    at = start
    while at < end:
        page, length = _page_at(stream, at, end)
        yield page
        at += length + page.packed


def check_pages(stream: IO[bytes], metadata: Any, leaves: set[int]) -> None:
    """ValueError if a page of the columns `leaves` claims what no honest page of numbers has.

    Parameters
    ----------
    stream
        The file.
    metadata
        Its footer, as pyarrow gives it.
    """
    size = os.fstat(stream.fileno()).st_size
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for leaf in leaves:
            column, kind = row_group.column(leaf), metadata.schema.column(leaf).physical_type
            if column.physical_type != kind:
                # pyarrow ends the process when it is asked for the statistics of such a column.
                raise ValueError(f"a column of {kind} is stored as {column.physical_type}")
            _check_column(stream, column, size)


def _check_column(stream: IO[bytes], column: Any, size: int) -> None:
    # Zero where there is no such page.
    start = min(filter(None, (column.data_page_offset, column.dictionary_page_offset)), default=0)
    end = start + column.total_compressed_size
    if not 0 < start <= end <= size:
        raise ValueError(f"a column lies from byte {start} to {end} of {size}")
    counted = 0
    for page in _pages(stream, start, end):
        if page.values > column.num_values or page.unpacked > _VALUE * page.values + _SLACK:
            raise ValueError(
                f"a page claims {page.values} values in {page.unpacked} bytes unpacked, in a "
                f"column of {column.num_values} values"
            )
        counted += page.values if page.kind in (_DATA, _DATA_V2) else 0
    if counted > column.num_values:
        raise ValueError(f"its pages have {counted} values, and {column.num_values} are counted")
