"""NPZ archives: compares what their directories claim with actual sizes before unpacking.

`file` is what messages name.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from emdist.errors import DataError, StorageError

#: The largest directory of an archive in bytes: some 50,000 members.
_DIRECTORY = 4 << 20
#: The largest ratio at which Deflate packs (RFC 1951: 258 bytes in two bits), and what short
#: streams add.
_RATIO, _SLACK = 1032, 1 << 12
#: The number of bytes that are unpacked at a time.
_PIECE = 1 << 20


class _Sparing(io.BufferedReader):
    """A file that refuses to read more than `most` bytes at a time, unless `most` is None."""

    most: int | None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise zipfile.BadZipFile(f"its directory claims {size} bytes")
        return super().read(size)

    def seek(self, target: int, whence: int = 0, /) -> int:
        try:
            return super().seek(target, whence)
        except (OSError, OverflowError) as error:
            raise zipfile.BadZipFile(f"its directory points to byte {target}") from error


@contextmanager
def archive(path: Path | int, most: int = _DIRECTORY) -> Iterator[zipfile.ZipFile]:
    """Open the archive at `path`, or of an open file, with a directory of at most `most` bytes.

    zipfile itself would read as much as the end of the file claims.
    """
    raw = io.FileIO(path, closefd=not isinstance(path, int))
    with raw, _Sparing(raw) as stream:
        stream.most = most
        with zipfile.ZipFile(stream) as opened:
            stream.most = None
            yield opened


def check_member(info: zipfile.ZipInfo, file: object) -> None:
    """Raise DataError for a member that may unpack to any size, or cannot be what it claims."""
    if info.flag_bits & 1:
        raise DataError(f"{file} is encrypted; save it again without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile decodes these by their contents, and not by how many bytes are requested.
        raise DataError(
            f"{file} is compressed in a way that NumPy does not write (method "
            f"{info.compress_type}); save it again with numpy.savez_compressed."
        )
    most = _RATIO * info.compress_size + _SLACK if info.compress_type else info.compress_size
    if info.file_size > most:
        raise DataError(
            f"{file} claims {info.file_size} bytes in {info.compress_size} compressed ones, which "
            f"can hold at most {most}. Copy it again."
        )


def unpacked(stream: IO[bytes], nbytes: int, folder: Path, file: object) -> Path:
    """Write the first `nbytes` of a member to a file in `folder`, and return its path.

    Raises
    ------
    StorageError
        If the disk has too little space.
    DataError
        If the member is shorter.
    """
    if nbytes > (free := shutil.disk_usage(folder).free):
        raise StorageError(
            f"{file} is in Fortran order and needs {nbytes} bytes on disk to be unpacked, but "
            f"{folder.parent} has only {free} free. Set TMPDIR to a folder with more space, or "
            "save the array as NPY or in C order."
        )
    path = folder / "member.npy"
    with path.open("wb") as out:
        while nbytes and (piece := stream.read(min(nbytes, _PIECE))):
            nbytes -= out.write(piece)
    if nbytes:
        raise DataError(f"{file} is incomplete. Copy it again.")
    return path
