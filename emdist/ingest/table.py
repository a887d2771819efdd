"""The interface of file readers: a reader takes a file and returns a `Table` of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np

from emdist.errors import ConfigError, DataError, DtypeError, ShapeError
from emdist.inputs import plugins
from emdist.inputs.quoting import listed
from emdist.interfaces import Array
from emdist.runtime import extras

#: How many names a message shows at most, and how many characters of each.
_SHOWN, _LONGEST = 6, 80

#: The number of names among which a similar one is searched, which takes time.
_COMPARED = 10_000

#: The largest number of features of an array: each has a name, which takes about a hundred bytes.
MOST_FEATURES = 1 << 18


@dataclass(frozen=True)
class File:
    """A file to read, and its member if the format has members (NPZ)."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """The name without the folder, which is recorded with the data."""
        return f"{self.path.name}:{self.member}" if self.member else self.path.name


@dataclass(frozen=True)
class Selection:
    """Which columns to read: `only` these in this order (None: all), `without` others.

    A column is given by its name or its 0-based position. Colours of 16 bits are read only if they
    may be `reduced` to 8 bits.
    """

    only: tuple[str | int, ...] | None = None
    without: tuple[str | int, ...] = ()
    reduced: bool = False

    def pick(
        self, names: Sequence[str], file: File, bookkeeping: Collection[str] = ()
    ) -> list[int]:
        """Return the positions in `names` of the chosen columns, in the requested order.

        Columns of `bookkeeping`, such as an index, are chosen only by name or position.

        Raises
        ------
        ConfigError
            For a column that does not exist. The message shows the nearest name.
        DataError
            If two columns have the same name, so that the name is ambiguous.
        """
        if (twice := _repeated(names)) is not None:
            if not twice:
                raise DataError(
                    f"{file} has several columns without a name, which pandas writes for an index "
                    "of several levels. Name all but one, or write the file with index=False."
                )
            raise DataError(f"{file} has several columns named {brief(twice)}; rename all but one.")
        if self.only is None and not self.without and not bookkeeping:
            return list(range(len(names)))
        index = {name: i for i, name in enumerate(names)}
        leave = {_position(column, index, file) for column in self.without}
        all_but = [i for i, name in enumerate(names) if name not in bookkeeping]
        wanted: Sequence[str | int] = all_but if self.only is None else self.only
        chosen = [_position(column, index, file) for column in wanted]
        if (again := _repeated([names[i] for i in chosen])) is not None:
            raise ConfigError(f"the column {brief(again)} is requested twice; give it once.")
        return [i for i in chosen if i not in leave]


def index_note(bookkeeping: Collection[str], chosen: Sequence[str]) -> tuple[str, ...]:
    """Return a note on columns of `bookkeeping` that were not `chosen`; empty if all were."""
    left = [name for name in bookkeeping if name not in chosen]
    if not left:
        return ()
    which = ", ".join(brief(name) for name in left)
    return (
        f"emdist left out the column {which}: an index, not a feature; to include it, list it "
        "among the columns (ingest.columns)",
    )


def _repeated(names: Sequence[str]) -> str | None:
    """Return a name that occurs more than once, or None."""
    if len(set(names)) == len(names):
        return None
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _position(column: str | int, index: Mapping[str, int], file: File) -> int:
    """Return the position of a column that is given by name or position."""
    if isinstance(column, int):
        if not 0 <= column < len(index):
            raise ConfigError(
                f"{file} has no column {column}; its {len(index)} columns are 0 to "
                f"{len(index) - 1}."
            )
        return column
    if column not in index:
        raise ConfigError(
            f"{file} has no column {column!r}{nearest(column, index)}; "
            f"it has {listing(list(index))}."
        )
    return index[column]


@dataclass(frozen=True)
class Table:
    """The rows of one file, which can be read in order any number of times.

    Attributes
    ----------
    features
        The d names of the features.
    dtype
        The common dtype of the d columns, in native byte order, which `blocks` yields.
    rows
        The number of rows, or None if it is known only after reading.
    blocks
        ``blocks(m)`` yields arrays of at most about m rows, shape (<= m, d). Memory depends on m
        and not on the file, unless the reader's docstring says otherwise.
    attributes
        JSON that describes this file, such as an image's height and width.
    notes
        What was left out or changed, for the user to read.
    """

    file: File
    features: tuple[str, ...]
    dtype: np.dtype[Any]
    rows: int | None
    blocks: Callable[[int], Iterator[Array]]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Reader(Protocol):
    """Opens a file as far as needed to know its columns. It reads no rows yet."""

    def __call__(self, file: File, selection: Selection) -> Table:
        """Open the chosen columns of `file`.

        Raise DataError if the file is damaged, and ConfigError as `pick` does.
        """
        ...


Formats: TypeAlias = Mapping[str, Reader]


#: What needs an optional package, to begin a message.
_USERS = {"PIL": "an image file", "pyarrow": "a CSV or Parquet file"}


def need(module: str) -> ModuleType:
    """Import and return an optional dependency. Raise ConfigError if it is missing."""
    return extras.need(module, _USERS.get(module.partition(".")[0], "this"))


def nearest(name: str, names: Mapping[str, Any] | Sequence[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the most similar name, or an empty string."""
    candidates = [other for other in list(names)[:_COMPARED] if len(other) <= _LONGEST]
    return plugins.nearest(name[:_LONGEST], candidates)


def brief(text: object) -> str:
    """Return a name from a file for a message: quoted, and shortened if it is long.

    A shortened name is followed by its length.
    """
    shown = text if isinstance(text, str) else str(text)
    if len(shown) <= _LONGEST:
        return repr(text)
    return f"{shown[:_LONGEST]!r}... ({len(shown)} characters)"


def check_width(features: int, file: File) -> None:
    """Raise ShapeError if there are more columns than an array may have features."""
    if features > MOST_FEATURES:
        raise ShapeError(
            f"{file} has {features} columns, but emdist reads at most {MOST_FEATURES}. Write a "
            "larger array with zarr itself, or save only some of the columns."
        )


def listing(names: Sequence[str]) -> str:
    """Return names for a message: the first few, and how many more there are."""
    return listed(names, _SHOWN, brief) or "none"


def real(dtype: np.dtype[Any], file: File) -> np.dtype[Any]:
    """Return the dtype as which numbers of `dtype` are stored: native byte order, bool as uint8.

    Raises
    ------
    DtypeError
        For anything but real numbers of at most 64 bits.
    """
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind in "iuf" and dtype.itemsize <= 8:
        return dtype.newbyteorder("=")
    remedy = {
        "O": "it contains pickled Python objects, which emdist never loads. Save numbers instead, "
        "as in np.save(path, a.astype(float))",
        "c": "store real and imaginary parts as two features, as in np.hstack([a.real, a.imag])",
        "f": "emdist does not support more than 64 bits. Save a.astype(np.float64)",
        "V": "save the fields as columns with numpy.lib.recfunctions.structured_to_unstructured",
    }.get(dtype.kind, "convert it to numbers first")
    raise DtypeError(f"{file} has dtype {dtype}, expected real numbers: {remedy}.")


def refuse_text(file: File, bad: Sequence[tuple[str, str]], good: Sequence[str]) -> None:
    """Raise DtypeError if there are `bad` columns, which are pairs of (name, what it holds)."""
    if not bad:
        return
    shown = listed(bad, _SHOWN, lambda one: f"{brief(one[0])} ({one[1][:_LONGEST]})")
    remedy = (
        f"choose the numeric ones (ingest.columns): {', '.join(brief(n) for n in good[:_SHOWN])}"
        f"{', ...' if len(good) > _SHOWN else ''}"
        if good
        else "it has no numeric column to choose instead"
    )
    raise DtypeError(f"{file} has columns without real numbers: {shown}; {remedy}.")
