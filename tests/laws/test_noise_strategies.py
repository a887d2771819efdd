"""Noise and products beside what else a mixture can have: priors, posteriors, temperatures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from emdist.composition.model import make_distribution, make_model
from emdist.composition.recipe import Recipe
from emdist.errors import ConfigError
from emdist.estimators.loading import load
from emdist.fit.fitted import Fitted, result
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.interfaces import Numerics
from emdist.jobs.records import save_fitted
from emdist.models.assignments.tempered import At
from emdist.models.precision import CAREFUL
from emdist.settings.config import FitSection, ModelSection
from emdist.store.places.location import Location
from emdist.store.runs.codec import decode, encode
from emdist.store.sources.arrays import array_source
from emdist.sums import Sums
from tests.support.fitting import Fitting, Setting, fit_array, prepare, run

RNG = np.random.default_rng(0)
CENTRES = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
INSIDE = np.repeat(CENTRES, 150, axis=0) + RNG.standard_normal((450, 2))
X = np.concatenate([INSIDE, RNG.uniform(-30, 30, (60, 2))])
STRATEGIES = ["free", "uniform", "dirichlet", "variational_dirichlet", "variational_process"]
FAMILIES = ["full", "tied", "isotropic", "variational_full", "variational_tied"]


def exact(family: str) -> dict[str, Any]:
    """Options under which the M-step is exact; with a prior where there is no posterior."""
    if family == "isotropic":
        return {}
    return {"reg_covar": 0.0} if "variational" in family else {"reg_covar": 0.0, "prior": {}}


def noisy(family: str, weights: str = "free", **fit: Any) -> Setting:
    return Setting(f"{family}+noise", 3, weights=weights, options=exact(family), fit=fit)


def fitted_of(found: Fitting) -> Fitted:
    state = found.state
    return result(state.best, found.fit.survey.spread, state.history)


# ---- noise beside weights and posteriors


@pytest.mark.parametrize("weights", STRATEGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_half_step_loses(family: str, weights: str) -> None:
    found = fit_array(X, noisy(family, weights, max_iter=25, tol=0.0))
    bound = np.array([r.objective for r in found.state.history])
    updated = np.array([r.updated for r in found.state.history])
    dust = 1e-12 * np.abs(bound).max()
    assert (updated - bound > -dust).all()
    assert (bound[1:] - updated[:-1] > -dust).all()
    assert found.arrays["weights"][-1] == pytest.approx(60 / 510, abs=0.04)


@pytest.mark.parametrize("weights", STRATEGIES)
def test_noise_takes_its_share_and_the_strategy_has_the_rest(weights: str) -> None:
    fit = prepare(array_source(X), noisy("full", weights))
    params = fit.model.start(CENTRES - fit.origin, fit.survey.spread)
    assert params.shares.sum() == pytest.approx(1.0)
    sums = fit.model.e_step(fit.source.read(0), params, fit.origin, CAREFUL)
    new, n = fit.model.m_step(sums, params, CAREFUL), sums["n"]
    assert float(new.noise) == pytest.approx(n[-1] / len(X), rel=1e-14)
    alone = {
        "free": n[:-1] / n[:-1].sum(),
        "uniform": np.full(3, 1 / 3),
        "dirichlet": (n[:-1] + 1) / (n[:-1].sum() + 3),
        "variational_dirichlet": (n[:-1] + 1 / 3) / (n[:-1].sum() + 1),
    }
    if weights in alone:
        np.testing.assert_allclose(new.weights, alone[weights], rtol=1e-13)
    assert (new.counts is not None) == ("variational" in weights)
    if new.counts is not None:
        np.testing.assert_array_equal(new.counts, n[:-1])
    fewer = fit.model.take(new, np.array([2, 0]))
    assert float(fewer.noise) == float(new.noise)
    assert fewer.weights.sum() == pytest.approx(1.0)
    if new.counts is None:
        assert fewer.weights[0] / fewer.weights[1] == pytest.approx(new.weights[2] / new.weights[0])


def test_a_posterior_of_weights_sees_only_rows_that_are_no_noise() -> None:
    # Noise of no volume takes nothing, and then all is as without it.
    start = Given(CENTRES, np.full(3, 1 / 3))
    alone = Setting("full", 3, weights="variational_dirichlet", fit={"max_iter": 5, "tol": 0.0})
    plain = fit_array(INSIDE, alone, start)
    source = array_source(INSIDE)
    fit = prepare(source, replace(alone, name="full+noise"), start)
    # Its density is 1e-300 of a box.
    family = replace(fit.model.mixture.family, volume=1e300)
    model = replace(fit.model, mixture=replace(fit.model.mixture, family=family), share=1e-12)
    found = run(replace(fit, model=model))
    np.testing.assert_allclose(found.params.weights, plain.params.weights, rtol=1e-9)
    np.testing.assert_allclose(found.params.counts, plain.params.counts, rtol=1e-9)
    assert found.objective == pytest.approx(plain.objective, rel=1e-9)


@pytest.mark.parametrize("policy", ["reseed", "drop"])
@pytest.mark.parametrize("weights", ["dirichlet", "variational_dirichlet"])
def test_a_component_without_rows(weights: str, policy: str) -> None:
    scale = {"covariances": np.tile(np.eye(2), (3, 1, 1))}
    lost = Given(np.array([[0.0, 0.0], [8.0, 0.0], [1e5, 1e5]]), np.full(3, 1 / 3), scale)
    setting = Setting("full+noise", 3, weights=weights, fit={"on_collapse": policy, "max_iter": 30})
    found = fit_array(X, setting, lost)
    assert len(found.means) == (2 if policy == "drop" else 3)
    assert found.arrays["weights"].sum() == pytest.approx(1.0)
    assert np.isfinite(found.objective)


def test_counts_beside_noise_are_stored() -> None:
    setting = noisy("variational_full", "variational_process", max_iter=3)
    section = setting.model_section_for(2)
    state = fit_array(X, setting).state
    types = Recipe(section, FitSection()).types
    again = decode(FitState, *encode(state), types)
    assert again.params.counts is not None
    np.testing.assert_array_equal(again.params.counts, state.params.counts)
    np.testing.assert_array_equal(again.params.noise, state.params.noise)


# ---- temperatures


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("eps", [0.3, 2.0, 5.0])
@pytest.mark.parametrize("family", ["tied", "isotropic", "full"])
def test_a_temperature_divides_the_score_of_noise_too(
    family: str, eps: float, careful: bool
) -> None:
    fit = prepare(array_source(X), Setting(f"{family}+noise", 3))
    params = fit.model.start(CENTRES - fit.origin, fit.survey.spread)
    model = replace(fit.model, mixture=replace(fit.model.mixture, assignment=At(eps)))
    numerics = CAREFUL if careful else Numerics("float64")
    block = fit.source.read(0)
    found = model.e_step(block, params, fit.origin, numerics)
    shared = model.shared_step(block, fit.origin)
    covariance = np.eye(2) / 2 if family == "isotropic" else np.diag(X.var(axis=0) + 1e-6)
    parts = [scipy.stats.multivariate_normal(c, covariance).logpdf(X) for c in CENTRES]
    level = -np.log(np.prod(np.ptp(X, axis=0)))
    score = np.stack([*parts, np.full(len(X), level)], axis=1) + np.log(params.shares)
    resp = scipy.special.softmax(score / eps, axis=1)
    np.testing.assert_allclose(found["n"], resp.sum(axis=0), rtol=1e-10)
    wanted = (eps * scipy.special.logsumexp(score / eps, axis=1)).mean()
    sums = Sums({**found.fields, **shared.fields})
    assert model.objective(sums, params, numerics) == pytest.approx(wanted, rel=1e-12)


# ---- products beside priors and posteriors


def group(family: str, columns: Any, **options: Any) -> dict[str, Any]:
    return {"family": family, "columns": columns, "options": options}


MIXED = np.column_stack([X, RNG.poisson(3.0, len(X)), X @ [1.0, 2.0] + 100.0])
PARTS = [
    group("full", [3, 0], reg_covar=0.0, prior={}),
    group("poisson", [2]),
    group("variational_diagonal", [1], reg_covar=0.0),
]


def test_a_prior_of_a_part_is_of_its_own_features() -> None:
    # One component: the parts are independent, and so are their fits.
    fitting = {"max_iter": 3, "init": "random"}
    whole = fit_array(MIXED, Setting("product", 1, options={"groups": PARTS}, fit=fitting))
    total = 0.0
    for i, part in enumerate(PARTS):
        setting = Setting(part["family"], 1, options=part["options"], fit=fitting)
        alone = fit_array(MIXED[:, part["columns"]], setting)
        total += alone.objective
        for name, value in alone.arrays.items():
            if name != "weights":
                found = whole.arrays[f"parts.{i}.{name}"]
                np.testing.assert_allclose(found, value, rtol=1e-10, err_msg=name)
    assert whole.objective == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("weights", ["free", "variational_process"])
def test_no_half_step_of_a_product_with_posteriors_loses(weights: str) -> None:
    fitting = {"max_iter": 25, "tol": 0.0}
    setting = Setting("product", 4, weights=weights, options={"groups": PARTS}, fit=fitting)
    found = fit_array(MIXED, setting)
    bound = np.array([r.objective for r in found.state.history])
    updated = np.array([r.updated for r in found.state.history])
    assert (updated - bound > -1e-12 * np.abs(bound).max()).all()
    assert (bound[1:] - updated[:-1] > -1e-12 * np.abs(bound).max()).all()


def test_a_product_as_a_distribution_has_its_posteriors_as_expected() -> None:
    setting = Setting("product", 1, options={"groups": PARTS}, fit={"max_iter": 3})
    found = fit_array(MIXED, setting)
    mixture = make_distribution(setting.model_section_for(4), fitted_of(found))
    parts = found.params.components.parts
    reals, rate, other = parts[0], parts[1].means[0, 0], parts[2]
    wanted = (
        scipy.stats.multivariate_normal(reals.means[0], reals.covariances[0]).logpdf(
            MIXED[:, [3, 0]]
        )
        + scipy.stats.poisson(rate).logpmf(MIXED[:, 2])
        + scipy.stats.norm(other.means[0, 0], np.sqrt(other.variances[0, 0])).logpdf(MIXED[:, 1])
    )
    np.testing.assert_allclose(mixture.log_density(MIXED), wanted, rtol=1e-10)
    means = [reals.means[0, 1], other.means[0, 0], rate, reals.means[0, 0]]
    np.testing.assert_allclose(mixture.mean(), means, rtol=1e-10)
    within = mixture.covariance().within
    np.testing.assert_allclose(within[[3, 0]][:, [3, 0]], reals.covariances[0], rtol=1e-10)
    assert within[2, 2] == pytest.approx(rate)
    assert within[0, 1] == 0
    alone = mixture.marginal([2, 1]).log_density(MIXED[:, [2, 1]])
    np.testing.assert_allclose(
        alone,
        scipy.stats.poisson(rate).logpmf(MIXED[:, 2])
        + scipy.stats.norm(other.means[0, 0], np.sqrt(other.variances[0, 0])).logpdf(MIXED[:, 1]),
        rtol=1e-10,
    )


# ---- what is refused


@pytest.mark.parametrize("name", ["kmeans", "kcentroids", "kmedians"])
def test_clusters_without_a_density_have_no_noise(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} has no density to compare"):
        make_model(ModelSection(name=name, noise=True))


def test_noise_is_no_distribution_of_its_family() -> None:
    found = fit_array(X, noisy("full", max_iter=3))
    with pytest.raises(ConfigError, match="noise has no moments or marginals"):
        make_distribution(noisy("full").model_section_for(2), fitted_of(found))


def test_an_estimator_without_a_parameter_for_noise_is_none_of_its_models(tmp_path: Path) -> None:
    setting = noisy("variational_full", max_iter=3)
    path = Location(str(tmp_path / "model"))
    save_fitted(path, setting.model_section_for(2), fitted_of(fit_array(X, setting)), {})
    with pytest.raises(ConfigError, match="There is no estimator"):
        load(str(path))
