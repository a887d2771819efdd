"""NPY and NPZ: arrays saved by NumPy.

NPY files of either memory order and byte order are read block by block. A member of an NPZ
is decompressed as a stream; only one in Fortran order, whose rows lie scattered over the whole
member, is first unpacked to a temporary file (disk, not memory).
"""

from __future__ import annotations

import math
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from emdist.errors import ConfigError, DataError, ShapeError
from emdist.interfaces import Array
from emdist.store.ingest.table import File, Selection, Table, listing, nearest, real

suffixes = (".npy", ".npz")


def open_npy(file: File, selection: Selection) -> Table:
    """The two-dimensional array in an NPY file, or in a member of an NPZ file."""
    with _corrupt(file):
        if file.path.suffix.lower() == ".npz":
            return _open_member(file, selection)
        with file.path.open("rb") as stream:
            shape, _, dtype = _header(stream)
            held = file.path.stat().st_size - stream.tell()
        index, features = _columns(shape, dtype, file, selection)
        wanted = math.prod(shape) * dtype.itemsize
        if held < wanted:
            raise DataError(f"{file} is cut short: {held} of {wanted} bytes; copy it again.")
        return Table(file, features, real(dtype, file), shape[0], partial(_npy_blocks, file, index))


reader = open_npy


@contextmanager
def _corrupt(file: File) -> Iterator[None]:
    """Turn what numpy and zipfile raise on a torn file into one DataError."""
    try:
        yield
    except (DataError, ConfigError):
        raise
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        kind = file.path.suffix.lower().lstrip(".").upper()
        raise DataError(f"{file} is no readable {kind} file: {error}. Save it again.") from error


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, Fortran order, dtype), and the stream moved to the first value."""
    version = npy_format.read_magic(stream)
    read = (
        npy_format.read_array_header_1_0
        if version == (1, 0)
        else npy_format.read_array_header_2_0  # 3.0 differs only in the field names' encoding
    )
    shape, fortran, dtype = read(stream)
    return tuple(shape), bool(fortran), np.dtype(dtype)


def _columns(
    shape: tuple[int, ...], dtype: np.dtype[Any], file: File, selection: Selection
) -> tuple[list[int] | slice, tuple[str, ...]]:
    """Which columns to read, and their names ``x0, x1, ...``; the array must be 2-D."""
    real(dtype, file)
    if len(shape) != 2:
        remedy = "a.reshape(-1, 1)" if len(shape) < 2 else "a.reshape(-1, a.shape[-1])"
        raise ShapeError(
            f"{file} has shape {shape}, and two dimensions (rows, features) are wanted: "
            f"save {remedy} or another two-dimensional view of it."
        )
    names = [f"x{i}" for i in range(shape[1])]
    chosen = selection.pick(names, file)
    everything = chosen == list(range(shape[1]))
    return slice(None) if everything else chosen, tuple(names[i] for i in chosen)


def _npy_blocks(file: File, index: list[int] | slice, rows: int) -> Iterator[Array]:
    """Blocks of an NPY file in either memory order."""
    with _corrupt(file), file.path.open("rb") as stream:
        shape, fortran, dtype = _header(stream)
        read = _columnwise if fortran else _rowwise
        yield from read(stream, (shape[0], shape[1]), dtype, index, rows, file)


def _rowwise(
    stream: IO[bytes],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    index: list[int] | slice,
    rows: int,
    file: File,
) -> Iterator[Array]:
    """Blocks of an array in C order, which need not be seekable."""
    native, (total, width) = real(dtype, file), shape
    for start in range(0, total, rows):
        m = min(rows, total - start)
        raw = _exactly(stream, m * width * dtype.itemsize, file)
        block = np.frombuffer(raw, dtype).reshape(m, width)[:, index]
        yield block.astype(native, order="C", copy=False)


def _columnwise(
    stream: IO[bytes],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    index: list[int] | slice,
    rows: int,
    file: File,
) -> Iterator[Array]:
    """Blocks of an array in Fortran order: a read per column and block.

    A memory map would be shorter, but with large pages in the page cache it maps up to 2 MiB
    per column and counts them as this process's memory.
    """
    native, (total, width) = real(dtype, file), shape
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
    raw = stream.read(size)
    if len(raw) < size:
        raise DataError(f"{file} is cut short; copy it again.")
    return raw


def _open_member(file: File, selection: Selection) -> Table:
    with zipfile.ZipFile(file.path) as archive:
        member = _member(archive, file)
        with archive.open(member) as stream:
            shape, fortran, dtype = _header(stream)
    index, features = _columns(shape, dtype, file, selection)
    stream_blocks = _unpacked if fortran else _streamed
    return Table(
        file,
        features,
        real(dtype, file),
        shape[0],
        partial(stream_blocks, file, member, index),
        {"member": member.removesuffix(".npy")},
    )


def _member(archive: zipfile.ZipFile, file: File) -> str:
    """The member asked for, else the only one with two dimensions."""
    shapes = {}
    for name in archive.namelist():
        if name.endswith(".npy"):
            with archive.open(name) as stream:
                shapes[name.removesuffix(".npy")] = _header(stream)[0]
    if file.member:
        if file.member not in shapes:
            raise ConfigError(
                f"{file.path} has no array {file.member!r}{nearest(file.member, shapes)}; "
                f"it has {listing(list(shapes))}."
            )
        return file.member + ".npy"
    flat = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(flat) != 1:
        found = ", ".join(f"{name!r} {shape}" for name, shape in shapes.items()) or "nothing"
        remedy = f"name one, as in '{file.path}:{flat[0]}'" if flat else "save a 2-D array in it"
        raise ShapeError(f"{file} holds {len(flat)} two-dimensional arrays ({found}); {remedy}.")
    return flat[0] + ".npy"


def _streamed(file: File, member: str, index: list[int] | slice, rows: int) -> Iterator[Array]:
    """Blocks of a C-ordered member, decompressed as they are read."""
    with _corrupt(file), zipfile.ZipFile(file.path) as archive, archive.open(member) as stream:
        shape, _, dtype = _header(stream)
        yield from _rowwise(stream, (shape[0], shape[1]), dtype, index, rows, file)
        stream.read()  # to the end, where the checksum of the member is compared


def _unpacked(file: File, member: str, index: list[int] | slice, rows: int) -> Iterator[Array]:
    """Blocks of a Fortran-ordered member, by way of a temporary file."""
    with tempfile.TemporaryDirectory(prefix="emdist-") as folder:
        with _corrupt(file), zipfile.ZipFile(file.path) as archive:
            path = Path(archive.extract(member, folder))
        yield from _npy_blocks(File(path), index, rows)
