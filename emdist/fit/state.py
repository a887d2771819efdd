"""How a fit stands: a value that goes from iteration to iteration and into checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from emdist.interfaces import Floats
from emdist.sums import Sums


class Status(Enum):
    """How a fit has ended, or that it has not; the value says it in words."""

    RUNNING = "not finished. Start the same run again to continue."
    CONVERGED = "converged (the objective stopped changing)"
    SETTLED = "converged (the centres stopped moving)"
    UNCHANGED = "converged (no row changes its cluster any more)"
    GIVEN = "given (nothing was fitted)"
    MAX_ITER = (
        "not converged (max_iter was reached). Raise max_iter or tol, or look at the history."
    )

    @property
    def outcome(self) -> str:
        """One word for programs: running, converged, given or max_iter."""
        converged = self in (Status.CONVERGED, Status.SETTLED, Status.UNCHANGED)
        return "converged" if converged else self.name.lower()


@dataclass(frozen=True)
class Record:
    """One line of the history.

    Attributes
    ----------
    restart, iteration
        0-based start and 1-based iteration within it.
    objective
        Of the parameters that entered the iteration: nats per row, or inertia.
    change
        Of the objective since the previous iteration; NaN in the first.
    shift
        Sum of squared movements of the components' locations.
    reseeded, dropped
        Components that the relocation or degeneracy policy moved or removed.
    expected, entropy, updated
        See `Terms`; the ELBO is their sum ``expected + entropy``. `updated` is what the plain
        M-step made of the objective, before any policy.
    rejected
        1 where the parameters that entered were a trial that was given up: the fit went on from
        others, and `change` of the next iteration is held against the one before.
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
        """Evidence lower bound Q + H, per unit of weight: nats; NaN where there is none."""
        return self.expected + self.entropy


@dataclass(frozen=True)
class Best:
    """The best finished start so far."""

    params: Any
    objective: float
    iterations: int
    restart: int
    status: Status


@dataclass(frozen=True)
class FitState:
    """All there is to resume a fit: a value, never changed in place.

    Attributes
    ----------
    seed
        Root of every random choice.
    restart
        0-based start (of ``n_init``) that is running.
    iteration
        Iterations done in this start.
    params
        Current parameters, relative to the origin; None before seeding.
    sums
        Of the last pass, for the unchanged-labels rule; None before the first, and where the last
        iteration had no objective of one set of parameters.
    memory
        What the schedule keeps from step to step of a start; None where it keeps nothing.
    shared
        Statistics that are gathered once per run.
    history
        One record per iteration, all starts.
    status
        Of the running start.
    best
        Best finished start; None before the first finishes.
    finished
        True when all starts have stopped and `best` is the result.
    starts
        States of the starts that advance abreast, also once all have stopped: a run with other stop
        rules goes on from them. None of one start after another.
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
