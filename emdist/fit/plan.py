"""`Plan`: what one fit of a run does and how often it is saved. `composition.make` makes plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emdist.fit.aligning import Matching, in_order, matched
from emdist.fit.events import Event, Iterated, Listener, Warned, unheard
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted
from emdist.fit.survey import Survey, SurveyTask
from emdist.fit.together.abreast import Step
from emdist.fit.together.sweep import narrowed
from emdist.interfaces import Engine, Floats, Model, Source


@dataclass(frozen=True)
class Cadence:
    """How often to write a checkpoint, and how many checkpoints to keep.

    Attributes
    ----------
    seconds, iterations
        Write a checkpoint after this many seconds or this many iterations, whichever comes first.
        If `iterations` is None, only the seconds decide.
    keep_last, keep_every
        Keep the last `keep_last` checkpoints, and every `keep_every`-th one (0 for none). The best
        is always kept.
    """

    seconds: float = 60.0
    iterations: int | None = None
    keep_last: int = 3
    keep_every: int = 0


@dataclass(frozen=True)
class Plan:
    """What one fit of a run does; `composition.make` puts it together.

    Attributes
    ----------
    source, engine, model
        The data, the engine that runs the passes, and the model to fit.
    setup
        Makes the `Fit` once the survey is known.
    survey
        The task that surveys one block.
    types
        The types of those fields of the stored state whose type depends on the model, by name. See
        `codec.decode`.
    seed
        The random seed of the fit.
    cadence
        How often to write checkpoints, and how many to keep.
    listen
        Called with each event.
    name
        The name of the fit among those of a sweep, such as ``diagonal-8``. Empty for a single fit,
        whose checkpoints hold only its own state.
    reference
        An earlier model. The components of the result get the numbers of those of this model.
    origin
        The origin (d,) of a stream that this fit goes on with; None for the data's own.
    """

    source: Source
    engine: Engine
    model: Model[Any]
    setup: Callable[[Survey], Fit]
    survey: SurveyTask
    types: Mapping[str, Any]
    seed: int
    cadence: Cadence = Cadence()
    listen: Listener = unheard
    name: str = ""
    reference: Fitted | None = None
    origin: Floats | None = None

    def seen(self, survey: Survey) -> Survey:
        """Return what this fit sees of the survey of all fits of the run."""
        found = narrowed(survey, self.survey)
        return found if self.origin is None else found.about(self.origin)

    def aligned(self, found: Fitted) -> Fitted:
        """Return the result of the fit with its components in the order of the reference."""
        if self.reference is None:
            return found
        return in_order(self.model, found, self.matching(found))

    def matching(self, found: Fitted) -> Matching:
        """Return which component of the result is which component of the reference."""
        assert self.reference is not None
        return matched(self.model, found, self.model, self.reference)


def hear(plans: Sequence[Plan], index: int, event: Event) -> None:
    """Pass on an event of one fit; put the name of the fit before a warning."""
    plan = plans[index]
    if isinstance(event, Warned) and plan.name:
        event = Warned(f"{plan.name}: {event.message}")
    plan.listen(event)


def tell(plans: Sequence[Plan], steps: Sequence[Step], seconds: float) -> None:
    """Report new iterations, which took `seconds` together."""
    for step in steps:
        plan = plans[step.index]
        rows, features = plan.source.shape
        nbytes = rows * features * plan.source.dtype.itemsize
        for record in step.records:  # one record of each restart that advances
            plan.listen(Iterated(record, seconds, rows, nbytes, plan.name))
