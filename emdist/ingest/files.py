"""Source files: finds the files that a source names, and the reader for their format."""

from __future__ import annotations

import glob
import importlib.resources
import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emdist.errors import ConfigError, NotFoundError, ShapeError
from emdist.ingest.table import File, Formats, Reader, listing
from emdist.inputs.plugins import plugins
from emdist.inputs.quoting import without_credentials

#: The package in which readers are found, one format per file.
READERS = "emdist.ingest"

#: The photographs that scikit-learn includes: real data on every machine, without a download.
PHOTOGRAPHS = ("china.jpg", "flower.jpg")

_MEMBER = re.compile(r"(.+\.npz):([^/\\]+)", re.IGNORECASE)


@cache
def formats() -> Formats:
    """Return the reader for each suffix, from every module here with `suffixes` and `reader`.

    To add a format, add a file to this package.
    """
    readers: dict[str, Reader] = plugins(READERS, "reader")
    return MappingProxyType(
        {
            suffix: readers[name]
            for name, suffixes in plugins(READERS, "suffixes").items()
            for suffix in suffixes
        }
    )


def suffix_of(path: Path) -> str | None:
    """Return the longest known suffix of `path`, or None."""
    name = path.name.lower()
    fitting = [suffix for suffix in formats() if name.endswith(suffix)]
    return max(fitting, key=len, default=None)


def find(source: str | Path | Sequence[str | Path]) -> tuple[File, ...]:
    """Return the files that `source` names, at least one, all of one format.

    Raises
    ------
    NotFoundError
        If nothing has that name. The message shows the nearest name.
    ConfigError
        For an unknown suffix, a URL, or files of several formats.
    """
    names = [source] if isinstance(source, str | Path) else list(source)
    if not names:
        raise NotFoundError("the list of files is empty; give at least one file.")
    files = tuple(file for name in names for file in _resolve(name))
    for file in files:
        if suffix_of(file.path) is None:
            raise ConfigError(
                f"{file} has no known suffix; emdist reads {', '.join(sorted(formats()))}."
            )
    readers = {reader_of(file): file for file in files}
    if len(readers) > 1:
        first, second = list(readers.values())[:2]
        raise ConfigError(
            f"files of several formats, such as {first.name} and {second.name}, cannot be joined "
            "into one array; ingest each format to its own target."
        )
    return files


def reader_of(file: File) -> Reader:
    """Return the reader of a file that `find` accepted."""
    return formats()[suffix_of(file.path) or ""]


def _resolve(name: str | Path) -> list[File]:
    """Return the files that one name stands for."""
    text = str(name)
    if text.startswith("sklearn:"):
        return [File(_photograph(text.removeprefix("sklearn:")))]
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise ConfigError(
            f"{without_credentials(text)} is a URL, but emdist ingests local files only. Download "
            "it first."
        )
    path = Path(text).expanduser()
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return [File(path)]
    if path.exists():
        raise ConfigError(f"{path} is a pipe or a device; copy its contents to a file first.")
    member = _MEMBER.fullmatch(str(path))
    if member and Path(member[1]).is_file():
        return [File(Path(member[1]), member[2])]
    if glob.has_magic(text):
        matching = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute patterns
        found = sorted((p for p in matching if p.is_file()), key=in_order)
        if found:
            return [File(p) for p in found]
        raise NotFoundError(f"no file matches {text}; check the pattern.")
    raise NotFoundError(_nothing_at(path))


def in_order(path: Path) -> tuple[Any, ...]:
    """Return a sort key by which part.2 comes before part.10."""
    pieces = re.split(r"(\d+)", str(path))
    natural = [(int(piece), "") if at % 2 else (0, piece) for at, piece in enumerate(pieces)]
    return *natural, (0, str(path))


def order_note(source: str | Path | Sequence[str | Path], files: Sequence[File]) -> tuple[str, ...]:
    """Return a note on the order of files from a folder or a pattern; empty for other sources."""
    if not isinstance(source, str | Path) or len(files) < 2:
        return ()
    names = [file.name for file in files]
    shown = ", ".join(names if len(names) < 5 else [*names[:3], "...", names[-1]])
    return (f"emdist read {len(files):,} files in this order: {shown}",)


def _folder(folder: Path) -> list[File]:
    """Return the readable files of a folder in natural order.

    Hidden and other files are skipped.
    """
    if any((folder / mark).exists() for mark in ("zarr.json", ".zarray")):
        raise ConfigError(f"{folder} is already a Zarr array; fit it without ingesting it.")
    names = sorted(folder.iterdir(), key=in_order)
    files = [p for p in names if p.is_file() and p.name[0] not in "._"]
    known = [File(p) for p in files if suffix_of(p) is not None]
    if known:
        return known
    inside = listing([p.name for p in sorted(folder.iterdir())])
    raise NotFoundError(
        f"{folder} contains no file of a known format ({', '.join(sorted(formats()))}), only "
        f"{inside}. For files in subfolders, give a pattern such as '{folder}/**/*.parquet'."
    )


def _photograph(name: str) -> Path:
    """Return the path of one of scikit-learn's photographs."""
    if name not in PHOTOGRAPHS:
        known = " and ".join(f"sklearn:{photo}" for photo in PHOTOGRAPHS)
        raise NotFoundError(f"scikit-learn has no photograph {name!r}; it has {known}.")
    # Look in the parent package, because importing sklearn.datasets would take a second.
    path = Path(str(importlib.resources.files("sklearn") / "datasets" / "images" / name))
    if not path.is_file():
        raise NotFoundError(
            f"this installation of scikit-learn lacks {path}; install scikit-learn again."
        )
    return path


def _nothing_at(path: Path) -> str:
    """Return the message that nothing is at `path`, with a similar name if there is one."""
    parent = path.absolute().parent
    if not parent.is_dir():
        return f"there is no file or folder {path}: the folder {parent} does not exist."
    close = get_close_matches(path.name, [p.name for p in parent.iterdir()], n=1)
    hint = f" (did you mean {path.with_name(close[0])}?)" if close else ""
    return f"there is no file or folder {path}{hint}."


def same_features(first: tuple[str, ...], other: tuple[str, ...], one: File, two: File) -> None:
    """Raise ShapeError, which shows the difference, for files whose columns differ."""
    if first == other:
        return
    if sorted(first) == sorted(other):
        detail = "the same columns in another order"
    elif len(first) != len(other):
        detail = f"{len(first)} and {len(other)} columns"
    else:
        detail = "other names"
    lacking = [name for name in first if name not in set(other)]
    added = [name for name in other if name not in set(first)]
    shown = "".join(
        f"; only {file.name} has {listing(names)}"
        for file, names in ((one, lacking), (two, added))
        if names
    )
    raise ShapeError(
        f"{one.name} and {two.name} differ: they have {detail}{shown}. "
        "Choose the columns that they share, in one order (ingest.columns)."
    )
