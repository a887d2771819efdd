"""Count how many passes over the data a schedule needs, instead of measuring time."""

from __future__ import annotations

import math

import numpy as np

import emdist
from benchmarks.comparison.contenders.counted import (
    counted_source,
    first_means,
    fits,
    has_schedule,
)
from benchmarks.comparison.contenders.gaussian_start import given
from benchmarks.comparison.workload import Outcome, Turn, Work
from emdist.fit.loop import iterate
from emdist.fit.state import FitState, Record
from emdist.parameters.choices import Schedule
from emdist.settings.config import FitSection, ModelSection

NEEDS = ("emdist",)

#: Nats per row below batch EM's log-likelihood that still count as having reached it.
_NEAR = 1e-7


def kmeans_passes(work: Work) -> Turn:
    """Count passes of K-means until no label changes, without the survey."""
    schedule, k = work.options["schedule"], len(work.start())
    has_schedule(schedule)
    section = FitSection(tol=0, max_iter=work.options["max_iter"], schedule=schedule)

    def turn() -> Outcome:
        source = counted_source(work)
        (fit,) = fits(source, [ModelSection(n_components=k)], section, [first_means(work, k)])
        before, state = source.passes, [*iterate(fit, FitState(0))][-1]
        assert state.best is not None
        figures = {"inertia": state.best.objective, "iterations": float(state.best.iterations)}
        return Outcome(source.passes - before, figures, peak=None)

    return turn


def _history(work: Work, schedule: Schedule) -> tuple[Record, ...]:
    x, start = work.array("x"), work.start()
    mixture = emdist.GaussianMixture(
        len(start),
        covariance_type=work.options["covariance"],
        tol=work.options["tol"],
        max_iter=work.options["max_iter"],
        schedule=schedule,
        block_size=work.options["block_size"],
        **given(work.options["covariance"], start, x),
    )
    return mixture.fit(x).history_


def mixture_passes(work: Work) -> Turn:
    """Count the passes that a schedule needs to reach the final log-likelihood of batch EM."""
    schedule = work.options["schedule"]
    has_schedule(schedule)

    def turn() -> Outcome:
        batch = _history(work, "batch")
        wanted = batch[-1].objective - _NEAR
        history = batch if schedule == "batch" else _history(work, schedule)
        bounds = np.array([r.objective for r in history])
        reached = np.flatnonzero(bounds >= wanted)
        # Count batch EM in the same way: iterations after that point gain nothing that counts.
        passes = float(reached[0] + 1) if len(reached) else math.inf
        return Outcome(passes, {"bound": float(bounds.max())})

    return turn
