"""NPY and NPZ files: arrays that NumPy saved.

NPY files of either memory order and byte order are read block by block. A member of an NPZ is
decompressed as a stream. Only a member in Fortran order is first unpacked to a temporary file (on
disk, not in memory), because its rows are spread over the whole member.
"""

from __future__ import annotations

import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from emdist.errors import ConfigError, DataError, EmdistError, ShapeError
from emdist.ingest.table import File, Selection, Table, check_width, listing, nearest, real
from emdist.interfaces import Array
from emdist.untrusted.npy import Header, read_header
from emdist.untrusted.npz import archive, check_member, unpacked

suffixes = (".npy", ".npz")


def open_npy(file: File, selection: Selection) -> Table:
    """Open the two-dimensional array in an NPY file, or in a member of an NPZ file."""
    with _corrupt(file):
        if file.path.suffix.lower() == ".npz":
            return _open_member(file, selection)
        with file.path.open("rb") as stream:
            header = read_header(stream)
            held = file.path.stat().st_size - stream.tell()
        _check_table(header, file)
        if held < header.nbytes:
            raise _cut_short(held, header.nbytes, file)
        index, features = _columns(header.shape[1], file, selection)
        kind, rows = real(header.dtype, file), header.shape[0]
        return Table(file, features, kind, rows, partial(_npy_blocks, file, index))


reader = open_npy


@contextmanager
def _corrupt(file: File) -> Iterator[None]:
    """Turn what numpy and zipfile raise for a damaged file into one DataError."""
    try:
        yield
    except EmdistError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, struct.error,
            OverflowError) as error:  # fmt: skip
        kind = file.path.suffix.lower().lstrip(".").upper()
        detail = str(error).partition("\n")[0][:300].rstrip(".")
        raise DataError(
            f"{file} is not a readable {kind} file: {detail}. Save it again."
        ) from error


def _cut_short(held: int, wanted: int, file: File) -> DataError:
    return DataError(f"{file} is incomplete: it has {held} of {wanted} bytes. Copy it again.")


def _check_table(header: Header, file: File) -> None:
    """Refuse an array that is not two-dimensional, not real, or too wide.

    This is done before any memory is allocated for the array.
    """
    real(header.dtype, file)
    if len(header.shape) != 2:
        remedy = "a.reshape(-1, 1)" if len(header.shape) < 2 else "a.reshape(-1, a.shape[-1])"
        raise ShapeError(
            f"{file} has shape {header.shape}, expected two dimensions: (rows, features). "
            f"Save {remedy} or another two-dimensional view of it."
        )
    check_width(header.shape[1], file)


def _columns(
    width: int, file: File, selection: Selection
) -> tuple[list[int] | slice, tuple[str, ...]]:
    """Return which columns to read, and their names ``x0, x1, ...``."""
    names = [f"x{i}" for i in range(width)]
    chosen = selection.pick(names, file)
    everything = chosen == list(range(width))
    return slice(None) if everything else chosen, tuple(names[i] for i in chosen)


def _npy_blocks(file: File, index: list[int] | slice, rows: int) -> Iterator[Array]:
    """Yield blocks of an NPY file in either memory order."""
    with _corrupt(file), file.path.open("rb") as stream:
        header = read_header(stream)
        read = _columnwise if header.fortran else _rowwise
        yield from read(stream, header, index, rows, file)


def _rowwise(
    stream: IO[bytes], header: Header, index: list[int] | slice, rows: int, file: File
) -> Iterator[Array]:
    """Yield blocks of an array in C order. The stream need not be seekable."""
    dtype, (total, width) = header.dtype, header.shape
    native = real(dtype, file)
    for start in range(0, total, rows):
        m = min(rows, total - start)
        raw = _exactly(stream, m * width * dtype.itemsize, file)
        block = np.frombuffer(raw, dtype).reshape(m, width)[:, index]
        yield block.astype(native, order="C", copy=False)


def _columnwise(
    stream: IO[bytes], header: Header, index: list[int] | slice, rows: int, file: File
) -> Iterator[Array]:
    """Yield blocks of an array in Fortran order, with one read per column and block.

    A memory map would need less code. But if the page cache has large pages, a map takes up to
    2 MiB per column, and these count as memory of this process.
    """
    dtype, (total, width) = header.dtype, header.shape
    native = real(dtype, file)
    first = stream.tell()
    columns = range(width)[index] if isinstance(index, slice) else index
    for start in range(0, total, rows):
        m = min(rows, total - start)
        block = np.empty((m, len(columns)), native)
        for j, column in enumerate(columns):
            stream.seek(first + (column * total + start) * dtype.itemsize)
            block[:, j] = np.frombuffer(_exactly(stream, m * dtype.itemsize, file), dtype)
        yield block


def _exactly(stream: IO[bytes], size: int, file: File) -> bytes:
    """Read `size` bytes. Raise DataError if the stream ends before that."""
    raw = stream.read(size)
    if len(raw) < size:
        raise DataError(f"{file} is incomplete. Copy it again.")
    return raw


def _open_member(file: File, selection: Selection) -> Table:
    """Open a member of an NPZ file, whose size must agree with its header."""
    with archive(file.path) as opened:
        member, header, begin = _member(opened, file)
        held = opened.getinfo(member).file_size - begin
    _check_table(header, file)
    if held < header.nbytes:
        raise _cut_short(held, header.nbytes, file)
    if held > header.nbytes:
        raise DataError(
            f"{file} has {held} bytes of values, but its header says {header.nbytes}. Save it "
            "again."
        )
    index, features = _columns(header.shape[1], file, selection)
    stream_blocks = _unpacked if header.fortran else _streamed
    return Table(
        file,
        features,
        real(header.dtype, file),
        header.shape[0],
        partial(stream_blocks, file, member, index),
        {"member": member.removesuffix(".npy")},
    )


def _member(opened: zipfile.ZipFile, file: File) -> tuple[str, Header, int]:
    """Return the requested member, or else the only two-dimensional one, with its header.

    The third value is the position at which the header ends. Of other members only the headers are
    read.
    """
    wanted = f"{file.member}.npy" if file.member else None
    names = [name for name in dict.fromkeys(opened.namelist()) if name.endswith(".npy")]
    found = {}
    for name in names if wanted is None else [n for n in names if n == wanted]:
        check_member(opened.getinfo(name), file)
        with opened.open(name) as stream:
            found[name] = read_header(stream), stream.tell()
    known = [name.removesuffix(".npy") for name in names]
    if wanted is not None and wanted not in found:
        raise ConfigError(
            f"{file.path} has no array {file.member!r}{nearest(file.member, known)}; "
            f"it has {listing(known)}."
        )
    flat = [name for name, (header, _) in found.items() if len(header.shape) == 2]
    if wanted is None and len(flat) != 1:
        shapes = [f"{n.removesuffix('.npy')} {h.shape}" for n, (h, _) in found.items()]
        one = flat[0].removesuffix(".npy") if flat else ""
        remedy = f"choose one, as in '{file.path}:{one}'" if flat else "save a 2-D array in it"
        raise ShapeError(
            f"{file} has {len(flat)} two-dimensional arrays, expected one ({listing(shapes)}); "
            f"{remedy}."
        )
    name = wanted or flat[0]
    return name, *found[name]


def _streamed(file: File, member: str, index: list[int] | slice, rows: int) -> Iterator[Array]:
    """Yield blocks of a member in C order, decompressed as they are read.

    The member ends with its last row, so its checksum is verified there.
    """
    with _corrupt(file), archive(file.path) as opened, opened.open(member) as stream:
        yield from _rowwise(stream, read_header(stream), index, rows, file)


def _unpacked(file: File, member: str, index: list[int] | slice, rows: int) -> Iterator[Array]:
    """Yield blocks of a member in Fortran order, by way of a temporary file."""
    with tempfile.TemporaryDirectory(prefix="emdist-") as folder:
        with _corrupt(file), archive(file.path) as opened, opened.open(member) as stream:
            path = unpacked(stream, opened.getinfo(member).file_size, Path(folder), file)
        yield from _npy_blocks(File(path), index, rows)
