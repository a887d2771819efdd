"""Laws of resuming: a fit goes on from any state with the bits it would have had."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emdist.composition.model import make_model, param_types
from emdist.fit.loop import iterate
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.fit.stop import Stop
from emdist.fit.survey import Survey
from emdist.interfaces import Array
from emdist.settings.config import ModelSection
from emdist.store.runs.codec import decode, encode
from emdist.store.sources.arrays import array_source
from emdist.sums import Sums
from tests.support.fitting import (
    ALL_FAMILIES,
    CENTRES,
    NOISY,
    Setting,
    blobs,
    draw,
    fit_array,
    prepare,
    same_bits,
    trace,
)

MODELS = [*CENTRES, *ALL_FAMILIES, NOISY]


def stored(value: Any, cls: Any, types: Mapping[str, Any] | None = None) -> Any:
    """`value` as it comes back from a checkpoint."""
    arrays, meta = encode(value)
    return decode(cls, {name: array.copy() for name, array in arrays.items()}, meta, types)


def bits(state: FitState) -> tuple[dict[str, bytes], Any]:
    arrays, meta = encode(state)
    return {name: array.tobytes() for name, array in arrays.items()}, meta


def data_for(name: str) -> Array:
    x = draw("full" if name in CENTRES else name, 400, 4, 3)[0]
    return x.astype(np.float32 if name == "full" else np.float64)


@pytest.mark.covering
@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", MODELS)
def test_a_fit_resumed_from_any_state_has_the_same_bits(
    name: str, assignment: str, n_init: int
) -> None:
    setting = Setting(name, 4, assignment, fit={"n_init": n_init, "max_iter": 12, "tol": 1e-6})
    source = array_source(data_for(name), None, 2000)
    states = list(trace(prepare(source, setting)))
    assert states[-1].finished
    assert {r.restart for r in states[-1].history} == set(range(n_init))
    for record in states[-1].history:
        assert np.isnan(record.change) == (record.iteration == 1)
    wanted = bits(states[-1])
    types = param_types(setting.model_section_for(3))
    step = max(1, len(states) // 7)
    for state in [FitState(0), *states[::step], states[-1]]:
        # A new process: nothing is left but the checkpoint, the survey's included.
        fit = prepare(source, setting)
        survey = stored(fit.survey, Survey)
        fit = replace(fit, survey=survey)
        again = stored(state, FitState, types)
        assert bits(again) == bits(state)
        rest = list(iterate(fit, again))
        assert bits((rest or [again])[-1]) == wanted


@pytest.mark.parametrize("name", MODELS)
def test_resuming_one_step_at_a_time_is_running_through(name: str) -> None:
    setting = Setting(name, 3, fit={"n_init": 2, "max_iter": 6})
    fit = prepare(array_source(data_for(name)), setting)
    types = param_types(setting.model_section_for(3))
    state = FitState(0)
    while not state.finished:
        state = stored(next(iterate(fit, state)), FitState, types)
    *_, through = trace(fit)
    assert bits(state) == bits(through)


def test_a_finished_fit_stays_finished() -> None:
    fit = prepare(array_source(blobs(200, 2, 2)[0]), Setting("kmeans", 2))
    *_, last = trace(fit)
    assert list(iterate(fit, last)) == []


def test_another_seed_is_another_fit() -> None:
    x = blobs(300, 2, 8, 1.0)[0]
    one, other = (
        prepare(array_source(x), Setting("kmeans", 6, fit={"init": "random", "seed": s}))
        for s in (0, 1)
    )
    found = [list(iterate(fit, FitState(seed)))[-1] for fit, seed in ((one, 0), (other, 1))]
    assert found[0].best.objective != found[1].best.objective
    again = fit_array(x, Setting("kmeans", 6, fit={"init": "random", "seed": 0}))
    assert again.objective == found[0].best.objective


def test_the_same_fit_twice_has_the_same_bits() -> None:
    for name in MODELS:
        setting = Setting(name, 3, fit={"max_iter": 5})
        same_bits(fit_array(data_for(name), setting), fit_array(data_for(name), setting))


# ---- stop rules


@pytest.mark.parametrize(
    ("stop", "now", "wanted"),
    [
        (Stop("objective", 1e-3, 9), {"change": 9e-4}, Status.CONVERGED),
        (Stop("objective", 1e-3, 9), {"change": -9e-4}, Status.CONVERGED),
        # Strictly below, as scikit-learn's bound; at most, as its K-means.
        (Stop("objective", 1e-3, 9), {"change": 1e-3}, Status.RUNNING),
        (Stop("objective", 1e-3, 9), {"change": np.nan}, Status.RUNNING),
        (Stop("objective", 1e-3, 9), {"change": 0.0, "steady": False}, Status.RUNNING),
        (Stop("objective", 1e-3, 9), {"shift": 0.0, "change": 1.0}, Status.RUNNING),
        (Stop("shift", 1e-3, 9), {"shift": 1e-3}, Status.SETTLED),
        (Stop("shift", 1e-3, 9), {"shift": 1.1e-3}, Status.RUNNING),
        (Stop("shift", 0.0, 9), {"shift": 0.0}, Status.SETTLED),
        (Stop("shift", 1e-3, 9), {"shift": np.nan}, Status.RUNNING),
        (Stop("shift", 1e-3, 9), {"shift": 0.0, "steady": False}, Status.RUNNING),
        (Stop("shift", 0.0, 9, exact=True), {"unchanged": True}, Status.UNCHANGED),
        (Stop("shift", 0.0, 9, exact=True), {"unchanged": True, "steady": False}, Status.RUNNING),
        (Stop("shift", 0.0, 9), {"unchanged": True}, Status.RUNNING),
        (Stop("shift", 0.0, 9, exact=True), {"iteration": 9}, Status.MAX_ITER),
        (Stop("objective", 1e-3, 9), {"iteration": 9, "steady": False}, Status.MAX_ITER),
        (Stop("objective", 1e-3, 9), {"iteration": 9, "change": 0.0}, Status.CONVERGED),
    ],
)
def test_stop_rules(stop: Stop, now: dict[str, Any], wanted: Status) -> None:
    values = {"iteration": 3, "change": 1.0, "shift": 1.0, "unchanged": False, "steady": True}
    values |= now
    found = stop.status(
        values["iteration"],
        values["change"],
        values["shift"],
        values["unchanged"],
        values["steady"],
    )
    assert found is wanted


def sums(n: float, t: float = 1.0) -> Sums:
    return Sums({"n": np.array([n]), "t": np.array([[t]]), "objective": np.array(0.0)})


@pytest.mark.parametrize("name", ["kmeans", "full"])
def test_equal_sums_are_unchanged_labels(name: str) -> None:
    model = make_model(ModelSection(name=name, assignment="hard"))
    assert model.unchanged(sums(1.0), sums(1.0), None, None)
    for previous in (None, sums(2.0), sums(1.0, 2.0)):
        assert not model.unchanged(sums(1.0), previous, None, None)


def test_an_exact_stop_is_a_fixed_point() -> None:
    x = blobs(500, 3, 5, 1.0)[0]
    found = fit_array(x, Setting("kmeans", 5, fit={"tol": 0.0}), Given(x[:5]))
    assert found.status is Status.UNCHANGED
    again = fit_array(x, Setting("kmeans", 5, fit={"tol": 0.0, "max_iter": 1}), Given(found.means))
    np.testing.assert_allclose(again.means, found.means, rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_max_iter_is_the_number_of_iterations(name: str) -> None:
    x = data_for(name)
    found = fit_array(x, Setting(name, 4, fit={"tol": 0.0, "max_iter": 2}), Given(x[:4] * 1.0))
    assert found.iterations == 2
    assert found.status is Status.MAX_ITER
    assert [r.iteration for r in found.state.history] == [1, 2]
    assert np.isnan(found.state.history[0].change)
