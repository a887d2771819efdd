"""Variables of which only some positions along sample dimensions are read."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.store.grids.variables import Piece, Variable
from emdist.store.sources.diagnosis import Region
from emdist.store.sources.references import ArrayRef

#: Positions in increasing order.
At = range | tuple[int, ...]


@dataclass(frozen=True)
class _Group:
    """Positions along one dimension that are read together.

    Attributes
    ----------
    stored
        The range of the variable that is read.
    first
        The place of the first of the positions among all that are taken.
    at
        The positions, or None for all of `stored`.
    """

    stored: slice
    first: int
    at: At | None

    def within(self, part: slice) -> tuple[Any, slice]:
        """Return which values of a part of `stored` are taken, and their places."""
        if self.at is None:
            return slice(None), part
        low, high = bisect_left(self.at, part.start), bisect_left(self.at, part.stop)
        own = np.array(self.at[low:high], np.int64) - part.start
        return own, slice(self.first + low, self.first + high)


@dataclass(frozen=True)
class TakenVariable:
    """A variable as if it had only the positions that are taken; picklable.

    Attributes
    ----------
    variable
        The variable.
    taken
        The positions along each dimension of which some are taken, in increasing order.
    """

    variable: Variable
    taken: tuple[tuple[str, At], ...]

    @property
    def name(self) -> str:
        return self.variable.name

    @property
    def dims(self) -> tuple[str, ...]:
        return self.variable.dims

    @property
    def shape(self) -> tuple[int, ...]:
        known = dict(self.taken)
        sizes = zip(self.dims, self.variable.shape, strict=True)
        return tuple(len(known[dim]) if dim in known else n for dim, n in sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.variable.dtype

    @property
    def exact_dtype(self) -> np.dtype[Any]:
        return self.variable.exact_dtype

    @property
    def note(self) -> str:
        return self.variable.note

    @property
    def refs(self) -> tuple[ArrayRef, ...]:
        return self.variable.refs

    def unit(self, dim: str) -> int:
        """Return about how many taken positions lie in what is read as a whole."""
        unit, at = self.variable.unit(dim), dict(self.taken).get(dim)
        if at is None or len(at) < 2:
            return 1 if at else unit
        return max(1, unit * (len(at) - 1) // (at[-1] - at[0]))

    def pieces(self, region: Region, block: int, missing: str, corrupt: str) -> Iterator[Piece]:
        known = dict(self.taken)
        groups = [
            self._groups(dim, part, known[dim]) if dim in known else [_Group(part, 0, None)]
            for dim, part in zip(self.dims, region, strict=True)
        ]
        for combined in itertools.product(*groups):
            stored = tuple(one.stored for one in combined)
            for piece in self.variable.pieces(stored, block, missing, corrupt):
                values, places = piece.values, []
                for axis, (one, part) in enumerate(zip(combined, piece.region, strict=True)):
                    own, place = one.within(part)
                    values = values[(slice(None),) * axis + (own,)]
                    places.append(place)
                lost = [_places(combined, part) for part in piece.lost]
                if values.size:
                    yield Piece(tuple(places), values, lost)

    def _groups(self, dim: str, part: slice, at: At) -> list[_Group]:
        """Return the taken positions `part`, divided where nothing is taken of a whole chunk."""
        unit, own = self.variable.unit(dim), at[part]
        chunks = np.array(own, np.int64) // unit
        edges = [0, *(np.flatnonzero(np.diff(chunks) > 1) + 1).tolist(), len(own)]
        return [
            _Group(slice(own[a], own[b - 1] + 1), part.start + a, own[a:b])
            for a, b in itertools.pairwise(edges)
        ]

    def checked(self, region: Region, missing: str) -> Variable:
        known = dict(self.taken)
        hull = [
            slice(known[dim][part.start], known[dim][part.stop - 1] + 1) if dim in known else part
            for dim, part in zip(self.dims, region, strict=True)
        ]
        return replace(self, variable=self.variable.checked(tuple(hull), missing))

    def identity(self) -> dict[str, Any]:
        return {**self.variable.identity(), "taken": {dim: list(at) for dim, at in self.taken}}


def _places(combined: tuple[_Group, ...], part: Region) -> Region:
    return tuple(one.within(at)[1] for one, at in zip(combined, part, strict=True))


def taken_of(variable: Variable, taken: Mapping[str, At]) -> Variable:
    """Return `variable` with the positions `taken` of its dimensions only."""
    own = tuple((dim, at) for dim, at in taken.items() if dim in variable.dims)
    return TakenVariable(variable, own) if own else variable


def untaken(variable: Variable) -> Variable:
    """Return a variable with all of its positions."""
    return variable.variable if isinstance(variable, TakenVariable) else variable
