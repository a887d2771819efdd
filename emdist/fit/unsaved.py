"""Fits without a run folder, from beginning to end, as the estimators make them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from emdist.engines.blas import one_thread
from emdist.fit.fit import Fit
from emdist.fit.plan import Plan, hear, tell
from emdist.fit.state import FitState
from emdist.fit.together.lockstep import BUDGET
from emdist.fit.together.sweep import SweepState, advanced_together, surveyed_together
from emdist.inputs.names import naming
from emdist.runtime.interrupts import interrupts_first


def completed(plans: Sequence[Plan], budget: int = BUDGET) -> list[tuple[Fit, FitState]]:
    """Return each fit and its final state, bit-identical to those of separate fits.

    Parameters
    ----------
    plans
        The plans of fits with one source and one engine; at least one.
    budget
        See `emdist.fit.together.lockstep.Lockstep`.
    """
    # Held throughout, because each change of the limit of BLAS takes tens of microseconds.
    with interrupts_first(), naming(plans[0].source), one_thread():
        surveys = surveyed_together([plan.survey for plan in plans], plans[0].engine)
        fits = []
        for plan, survey in zip(plans, surveys, strict=True):
            survey.check(plan.source)
            fits.append(plan.setup(survey))
        first = last = SweepState(tuple(FitState(plan.seed) for plan in plans))
        heard, before = partial(hear, plans), time.monotonic()
        for state, steps in advanced_together(fits, first, heard, _silent, budget):
            now = time.monotonic()
            tell(plans, steps, now - before)
            before, last = now, state
    return list(zip(fits, last.fits, strict=True))


def _silent(fits: int, done: int, total: int) -> None:
    """Ignore the progress of a pass: estimators do not show it."""
