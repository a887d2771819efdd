"""Events that a fit sends to its listeners. They serve display and logs, never the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from emdist.fit.state import Record


@dataclass(frozen=True)
class Began:
    """A stage of the run begins: survey, fit, label or done."""

    stage: str
    note: str = ""


@dataclass(frozen=True)
class Progress:
    """How many blocks of the pass called `what` are done, of `total`."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Planned:
    """The stop rule of a fit that begins or resumes, and how many iterations it has made.

    Attributes
    ----------
    on
        "objective" or "shift".
    tol, max_iter
        As in `Stop`.
    done
        The number of iterations done in this restart.
    restarts
        The number of restarts of each fit.
    """

    on: str
    tol: float
    max_iter: int
    done: int
    restarts: int = 1


@dataclass(frozen=True)
class Iterated:
    """One iteration has ended.

    Attributes
    ----------
    record
        Its line of the history.
    seconds
        How long it took.
    rows, nbytes
        How many rows it read, and their size in decoded bytes.
    fit
        The name of the fit within a sweep; empty for a single fit.
    """

    record: Record
    seconds: float
    rows: int
    nbytes: int
    fit: str = ""


@dataclass(frozen=True)
class Pruning:
    """How much work a pass of pruned K-means could not skip.

    Attributes
    ----------
    read, blocks
        How many blocks were read, and how many there are.
    scored, rows
        How many rows were compared with the centres, and how many there are.
    """

    read: int
    blocks: int
    scored: int
    rows: int


@dataclass(frozen=True)
class Saved:
    """A checkpoint was saved after a total of `iterations` iterations."""

    iterations: int
    where: str


@dataclass(frozen=True)
class Warned:
    """Something the user should know, but which does not stop the run."""

    message: str


Event: TypeAlias = Began | Progress | Planned | Iterated | Pruning | Saved | Warned
Listener: TypeAlias = Callable[[Event], None]


def unheard(event: Event) -> None:
    """Ignore the event: the listener of a fit that nobody watches."""
