"""`Fit`: everything that stays the same from one iteration of a fit to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from emdist.fit.events import Listener, Progress, unheard
from emdist.fit.seeding import Seeder
from emdist.fit.seeding.geometry import Euclidean, Geometry
from emdist.fit.start import Given, Reached
from emdist.fit.state import FitState
from emdist.fit.stop import Stop
from emdist.fit.survey import Survey
from emdist.interfaces import Engine, Floats, IterationIndex, Model, Numerics, Source

#: What to do with a component that lost its rows, or became too narrow to have a density.
Policy = Literal["regularise", "reseed", "drop", "raise"]


class Schedule(Protocol):
    """How EM iterates: each file in `emdist.fit.schedules` has one, named ``schedule``."""

    @property
    def memory(self) -> Any:
        """The type of `FitState.memory`: a dataclass that can be stored, or the type of None."""
        ...

    def check(self, model: Model[Any]) -> None:
        """Raise ConfigError if the schedule cannot fit `model`."""
        ...

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Return the state after one iteration from `state`, which already has parameters."""
        ...


@dataclass(frozen=True)
class Fit:
    """Everything that stays the same from one iteration of a fit to the next.

    Attributes
    ----------
    source, engine, model
        The data, the engine that runs the passes, and the model to fit.
    n_components
        The number of components that each restart begins with.
    survey
        The survey of `source`.
    seeder
        Chooses the locations of the starting values.
    labeller
        A K-means model. It labels the rows where a seeder starts a mixture from clusters.
    given
        Starting values that the user gave. They replace what the seeder found.
    stop, schedule, policy
        When to stop, how EM iterates, and what to do with collapsed components.
    n_init
        The number of restarts, of which the best is kept.
    one_start
        Whether to end after the restart that a state is in, because other restarts are computed
        beside it.
    listen
        Called with events about the progress within passes.
    geometry
        The dissimilarities by which seeders draw rows.
    before
        The last objective of an earlier fit that this one continues, and its last change.
    turn
        The iteration that `model` computes for, if it computes differently in each iteration. See
        `emdist.fit.iteration.at_iteration`.
    comparable
        How many of the two iterations before had the same objective function, which means the
        same temperature and no random draws.
    memory
        What the schedule keeps from an earlier fit that this one continues, or None.
    """

    source: Source
    engine: Engine
    model: Model[Any]
    n_components: int
    survey: Survey
    seeder: Seeder
    labeller: Model[Any]
    stop: Stop
    schedule: Schedule
    policy: Policy
    n_init: int = 1
    given: Given = field(default_factory=Given)
    listen: Listener = unheard
    geometry: Geometry = field(default_factory=Euclidean)
    one_start: bool = False
    before: Reached = field(default_factory=Reached)
    iteration_index: IterationIndex | None = None
    comparable: int = 2
    memory: Any = None

    @property
    def origin(self) -> Floats:
        """The origin (d,), to which all parameters are relative."""
        return self.survey.spread.origin

    def map_reduce(
        self,
        what: str,
        task: Callable[[int], Any],
        blocks: Sequence[int] | None = None,
        before: int = 0,
    ) -> Any:
        """Apply `task` to `blocks` (default: all) and report progress under the name `what`.

        `before` is the number of blocks of the same pass that are already done.
        """
        total = len(self.source)
        self.listen(Progress(what, before, total))
        return self.engine.map_reduce(
            task,
            range(total) if blocks is None else blocks,
            lambda done: self.listen(Progress(what, before + done, total)),
        )

    def numerics(self, params: Any) -> Numerics:
        """Return how a pass with `params` computes."""
        return self.model.numerics(params, self.survey.spread, self.source.dtype)
