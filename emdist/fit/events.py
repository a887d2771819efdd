"""Events that a fit sends to its listeners. They serve display and logs, never the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from emdist.fit.state import Record
from emdist.inputs.quoting import shown_size


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
    """A checkpoint was saved.

    Attributes
    ----------
    iterations
        How many iterations have been done, over all models and restarts together.
    where
        The folder of the run.
    models, restarts
        How many models there are, and how many restarts of all of them together.
    """

    iterations: int
    where: str
    models: int = 1
    restarts: int = 1

    def __str__(self) -> str:
        several = f" of {self.restarts} restarts" if self.restarts > 1 else ""
        if self.models > 1:
            several = f" of {self.models} models"
            several += f" and {self.restarts} restarts" if self.restarts > self.models else ""
        together = f"{several} together" if several else ""
        return f"checkpoint after {self.iterations} iterations{together}, saved in {self.where}"


@dataclass(frozen=True)
class Caching:
    """Decoded blocks will be kept in memory between passes.

    Attributes
    ----------
    nbytes
        How many bytes they may take, in each process that computes.
    decoded
        How many bytes all blocks have.
    """

    nbytes: int
    decoded: int

    def __str__(self) -> str:
        budget, decoded = shown_size(self.nbytes), shown_size(self.decoded)
        most = f"all {decoded}" if self.decoded <= self.nbytes else f"{budget} of {decoded}"
        return (
            f"keeping decoded rows in memory between passes: {most}. To use less, set "
            "cluster.cache to 'off'"
        )


@dataclass(frozen=True)
class Linked:
    """A page about the run, such as the dashboard of its Dask cluster."""

    what: str
    url: str

    def __str__(self) -> str:
        return f"{self.what}: {self.url}"


@dataclass(frozen=True)
class Warned:
    """Something the user should know, but which does not stop the run."""

    message: str


Event: TypeAlias = (
    Began | Progress | Planned | Iterated | Pruning | Caching | Saved | Linked | Warned
)
Listener: TypeAlias = Callable[[Event], None]


def unheard(event: Event) -> None:
    """Ignore the event: the listener of a fit that nobody watches."""
