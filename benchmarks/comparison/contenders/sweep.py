"""Fit many values of k to the same data: one after another, or all with shared reads."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.comparison.contenders.counted import (
    Counted,
    counted_source,
    first_means,
    fits,
)
from benchmarks.comparison.workload import Absent, Outcome, Turn, Work, timed
from emdist.composition.make import make_fit, make_survey
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.fit.loop import iterate
from emdist.fit.state import FitState
from emdist.settings.config import FitSection, ModelSection

NEEDS = ("emdist",)


def _models(work: Work) -> list[ModelSection]:
    return [ModelSection(name=work.options["model"], n_components=k) for k in work.options["ks"]]


def _section(work: Work) -> FitSection:
    return FitSection(tol=0, max_iter=work.options["max_iter"])


def _one_by_one(work: Work, source: Counted) -> list[FitState]:
    models = _models(work)
    starts = [first_means(work, model.n_components) for model in models]
    return [
        [*iterate(fit, FitState(0))][-1] for fit in fits(source, models, _section(work), starts)
    ]


def _joint(work: Work, source: Counted) -> list[FitState]:
    """Fit all models by emdist's sweep. Only this function knows its internal interface.

    It must fit the same models as `_one_by_one`, from the same starts, and return the last states.
    """
    try:
        joint: Any = importlib.import_module("emdist.fit.together.sweep")
    except ImportError:
        raise Absent("emdist has no joint sweep yet") from None
    recipes, engine = [Recipe(m, _section(work)) for m in _models(work)], LocalEngine()
    surveys = joint.surveyed_together([make_survey(source, one) for one in recipes], engine)
    together = [
        make_fit(one, source, engine, survey, first_means(work, one.k))
        for one, survey in zip(recipes, surveys, strict=True)
    ]
    begin = joint.SweepState(tuple(FitState(0) for _ in together))
    states = joint.advanced_together(together, begin, lambda *_: None, lambda *_: None)
    last, _ = [*states][-1]
    return list(last.fits)


def sweep(work: Work) -> Turn:
    """Measure the fits of all models, including their surveys."""
    joint = bool(work.options["joint"])

    def turn() -> Outcome:
        source = counted_source(work)
        seconds, states = timed(lambda: (_joint if joint else _one_by_one)(work, source))
        iterations = sum(len(state.history) for state in states)
        objectives = [state.best.objective for state in states if state.best is not None]
        figures = {
            "objectives": sum(objectives),
            "fits": float(len(objectives)),
            "reads": source.passes,
            "iterations of one": iterations / len(states),
        }
        return Outcome(seconds, figures)

    return turn
