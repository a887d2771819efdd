"""NPZ files as archives from elsewhere: what their directories say is held against their sizes."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from emdist.errors import DataError, StorageError
from emdist.ingest.table import File

#: Bytes of an archive's directory at most: some 50,000 members.
_DIRECTORY = 4 << 20
#: How much Deflate packs at most (RFC 1951: 258 bytes in two bits), and what little streams add.
_RATIO, _SLACK = 1032, 1 << 12
#: Bytes that are unpacked at a time.
_PIECE = 1 << 20


class _Sparing(io.BufferedReader):
    """A file that gives no more at a time than `most` says, while it says so."""

    most: int | None = _DIRECTORY

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
def archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive at `path`, opened; zipfile itself would read whatever the end claims."""
    with io.FileIO(path) as raw, _Sparing(raw) as stream, zipfile.ZipFile(stream) as opened:
        stream.most = None
        yield opened


def check_member(info: zipfile.ZipInfo, file: File) -> None:
    """DataError for a member that may unpack to anything, or cannot be what it says."""
    if info.flag_bits & 1:
        raise DataError(f"{file} is encrypted; save it again without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile decodes those by what they hold, and not by what is asked for.
        raise DataError(
            f"{file} is packed in a way that NumPy does not write (method {info.compress_type}); "
            "save it again with numpy.savez_compressed."
        )
    most = _RATIO * info.compress_size + _SLACK if info.compress_type else info.compress_size
    if info.file_size > most:
        raise DataError(
            f"{file} claims {info.file_size} bytes in {info.compress_size}, and there can be at "
            f"most {most}; copy it again."
        )


def unpacked(stream: IO[bytes], nbytes: int, folder: Path, file: File) -> Path:
    """The first `nbytes` of a member, in a file in `folder`.

    Raises
    ------
    StorageError
        If there is no room for so much.
    DataError
        If the member is shorter.
    """
    if nbytes > (free := shutil.disk_usage(folder).free):
        raise StorageError(
            f"{file} has its columns one after another and takes {nbytes} bytes unpacked, and "
            f"{folder.parent} has room for {free}: set TMPDIR to a folder with more, or save it "
            "as NPY or in C order."
        )
    path = folder / "member.npy"
    with path.open("wb") as out:
        while nbytes and (piece := stream.read(min(nbytes, _PIECE))):
            nbytes -= out.write(piece)
    if nbytes:
        raise DataError(f"{file} is cut short; copy it again.")
    return path
