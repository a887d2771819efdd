"""Checks that a PNG has all the pixels that it claims: decoders fill missing ones with zeros."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

#: The bands of a pixel, by colour type (PNG specification, third edition, table 12).
_BANDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIECE = 1 << 20


def is_whole(path: Path) -> bool:
    """Return whether the compressed data are as long as the lines of pixels need.

    Memory is that of one piece. Interlaced images are not checked and count as whole. So does a
    file that is no PNG, because its decoder will report that.
    """
    with path.open("rb") as stream:
        head = stream.read(33)
        if len(head) < 33 or head[12:16] != b"IHDR" or head[28]:
            return True
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        bits = width * head[24] * _BANDS.get(head[25], 1)
        return _has(stream, height * (1 + (bits + 7) // 8))


def _has(stream: IO[bytes], wanted: int) -> bool:
    """Return whether at least `wanted` bytes are packed in the rest of the stream."""
    unpack = zlib.decompressobj()
    for packed in _packed(stream):
        while packed and not unpack.eof:
            wanted -= len(unpack.decompress(packed, _PIECE))
            packed = unpack.unconsumed_tail
        if wanted <= 0:
            return True
    return wanted <= len(unpack.flush())


def _packed(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the data of the IDAT chunks, in pieces."""
    while len(head := stream.read(8)) == 8:
        left = int.from_bytes(head[:4], "big")
        if head[4:] != b"IDAT":
            stream.seek(left + 4, 1)
            continue
        while left and (piece := stream.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece
        stream.seek(4, 1)
