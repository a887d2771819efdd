"""Files of data sets: list them, read and write them raw, and evict them from the page cache."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def all_files(path: Path) -> list[Path]:
    """List the files of a data set, which is a file or a folder, in sorted order."""
    return sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]


def nbytes(path: Path) -> int:
    """Return the stored size of all files of a data set, in bytes."""
    return sum(f.stat().st_size for f in all_files(path))


def sync(folder: Path) -> None:
    """Wait until all files of `folder` are on the disk."""
    for file in all_files(folder):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def evict(files: Mapping[str, Path]) -> None:
    """Ask the kernel to drop the pages of all `files`, once they are on disk."""
    for path in files.values():
        for file in all_files(path):
            handle = os.open(file, os.O_RDONLY)
            try:
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)


def read_raw(files: Iterable[Path], threads: int, buffer: int = 8 << 20) -> int:
    """Read whole `files` on several threads into buffers that are reused; return the bytes."""

    def read(file: Path) -> int:
        space, total = bytearray(buffer), 0
        with file.open("rb", buffering=0) as handle:
            while count := handle.readinto(space):
                total += count
        return total

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(read, files))


def write_raw(folder: Path, chunks: Mapping[str, bytes], threads: int) -> int:
    """Write each chunk to the file of its name, on several threads; return the bytes."""

    def write(named: tuple[str, bytes]) -> int:
        name, chunk = named
        path, written = folder / name, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as handle, memoryview(chunk) as view:
            while written < len(chunk):
                written += handle.write(view[written:])
        return written

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(write, chunks.items()))
