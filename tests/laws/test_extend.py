"""Laws of extending: a fit whose stop rules change ends as one that had them from the start."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from emdist.errors import RunMismatchError
from emdist.fit.extend import check_path, reopened
from emdist.fit.fit import Fit
from emdist.fit.loop import iterate
from emdist.fit.state import FitState, Status
from emdist.fit.stop import Stop
from emdist.store.sources.arrays import array_source
from tests.laws.test_resume import bits, stored
from tests.support.fitting import CENTRES, Setting, draw, prepare, trace
from tests.support.golden import CASES

#: Iterations of the long fits.
LONG = 9


def fit_of(case: str, n_init: int) -> tuple[Fit, Any]:
    """A fit of `LONG` iterations, which only a fixed point ends earlier; types of its state."""
    name, schedule = CASES[case]
    settings = {"n_init": n_init, "max_iter": LONG, "tol": 0.0, "schedule": schedule, "seed": 3}
    setting = Setting(name, 3, fit=settings)
    x = draw("full" if name in CENTRES else name, 300, 3, 3)[0]
    source = array_source(x, None, 30 * x.shape[1] * x.dtype.itemsize)
    fit = prepare(source, setting)
    return fit, setting.recipe_for(x.shape[1]).types


def ended(fit: Fit, stop: Stop) -> list[FitState]:
    return list(trace(replace(fit, stop=stop)))


def extended(fit: Fit, state: FitState, types: Any) -> FitState:
    """The end of a fit that goes on from `state` as it was saved."""
    again = reopened(fit.stop, stored(state, FitState, types))
    return (list(iterate(fit, again)) or [again])[-1]


def starts(state: FitState) -> Iterator[FitState]:
    yield from state.starts or (state,)


@pytest.mark.covering
@pytest.mark.parametrize("n_init", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_a_larger_max_iter_goes_on_with_the_same_bits(case: str, n_init: int) -> None:
    fit, types = fit_of(case, n_init)
    wanted = bits(list(trace(fit))[-1])
    for most in (1, 3, 4, 5, 6):
        short = replace(fit.stop, max_iter=most)
        states = ended(fit, short)
        assert states[-1].finished
        for state in {id(s): s for s in (states[0], states[-1])}.values():
            check_path(short, fit.stop, state, schedule_of(case) == "sparse")
            assert bits(extended(fit, state, types)) == wanted


@pytest.mark.covering
@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_after_convergence_a_smaller_tol_goes_on(case: str, n_init: int) -> None:
    fit, types = fit_of(case, n_init)
    (*_, last) = trace(fit)
    sizes = [
        abs(r.change if fit.stop.on == "objective" else r.shift)
        for r in last.history
        if r.iteration == 4 and not r.rejected
    ]
    sizes = [size for size in sizes if size > 0 and math.isfinite(size)]
    if not sizes:
        pytest.skip("an exact fixed point, or sweeps without a change: nothing to converge by")
    coarse = replace(fit.stop, tol=1.01 * max(sizes))
    *_, state = ended(fit, coarse)
    if not any(s.status in (Status.CONVERGED, Status.SETTLED) for s in starts(state)):
        pytest.skip("the schedule did not converge within so few iterations")
    if schedule_of(case) == "sparse":
        with pytest.raises(RunMismatchError, match="Change only"):
            check_path(coarse, fit.stop, state, True)
        return
    check_path(coarse, fit.stop, state, False)
    assert bits(extended(fit, state, types)) == bits(last)


def schedule_of(case: str) -> str:
    return CASES[case][1]


def test_a_fit_may_be_ended_where_it_is() -> None:
    fit, types = fit_of("full", 2)
    now = next(state for state in trace(fit) if state.iteration == 5)
    short = replace(fit.stop, max_iter=5)
    check_path(fit.stop, short, now, False)
    again = extended(replace(fit, stop=short), now, types)
    assert again.finished
    assert bits(again) == bits(ended(fit, short)[-1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_iter": 4}, "max_iter cannot become 4, because 5 iterations are done"),
        ({"tol": 1e9}, "tol cannot be raised so far: the fit would have ended at iteration 2"),
    ],
)
def test_what_would_have_changed_the_way_so_far_is_refused(
    change: dict[str, Any], told: str
) -> None:
    fit, _ = fit_of("full", 1)
    now = next(state for state in trace(fit) if state.iteration == 5)
    with pytest.raises(RunMismatchError, match=told):
        check_path(fit.stop, replace(fit.stop, **change), now, False)


def test_starts_that_an_earlier_version_did_not_keep_are_refused() -> None:
    fit, _ = fit_of("full", 3)
    *_, last = trace(fit)
    with pytest.raises(RunMismatchError, match="did not keep"):
        check_path(fit.stop, replace(fit.stop, max_iter=20), replace(last, starts=()), False)


def test_without_a_change_a_state_stays_as_it_is() -> None:
    for case in ("kmeans", "full"):
        fit, _ = fit_of(case, 2)
        for state in trace(fit):
            assert reopened(fit.stop, state) == state or bits(reopened(fit.stop, state)) == bits(
                state
            )
