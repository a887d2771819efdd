"""Everything that stays the same while a fit is advanced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from emdist.fit.seeding import Seeder
from emdist.fit.stop import Stop
from emdist.fit.survey import Survey
from emdist.interfaces import Engine, Floats, Model, Numerics, Source

#: What happens to a component that lost its rows, or became too narrow for a density.
Policy = Literal["regularise", "reseed", "drop", "raise"]

#: ``(what, blocks done, blocks in all)``; for display only.
Watch = Callable[[str, int, int], None]


def unwatched(what: str, done: int, total: int) -> None:
    """Show nothing."""


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
    seeder, clusters
        Chooses starting locations; whether they are centres of clusters, from whose M-step a
        mixture then starts.
    labeller
        K-means, which labels rows for such a start.
    start
        Replaces the seeder and what it leads to where parameters were given: called with the
        seeded parameters, or with None if nothing needs to be seeded.
    needs_seeds
        Whether `start` leaves anything to be seeded.
    stop, policy
        When to stop and what to do about collapsed components.
    n_init
        Starts, of which the best is kept.
    watch
        Told about progress within passes.
    """

    source: Source
    engine: Engine
    model: Model[Any]
    n_components: int
    survey: Survey
    seeder: Seeder
    clusters: bool
    labeller: Model[Any]
    stop: Stop
    policy: Policy
    n_init: int = 1
    start: Callable[[Any], Any] | None = None
    needs_seeds: bool = True
    watch: Watch = unwatched

    @property
    def origin(self) -> Floats:
        """(d,) that all parameters are relative to."""
        return self.survey.spread.origin

    def map_reduce(self, what: str, task: Callable[[int], Any]) -> Any:
        """`task` over all blocks, with progress under the name `what`."""
        blocks = range(len(self.source))
        self.watch(what, 0, len(blocks))
        return self.engine.map_reduce(
            task, blocks, lambda done: self.watch(what, done, len(blocks))
        )

    def numerics(self, params: Any) -> Numerics:
        """How a pass with `params` computes."""
        return self.model.numerics(params, self.survey.spread, self.source.dtype)
