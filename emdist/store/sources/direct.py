"""Direct reading: copies or maps rows from local chunk files into a block, without Zarr.

This is a faster reader for the layouts that `chunk_files` knows. It does not explain what is wrong
with a file: it raises `Unusual`, or whatever the decoder raised. Zarr's reader is used then, and
either reads the file or says what is wrong.
"""

from __future__ import annotations

import mmap
import os
import stat
from typing import Any

import numpy as np

from emdist.interfaces import Array
from emdist.store.sources.chunk_files import ChunkFiles, Torn, Unusual

#: Without O_NONBLOCK, opening a pipe in place of a file would wait for ever.
OPENED = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def read_rows(files: ChunkFiles, a: int, b: int) -> Array:
    """Return rows a..b as stored. The rows must be whole chunks.

    Rows that are consecutive in one file are mapped: the pages of the file are the rows, and
    nothing is copied. The map is private, so it can be written to: the kernel then copies the page
    and leaves the file unchanged. So compiled kernels get the writable arrays that they were
    compiled for.

    The size of a file is checked before it is mapped. If a file is cut off while it is mapped, the
    process ends by SIGBUS, as any program that maps files would: the kernel has no other way to
    report it.

    Raises
    ------
    Unusual
        If rows a..b are not whole chunks, or if a file is not as expected.
    Torn
        If a chunk is cut off. The arguments are the chunk's key, its first row, and what is wrong.
    OSError, RuntimeError, ValueError
        From the file system and the decoders.
    """
    if a % files.inner or (b % files.inner and b != files.array.shape[0]):
        raise Unusual("chunks are cut")
    first, last = a // files.unit, (b - 1) // files.unit
    if may_map(files, a, b):
        return _mapped(files, a, b)
    chunks = -(-(b - a) // files.inner)
    out: Array = np.empty(chunks * files.chunk_bytes, np.uint8)
    view = out.data
    at = 0
    for unit in range(first, last + 1):
        below, above = max(a, unit * files.unit), min(b, (unit + 1) * files.unit)
        at += _filled(files, unit, below, above, view[at:])
    return _rows(files, out, b - a)


def may_map(files: ChunkFiles, a: int, b: int) -> bool:
    """Return whether rows a..b are unpacked in one file. The kernel can then read them ahead."""
    return files.unpack is None and a // files.unit == (b - 1) // files.unit


def is_mapped(x: Array) -> bool:
    """Return whether `x` is a map of a file."""
    base: Any = x.base
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return isinstance(base, mmap.mmap)


def expect_rows(files: ChunkFiles, a: int, b: int) -> None:
    """Ask the kernel to begin reading the files of rows a..b.

    This takes no memory of the process.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for unit in range(a // files.unit, (b - 1) // files.unit + 1):
        try:
            fd = os.open(files.path(unit), OPENED)
        except OSError:
            continue  # The read itself will report it.
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(fd)


def _size(fd: int) -> int:
    """Return the size of an open file. Raise Unusual if it is no regular file."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise Unusual("it is not a file")
    return status.st_size


def _rows(files: ChunkFiles, raw: Array, n: int) -> Array:
    shape = (-1, *files.array.shape[1:])
    rows: Array = raw.view(files.array.dtype).reshape(shape)[:n]
    return rows


def _place(files: ChunkFiles, a: int, b: int) -> tuple[int, int]:
    """Return the first chunk of rows a..b in their file, and one more than the last."""
    within = a % files.unit
    return within // files.inner, -(-(within + b - a) // files.inner)


def _spans(files: ChunkFiles, fd: int, size: int, last: int) -> list[tuple[int, int]]:
    """Return ``(offset, length)`` of the chunks before `last` in an open file."""
    if size < files.index_bytes:
        raise Unusual("the shard is shorter than its index")
    if not files.index:
        return files.spans(b"", size, last)
    at = 0 if files.index == "start" else size - files.index_bytes
    return files.spans(os.pread(fd, files.index_bytes, at), size, last)


def _mapped(files: ChunkFiles, a: int, b: int) -> Array:
    """Return rows a..b of one file as a map, or as a copy if they are not contiguous.

    A map also needs values that are aligned to the size of an item.
    """
    fd = os.open(files.path(a // files.unit), OPENED)
    try:
        size = _size(fd)
        first, last = _place(files, a, b)
        spans = _spans(files, fd, size, last)[first:]
        begin, each = spans[0][0], files.chunk_bytes
        wanted = len(spans) * each
        in_a_row = all(at == begin + i * each for i, (at, _) in enumerate(spans))
        if not in_a_row or begin % files.array.dtype.itemsize or begin + wanted > size:
            out: Array = np.empty(wanted, np.uint8)
            for i, span in enumerate(spans):
                copied(fd, span, out.data[i * each : (i + 1) * each])
            return _rows(files, out, b - a)
        start = begin // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(fd, begin + wanted - start, access=mmap.ACCESS_COPY, offset=start)
    finally:
        os.close(fd)
    if hasattr(mmap, "MADV_WILLNEED"):
        pages.madvise(mmap.MADV_WILLNEED)
    raw: Array = np.frombuffer(pages, np.uint8, wanted, begin - start)
    return _rows(files, raw, b - a)


def _filled(files: ChunkFiles, unit: int, a: int, b: int, out: memoryview) -> int:
    """Decode rows a..b of one file into `out`. Return the number of bytes written."""
    first, last = _place(files, a, b)
    each = files.chunk_bytes
    fd = os.open(files.path(unit), OPENED)
    try:
        size = _size(fd)
        spans = _spans(files, fd, size, last)[first:]
        largest = 0 if files.unpack is None else max(length for _, length in spans)
        scratch: Array = np.empty(largest, np.uint8)
        for i, (at, length) in enumerate(spans):
            part = out[i * each : (i + 1) * each]
            if files.unpack is None:
                copied(fd, (at, length), part)
                continue
            # One packed chunk at a time, so that a thread holds at most one block and one packed
            # chunk.
            packed = scratch.data[:length]
            copied(fd, (at, length), packed)
            try:
                files.unpack(packed, part)
            except Torn as error:
                start = unit * files.unit + (first + i) * files.inner
                raise Torn(files.key(unit), start, *error.args) from None
    finally:
        os.close(fd)
    return len(spans) * each


def copied(fd: int, span: tuple[int, int], out: memoryview) -> None:
    """Read a span of the file into `out`."""
    at, length = span
    done = 0
    while done < length:
        # After a signal or on a network file system, a read may return less than requested.
        got = os.preadv(fd, [out[done:length]], at + done)
        if got == 0:
            raise Unusual("the file is shorter than it was")
        done += got
