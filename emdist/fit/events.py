"""What a fit tells whoever watches: for display and logs only, never for the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from emdist.fit.state import Record


@dataclass(frozen=True)
class Began:
    """A stage of the run begins: survey, fit, label, or done."""

    stage: str
    note: str = ""


@dataclass(frozen=True)
class Progress:
    """Blocks done within the pass called `what`."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Planned:
    """The stop rule of the fit that begins or goes on; `done` iterations are behind it.

    Attributes
    ----------
    on
        "objective" or "shift".
    tol, max_iter
        As in `Stop`.
    done
        Iterations done in this start.
    """

    on: str
    tol: float
    max_iter: int
    done: int


@dataclass(frozen=True)
class Iterated:
    """One iteration has ended.

    Attributes
    ----------
    record
        Its line of the history.
    seconds
        It took.
    rows, nbytes
        It read, decoded.
    fit
        Name of the fit within a sweep; empty where there is one.
    """

    record: Record
    seconds: float
    rows: int
    nbytes: int
    fit: str = ""


@dataclass(frozen=True)
class Pruning:
    """What a pass of pruned K-means could not do without.

    Attributes
    ----------
    read, blocks
        Blocks that were read, of so many.
    scored, rows
        Rows that were held against the centres, of so many.
    """

    read: int
    blocks: int
    scored: int
    rows: int


@dataclass(frozen=True)
class Saved:
    """A checkpoint was committed after `iterations` iterations in all."""

    iterations: int
    where: str


@dataclass(frozen=True)
class Warned:
    """Something the user should know that does not stop the run."""

    message: str


Event: TypeAlias = Began | Progress | Planned | Iterated | Pruning | Saved | Warned
Listener: TypeAlias = Callable[[Event], None]


def unheard(event: Event) -> None:
    """Tell nobody."""
