"""Sequences: which rows follow one another, from their lengths or from an id for each row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.errors import ConfigError, ShapeError, WeightError
from emdist.inputs.foreign import is_a
from emdist.inputs.quoting import shown
from emdist.interfaces import Floats, Pieces

#: Ids that are read at once.
_IDS = 1 << 22


@dataclass(frozen=True, eq=False)
class Sequences:
    """The sequences of consecutive rows of which data consist.

    Attributes
    ----------
    starts
        The number of the first row of each sequence, in order: (m,). The first one is 0.
    rows
        The number of rows.
    """

    starts: NDArray[np.int64]
    rows: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of rows of each sequence, (m,)."""
        return np.diff(self.starts, append=self.rows)

    def within(self, a: int, b: int) -> Pieces:
        """Return the sequences, or pieces of them, of the rows a..b."""
        first, last = np.searchsorted(self.starts, (a, b))
        end = int(self.starts[last]) if last < len(self.starts) else self.rows
        return Pieces(self.starts[first:last] - a, end != b)

    def cuts(self, bounds: Sequence[int]) -> list[int]:
        """Return the indices of the blocks of a plan that contain part of a longer sequence."""
        found = set()
        ends = np.append(self.starts, self.rows)
        for i in range(1, len(bounds) - 1):
            at = int(bounds[i])
            if ends[np.searchsorted(ends, at)] != at:
                found |= {i - 1, i}
        return sorted(found)

    def digest(self) -> str:
        """Return what identifies the sequences."""
        return hashlib.sha256(self.starts.astype("<i8").tobytes()).hexdigest()


@dataclass(frozen=True)
class EqualSequences:
    """Sequences of one length, of which blocks have whole ones: the pixels of a map.

    Attributes
    ----------
    length
        The number of rows of each sequence.
    rows
        The number of rows.
    """

    length: int
    rows: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of rows of each sequence, (m,)."""
        return np.full(self.rows // self.length, self.length, np.int64)

    def within(self, a: int, b: int) -> Pieces:
        """Return the sequences of the rows a..b of a block."""
        return Pieces(np.arange(0, b - a, self.length, dtype=np.int64))

    def cuts(self, bounds: Sequence[int]) -> list[int]:
        """Return the indices of blocks that contain part of a longer sequence: none."""
        return []

    def digest(self) -> str:
        """Return what identifies the sequences."""
        return f"equal:{self.length}"


def one_sequence(rows: int) -> Sequences:
    """Return one sequence of all rows."""
    return Sequences(np.zeros(1, np.int64), rows)


def sequences_of_lengths(lengths: Any, rows: int, name: str = "lengths") -> Sequences:
    """Return sequences of these lengths, one after another.

    Raises
    ------
    ConfigError
        If they are not whole numbers of at least 1.
    ShapeError
        If they do not sum to the number of rows.
    """
    found = np.asarray(lengths)
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "iu":
        raise ConfigError(
            f"{name} is {shown(lengths)}; expected a list of whole numbers, the number of rows of "
            "each sequence."
        )
    found = found.astype(np.int64)
    if (found < 1).any():
        at = int(np.argmax(found < 1))
        raise ConfigError(
            f"{name} holds {found[at]}, for sequence {at}; expected numbers of rows >= 1. Leave "
            "out sequences without rows."
        )
    ends = np.cumsum(found)
    if ends[-1] != rows:
        raise ShapeError(
            f"{name} sums to {ends[-1]}, but there are {rows} rows; expected the number of rows of "
            "each sequence, in the order of the rows."
        )
    return Sequences(np.concatenate([[0], ends[:-1]]), rows)


def sequences_of_ids(ids: Any, rows: int, name: str = "groups") -> Sequences:
    """Return the sequences of consecutive rows with one id.

    Raises
    ------
    ShapeError
        If there is not one id for each row.
    ConfigError
        If rows of one id are not consecutive.
    """
    found = ids if is_a(ids, "zarr", "Array") else np.asarray(ids)
    if found.shape != (rows,):
        raise ShapeError(
            f"{name} has shape {found.shape}; expected ({rows},): the id of the sequence of each "
            "row."
        )
    starts: list[NDArray[np.int64]] = []
    first: list[Any] = []
    last: Any = None
    for a in range(0, rows, _IDS):  # An array on disk need not fit into memory.
        part = np.asarray(found[a : a + _IDS])
        if (unknown := part != part).any():
            raise ConfigError(
                f"{name} is {part[unknown][0]} for row {a + int(np.argmax(unknown))}; expected the "
                "id of a sequence. Leave out such rows, or give each of them an id of its own."
            )
        begins = np.concatenate([[a == 0 or part[0] != last], part[1:] != part[:-1]])
        last = part[-1]
        at = np.flatnonzero(begins).astype(np.int64)
        starts.append(at + a)
        first.append(part[at])
    try:
        values, counts = np.unique(np.concatenate(first), return_counts=True)
    except TypeError:
        raise ConfigError(
            f"{name} has ids of several types, which cannot be compared; expected numbers or texts."
        ) from None
    if (counts > 1).any():
        one = values[int(np.argmax(counts > 1))]
        told = shown(one.item() if isinstance(one, np.generic) else one)
        raise ConfigError(
            f"Rows of the sequence {told} in {name} are not consecutive. Sort the rows by "
            "sequence, and by time within each."
        )
    return Sequences(np.concatenate(starts), rows)


def weights_of_sequences(
    weight: Floats | None, mask: NDArray[np.bool_] | None, pieces: Pieces, rows: int
) -> Floats | None:
    """Return weights (rows,) that are the same for all rows of a sequence; None if all are 1.

    Rows that are left out get the weight of their sequence, whose time goes on. A sequence without
    any row that counts says nothing on a model, and gets the weight 0.

    Raises
    ------
    WeightError
        If rows of one sequence that count have different weights.
    """
    if mask is None or mask.all():
        if weight is not None:
            check_weights(weight, pieces.starts)
        return weight
    starts = pieces.starts if not pieces.continues else np.append(0, pieces.starts)
    lengths = np.diff(starts, append=rows)
    seen = np.add.reduceat(mask, starts, dtype=np.int64) if rows else lengths
    own = np.ones(rows) if weight is None else weight
    # The weight of the first row that counts. argmax would need a loop over sequences.
    counted = np.flatnonzero(mask)
    after = np.minimum(np.searchsorted(counted, starts), max(len(counted) - 1, 0))
    each = own[counted[after]] if len(counted) else np.zeros(len(starts))
    if rows and pieces.continues and not seen[0]:
        each[0] = own[0]
        seen[0] = 1
    if rows and pieces.goes_on and not seen[-1]:
        each[-1] = own[-1]
        seen[-1] = 1
    each = np.where(seen > 0, each, 0.0)
    found = np.repeat(each, lengths)
    check_weights(np.where(mask, own, found), starts)
    return None if weight is None and (each == 1).all() else found


def check_weights(weight: Floats, starts: NDArray[np.int64] | None = None) -> None:
    """Raise WeightError unless all rows of a sequence have the same sample weight.

    `starts` are the first rows of all sequences but that of row 0; None for one sequence.
    """
    if not len(weight):
        return
    same = weight[1:] == weight[:-1]
    if starts is not None:
        same[starts[starts > 0] - 1] = True
    if not same.all():
        at = int(np.argmin(same))
        raise WeightError(
            f"Rows of one sequence have the sample weights {weight[at]:g} and {weight[at + 1]:g}; "
            "expected the same weight for all rows of a sequence, which counts as so many "
            "sequences. To leave out a value, set it to NaN and data.non_finite to 'missing'."
        )
