"""Laws of priors: the objective with its prior never falls, whatever the weights are."""

from typing import Any

import numpy as np
import pytest

from emdist.composition.model import make_model, make_weights, param_types
from emdist.errors import ConfigError
from emdist.fit.loop import iterate
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.inputs.plugins import plugins
from emdist.models.params import MixtureParams
from emdist.settings.config import WEIGHTS, ModelSection
from emdist.store.runs.codec import decode, encode
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    VARIATIONAL,
    Setting,
    agree,
    blobs,
    draw,
    fit_array,
    prepare,
    relative,
    same_bits,
    trace,
)

ALL_WEIGHTS = sorted(plugins(WEIGHTS, "weights"))
MAP = ["full", "tied", "diagonal", "spherical"]
FAMILIES = [*MAP, *VARIATIONAL, "poisson"]


def setting_for(name: str, weights: str, assignment: str = "soft", **fit: Any) -> Setting:
    options: dict[str, Any] = {}
    if name in MAP or name in VARIATIONAL:
        options = {"prior": {"mean_precision": 0.5}, "reg_covar": 0.0}
    return Setting(name, 4, assignment, options=options, weights=weights, fit={"tol": 0.0, **fit})


@pytest.mark.covering
@pytest.mark.parametrize(("dtype", "dust"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("weights", ALL_WEIGHTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_the_objective_never_falls(
    name: str, weights: str, assignment: str, dtype: str, dust: float
) -> None:
    x = draw("poisson" if name == "poisson" else "full", 300, 3, 3)[0].astype(dtype)
    weight = np.random.default_rng(1).exponential(size=len(x))
    setting = setting_for(name, weights, assignment, max_iter=20, init="random")
    found = fit_array(x, setting, weight=weight)
    bound = np.array([r.objective for r in found.state.history])
    assert np.isfinite(bound).all()
    assert (np.diff(bound) > -dust * np.abs(bound).max()).all()
    assert found.arrays["weights"].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("weights", ALL_WEIGHTS)
@pytest.mark.parametrize("name", ["full", "variational_tied"])
def test_chunking_and_resuming_change_nothing(name: str, weights: str) -> None:
    x = draw("full", 600, 3, 3)[0]
    setting = setting_for(name, weights, max_iter=8, n_init=2)
    whole = fit_array(x, setting)
    agree(fit_array(x, setting, block_bytes=37 * 24), whole, 1e-9)
    fit, types = prepare(array_source(x), setting), param_types(setting.model_section)
    for state in list(trace(fit))[:-1:5]:
        arrays, meta = encode(state)
        *_, last = iterate(fit, decode(FitState, arrays, meta, types))
        assert encode(last)[1] == encode(whole.state)[1]
        same_bits(type(whole)(fit, last), whole)


@pytest.mark.parametrize("weights", ALL_WEIGHTS)
def test_a_component_that_is_dropped_takes_its_rows_along(weights: str) -> None:
    x, centres = blobs(500, 2, 3, 8.0)
    setting = setting_for("variational_full", weights, max_iter=60, on_collapse="drop")
    found = fit_array(x, setting, Given(np.concatenate([centres, [[1e4, 1e4]]])))
    params = found.state.best.params
    assert len(params.weights) == 3
    assert params.weights.sum() == pytest.approx(1.0)
    if params.counts is not None:
        np.testing.assert_allclose(params.counts, params.components.counts, rtol=1e-12)
        assert params.counts.sum() == pytest.approx(500)


@pytest.mark.parametrize("weights", ALL_WEIGHTS)
def test_weights_that_are_given_are_the_starts(weights: str) -> None:
    x = blobs(400, 2, 2)[0]
    setting = Setting("diagonal", 2, weights=weights, fit={"max_iter": 1})
    given = np.array([0.25, 0.75])
    fit = prepare(array_source(x), setting, Given(x[:2], given, {"variances": np.ones((2, 2))}))
    start = fit.given.over(None, fit.model, fit.survey.spread)
    np.testing.assert_allclose(start.weights, given)
    if fit.model.weights.keeps_counts:
        np.testing.assert_allclose(start.counts, 400 * given)


@pytest.mark.parametrize("weights", [w for w in ALL_WEIGHTS if w.startswith("variational")])
def test_a_posterior_of_no_rows_is_the_prior(weights: str) -> None:
    strategy = make_weights(ModelSection(weights=weights, weights_options={"concentration": 0.7}))
    held = MixtureParams(np.full(3, 1 / 3), None, np.zeros(3))
    assert strategy.log_prior(held) == pytest.approx(0.0, abs=1e-12)
    many = MixtureParams(np.full(3, 1 / 3), None, np.array([2e6, 1e6, 1e6]))
    np.testing.assert_allclose(
        np.exp(strategy.logarithms(many)), strategy.estimate(many.counts), rtol=1e-5
    )
    with pytest.raises(ValueError, match="no counts"):
        strategy.logarithms(MixtureParams(np.ones(1), None))


@pytest.mark.parametrize(
    ("name", "prior", "words"),
    [
        ("full", {"mean": [1.0]}, "mean of the prior has 1 number"),
        ("full", {"covariance": 1.0}, r"expected numbers of shape \(2, 2\)"),
        ("full", {"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "positive definite"),
        ("tied", {"degrees_of_freedom": 1.0}, "more than 1"),
        ("variational_spherical", {"degrees_of_freedom": 1.0}, "more than 1"),
        ("variational_spherical", {"covariance": [1.0]}, "expected one number"),
        ("diagonal", {"covariance": [1.0, 0.0]}, "values <= 0"),
        ("diagonal", {"mean_precision": 0.0}, "expected a number above 0"),
        ("diagonal", {"mean_prec": 1.0}, "mean_prec"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(name: str, prior: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fit_array(blobs(50, 2, 2)[0], Setting(name, 2, options={"prior": prior}))


def test_only_one_strategy_for_the_weights() -> None:
    with pytest.raises(ValueError, match="give only one of them"):
        ModelSection(uniform_weights=True, weights="dirichlet")
    with pytest.raises(ConfigError, match=r"weights_options.*concentration"):
        make_model(ModelSection(name="full", weights="dirichlet", weights_options={"concent": 1}))
    with pytest.raises(ValueError, match="is fitted after informed"):
        make_model(ModelSection(name="variational_full")).family.numbers  # noqa: B018


@pytest.mark.parametrize("name", [*VARIATIONAL, "full", "diagonal"])
def test_one_row_constant_features_and_one_component(name: str) -> None:
    for x in (np.ones((1, 2)), np.column_stack([blobs(60, 1, 2)[0], np.full(60, 7.0)])):
        for k in {1, min(2, len(x))}:
            setting = Setting(name, k, options={"prior": {}}, weights="variational_process")
            found = fit_array(x, setting)
            for value in found.arrays.values():
                assert np.isfinite(value).all()
            assert relative(found.means[:, 1], np.full(k, x[0, 1])) < 1e-9
