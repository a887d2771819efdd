"""Everything that stays the same while a fit is advanced."""

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
from emdist.interfaces import Engine, Floats, Model, Numerics, Source, Turn

#: What happens to a component that lost its rows, or became too narrow for a density.
Policy = Literal["regularise", "reseed", "drop", "raise"]


class Schedule(Protocol):
    """How passes become iterations: one file in `emdist.fit.schedules`, with a ``schedule``."""

    @property
    def memory(self) -> Any:
        """The type of `FitState.memory`: a dataclass that can be stored, or None's type."""
        ...

    def check(self, model: Model[Any]) -> None:
        """ConfigError if the schedule cannot serve `model`."""
        ...

    def step(self, fit: Fit, state: FitState) -> FitState:
        """The state after one iteration from `state`, whose parameters are seeded."""
        ...


@dataclass(frozen=True)
class Fit:
    """Everything that stays the same while a state is advanced.

    Attributes
    ----------
    source, engine, model
        What is read, where it runs, what is fitted.
    n_components
        Of the start.
    survey
        Of the source.
    seeder
        Chooses starting locations.
    labeller
        K-means, which labels rows for such a start.
    given
        Parameters that were given and replace what seeding found.
    stop, schedule, policy
        When to stop, how passes become iterations, what to do about collapsed components.
    n_init
        Starts, of which the best is kept.
    one_start
        Whether to end after the start that a state is in: the others are advanced beside it.
    listen
        Told about progress within passes.
    geometry
        Dissimilarities that seeds are drawn by.
    before
        The last objective of an earlier fit that this one goes on from, and its change.
    turn
        That `model` computes in, where it differs from turn to turn; see `emdist.fit.turn.turned`.
    comparable
        How many of the two iterations before had the same objective: the same temperature, no
        draws.
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
    turn: Turn | None = None
    comparable: int = 2

    @property
    def origin(self) -> Floats:
        """(d,) that all parameters are relative to."""
        return self.survey.spread.origin

    def map_reduce(
        self,
        what: str,
        task: Callable[[int], Any],
        blocks: Sequence[int] | None = None,
        before: int = 0,
    ) -> Any:
        """`task` over `blocks`, or all of them, with progress under the name `what`.

        `before` counts the blocks of the same pass that are done already.
        """
        total = len(self.source)
        self.listen(Progress(what, before, total))
        return self.engine.map_reduce(
            task,
            range(total) if blocks is None else blocks,
            lambda done: self.listen(Progress(what, before + done, total)),
        )

    def numerics(self, params: Any) -> Numerics:
        """How a pass with `params` computes."""
        return self.model.numerics(params, self.survey.spread, self.source.dtype)
