"""`FitState`: how far a fit has come, as a value that is passed on and stored in checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from emdist.interfaces import Floats
from emdist.sums import Sums


class Status(Enum):
    """How a fit ended, or that it is still running. The value says it in words for users."""

    RUNNING = "not finished. Start the same run again to continue."
    CONVERGED = "converged (the objective stopped changing)"
    SETTLED = "converged (the centres stopped moving)"
    UNCHANGED = "converged (no row changes its cluster any more)"
    GIVEN = "given (nothing was fitted)"
    STREAMED = "up to date with these rows. A stream goes on with the next ones."
    MAX_ITER = (
        "not converged (max_iter was reached). Raise max_iter or tol, or look at the history."
    )

    @property
    def is_open(self) -> bool:
        """Whether more iterations, or more rows of a stream, would go on from here."""
        return self in (Status.RUNNING, Status.MAX_ITER, Status.STREAMED)

    @property
    def outcome(self) -> str:
        """The status as one word for programs: running, converged, given, streamed or
        max_iter.
        """
        converged = self in (Status.CONVERGED, Status.SETTLED, Status.UNCHANGED)
        return "converged" if converged else self.name.lower()


@dataclass(frozen=True)
class Record:
    """One line of the history.

    Attributes
    ----------
    restart, iteration
        The number of the restart, from 0, and the number of the iteration in it, from 1.
    objective
        The objective of the parameters that entered the iteration: nats per row, or inertia.
    change
        The change of the objective since the previous iteration; NaN in the first.
    shift
        The sum of squared movements of the components' locations.
    reseeded, dropped
        How many components the collapse policy moved or removed.
    expected, entropy, updated
        See `Terms`. The ELBO is the sum ``expected + entropy``. `updated` is the objective after
        the plain M-step, before any policy.
    rejected
        1 if the parameters that entered were a trial that was rejected. The fit then went on from
        other parameters, and `change` of the next iteration is relative to the one before the
        trial.
    """

    restart: int
    iteration: int
    objective: float
    change: float
    shift: float
    reseeded: int = 0
    dropped: int = 0
    expected: float = math.nan
    entropy: float = math.nan
    updated: float = math.nan
    rejected: int = 0

    @property
    def elbo(self) -> float:
        """Evidence lower bound Q + H, per unit of weight, in nats; NaN if there is none."""
        return self.expected + self.entropy


@dataclass(frozen=True)
class Best:
    """The best finished restart so far."""

    params: Any
    objective: float
    iterations: int
    restart: int
    status: Status


@dataclass(frozen=True)
class FitState:
    """All that is needed to resume a fit: a value that is never changed in place.

    Attributes
    ----------
    seed
        The random seed, from which all random choices follow.
    restart
        The number of the running restart (of ``n_init``), from 0.
    iteration
        The number of iterations done in this restart.
    params
        The current parameters, relative to the origin; None before there are starting values.
    sums
        The sums of the last pass, for the rule that stops when no label changes. None before the
        first pass, and if the last iteration had no objective of a single set of parameters.
    memory
        What the schedule keeps from step to step of a restart; None if it keeps nothing.
    shared
        The statistics that a run gathers only once.
    history
        One record for each iteration of all restarts.
    status
        The status of the running restart.
    best
        The best finished restart; None before the first one finishes.
    finished
        True when all restarts have stopped and `best` is the result.
    starts
        The states of the restarts that advance together, kept also once all have stopped: a run
        with other stop rules continues from them. Empty if restarts run one after another.
    """

    schema: ClassVar[int] = 2

    seed: int
    restart: int = 0
    iteration: int = 0
    params: Any = None
    sums: Sums | None = None
    memory: Any = None
    shared: Mapping[str, Floats] | None = None
    history: tuple[Record, ...] = ()
    status: Status = Status.RUNNING
    best: Best | None = None
    finished: bool = False
    starts: tuple[FitState, ...] = ()
