"""A plan: what one fit of a run does and how often it is saved, as `composition.make` makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emdist.fit.events import Event, Iterated, Listener, Warned, unheard
from emdist.fit.fit import Fit
from emdist.fit.survey import Survey, SurveyTask
from emdist.fit.together.abreast import Step
from emdist.interfaces import Engine, Model, Source


@dataclass(frozen=True)
class Cadence:
    """How often to checkpoint, and how many to keep.

    Attributes
    ----------
    seconds, iterations
        A segment ends at whichever comes first; `iterations` None for no such limit.
    keep_last, keep_every
        Retention: the last so many, and every so many-th (0 for none). The best is always kept.
    """

    seconds: float = 60.0
    iterations: int | None = None
    keep_last: int = 3
    keep_every: int = 0


@dataclass(frozen=True)
class Plan:
    """What one fit of a run does, as `build` puts it together.

    Attributes
    ----------
    source, engine, model
        What is read, where, and what is fitted.
    setup
        Makes the `Fit` once the survey is there.
    survey
        The survey's task.
    types
        Of the state's open fields, for decoding: see `codec.decode`.
    seed
        Of the fit.
    cadence
        Of checkpoints.
    listen
        Told what happens.
    name
        Of the fit among those of a sweep, such as ``diagonal-8``; empty for a fit by itself, whose
        checkpoints hold its state alone.
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


def hear(plans: Sequence[Plan], index: int, event: Event) -> None:
    """Pass on what one fit tells, a warning with the name of the fit."""
    plan = plans[index]
    if isinstance(event, Warned) and plan.name:
        event = Warned(f"{plan.name}: {event.message}")
    plan.listen(event)


def tell(plans: Sequence[Plan], steps: Sequence[Step], seconds: float) -> None:
    """Tell of new iterations, which took so long together."""
    for step in steps:
        plan = plans[step.index]
        rows, features = plan.source.shape
        nbytes = rows * features * plan.source.dtype.itemsize
        for record in step.records:  # one of each start that advances abreast
            plan.listen(Iterated(record, seconds, rows, nbytes, plan.name))
