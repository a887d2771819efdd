"""Variables of a grid, wherever they are: what reading them needs."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from emdist.errors import NotAnArrayError
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import listed
from emdist.interfaces import Array
from emdist.store.sources.diagnosis import Region
from emdist.store.sources.references import ArrayRef


@dataclass(frozen=True)
class Piece:
    """Values of a part of a variable.

    Attributes
    ----------
    region
        The part.
    values
        Its values, decoded.
    lost
        The parts of it that have no values.
    """

    region: Region
    values: Array
    lost: list[Region]


class Variable(Protocol):
    """A variable of a grid; picklable."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of its dimensions."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Their sizes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of its values in a block."""

    @property
    def exact_dtype(self) -> np.dtype[Any]:
        """The dtype of its values as they are read: in a block, int64 becomes float64."""

    @property
    def note(self) -> str:
        """Which stored numbers become NaN, for messages about NaN; may be empty."""

    @property
    def refs(self) -> tuple[ArrayRef, ...]:
        """The stored arrays that it is read from."""

    def unit(self, dim: str) -> int:
        """Return the size along `dim` of what is read as a whole, or 1 if it lacks `dim`."""
        ...

    def pieces(self, region: Region, block: int, missing: str, corrupt: str) -> Iterator[Piece]:
        """Yield the values of `region`, piece by piece.

        The values of a piece are valid until the next one is asked for.

        Parameters
        ----------
        region
            The part that is read.
        block
            The index of the block for which it is read, for messages.
        missing, corrupt
            The policies of the source.

        Raises
        ------
        StorageError, CorruptChunkError, MissingChunksError
            If it cannot be read.
        """
        ...

    def checked(self, region: Region, missing: str) -> Variable:
        """Return the variable ready to be read within `region`.

        Raises
        ------
        MissingChunksError
            If chunks are missing there and `missing` is "raise".
        """
        ...

    def identity(self) -> dict[str, Any]:
        """Return JSON that identifies the contents."""
        ...


class Members(Protocol):
    """The variables of a group or of a dataset. The driver uses it; it never travels."""

    @property
    def title(self) -> str:
        """How messages name the group."""

    @property
    def is_array(self) -> bool:
        """Whether it is one array alone."""

    def names(self) -> list[str]:
        """Return the names of all arrays, sorted."""
        ...

    def variable(self, name: str) -> Variable:
        """Return the variable called `name`; NotAnArrayError if there is none."""
        ...

    def only(self) -> Variable:
        """Return the single array, if it is one alone."""
        ...

    def data_variables(self) -> list[str]:
        """Return the names of the arrays that are features by themselves, in natural order."""
        ...

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return the attributes of a member, or none if it is no member."""
        ...

    def coordinate(self, dim: str) -> Array | None:
        """Return the values of the 1-D coordinate of dimension `dim`, or None if there is none."""
        ...


def size_of(variable: Variable, dim: str) -> int:
    """Return the size of dimension `dim` of a variable."""
    return variable.shape[variable.dims.index(dim)]


def matching(members: Members, patterns: Sequence[str]) -> list[str]:
    """Return the names of variables that match `patterns`, each pattern's in natural order.

    Raises
    ------
    NotAnArrayError
        If a pattern matches nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        # A variable may have such signs in its name.
        if not set("*?[") & set(pattern) or pattern in members.names():
            found += [pattern] if pattern not in found else []
            continue
        known = fnmatch.filter(members.data_variables(), pattern)
        if not known:
            raise NotAnArrayError(
                f"{members.title} has no variables like {pattern!r}. It has "
                f"{listed(members.names(), 8) or 'no arrays'}."
            )
        found += [name for name in known if name not in found]
    return found


def unknown(members: Members, name: str) -> NotAnArrayError:
    """Return the error for a variable that does not exist."""
    return NotAnArrayError(
        f"{members.title} has no variable {name!r}{nearest(name, members.names())}. It has "
        f"{listed(members.names(), 8) or 'no arrays'}."
    )


def natural(name: str) -> list[tuple[int, int | str]]:
    """Return a sort key in which B2 comes before B10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
