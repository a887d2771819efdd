"""Laws of EM: the bound rises, the M-step finds what made the data, K-means is hard EM."""

import numpy as np
import pytest

from emdist.composition.model import make_model
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.interfaces import Block, Spread
from emdist.kernels.tiles.assign import softmax
from emdist.models.arrays import arrays_of
from emdist.models.params import MixtureParams
from emdist.models.precision import CAREFUL
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    ALL_FAMILIES,
    SHIFTED,
    Setting,
    blobs,
    draw,
    exact_options,
    family_of,
    fit_array,
    given_of,
    prepare,
    relative,
    run,
    section_of,
    wide,
)


def setting_for(name: str, assignment: str, uniform: bool = False) -> Setting:
    fitting = {"max_iter": 25, "tol": 0.0}
    return Setting(name, 3, assignment, uniform, options=exact_options(name), fit=fitting)


@pytest.mark.covering
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "dust"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", ALL_FAMILIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_bound_never_falls(
    name: str,
    assignment: str,
    uniform: bool,
    dtype: str,
    dust: float,
    weighted: bool,
    seed: int,
) -> None:
    x, components = draw(name, 600, 4, 3, seed)
    weight = np.random.default_rng(seed).exponential(size=600) if weighted else None
    # Not rows: hard EM may leave a component that starts at one with that row alone.
    start = given_of(family_of(name, 3).take(components, np.arange(3)))
    x = x.astype(dtype)
    found = fit_array(x, setting_for(name, assignment, uniform), start, weight)
    bound = np.array([r.objective for r in found.state.history])
    assert len(bound) > 1
    assert np.isfinite(bound).all()
    assert (np.diff(bound) > -dust * np.abs(bound).max()).all()
    assert bound[-1] > bound[0]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "dust"), [("float64", 1e-13), ("float32", 1e-6)])
@pytest.mark.parametrize("seed", range(4))
def test_the_inertia_never_rises(seed: int, dtype: str, dust: float, weighted: bool) -> None:
    x = blobs(800, 3, 9, 1.0, seed, dtype)[0]
    weight = np.random.default_rng(seed).exponential(size=800) if weighted else None
    found = fit_array(x, Setting("kmeans", 7), Given(x[:7].astype(np.float64)), weight)
    inertia = np.array([r.objective for r in found.state.history])
    assert (np.diff(inertia) < dust * inertia[0]).all()
    assert found.objective <= inertia[-1] * (1 + dust)


@pytest.mark.parametrize(
    ("name", "centre"),
    [*((name, 0.0) for name in ALL_FAMILIES), *((name, 1e4) for name in SHIFTED)],
)
def test_the_m_step_of_labelled_draws_finds_their_components(name: str, centre: float) -> None:
    family, d = family_of(name, wide(name, 3)), wide(name, 3)
    # Components of different shapes: those fitted to rows that no such component made.
    rng = np.random.default_rng(3)
    x = draw(name, 90, 3, d)[0]
    truth = fit_array(x, Setting(name, 3, fit={"max_iter": 2}), Given(x[:3])).params.components
    counts, origin = [40_000, 60_000, 80_000], np.full(d, centre)
    rows = np.concatenate([family.sample(truth, k, n, rng) for k, n in enumerate(counts)])
    labels = np.repeat(np.arange(3, dtype=np.int32), counts)
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    low, high = rows.min(axis=0), rows.max(axis=0)
    spread = Spread(origin, mean, variance, low, high, np.zeros(d, bool), len(rows))
    model = make_model(section_of(name, d=d), spread)
    start = model.start(family.locations(truth), spread)
    block = Block(0, 0, rows + origin)
    sums = model.first_step(block, start, labels, origin)
    shared = model.shared_step(block, origin)
    found = model.m_step(type(sums)({**sums.fields, **shared.fields}), start, CAREFUL)
    np.testing.assert_allclose(found.weights, np.array(counts) / len(rows), rtol=1e-12)
    for what, right in arrays_of(truth).items():
        if what == "counts":  # Of this data, not of the components.
            np.testing.assert_allclose(found.components.counts, counts, rtol=1e-12)
            continue
        # Standard errors are below 1 % of the largest entry.
        assert relative(arrays_of(found.components)[what], right) < 0.03, what


@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_a_fit_of_draws_finds_their_components(name: str) -> None:
    x, truth = draw(name, 60_000, 3, wide(name, 3), seed=2)
    where = family_of(name, x.shape[1]).locations(truth)
    found = fit_array(x, Setting(name, 3, fit={"tol": 1e-7}), given_of(truth))
    assert relative(found.means, where) < 0.05
    np.testing.assert_allclose(found.arrays["weights"], 1 / 3, atol=0.03)


@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_expanded_and_centred_sums_give_the_same_m_step(name: str) -> None:
    from emdist.fit.passes import EStep
    from emdist.interfaces import Numerics
    from emdist.sums import Sums

    x = draw(name, 500, 3, 3)[0]
    fit = prepare(array_source(x), Setting(name, 3), Given(x[:3]))
    params = run(fit).state.best.params
    found = []
    for numerics in (Numerics("float64"), CAREFUL):
        sums = EStep(fit.source, fit.model, params, fit.origin, numerics, True)(0)
        new = fit.model.m_step(sums, params, numerics)
        found.append((new, fit.model.objective(Sums(dict(sums.fields)), params, numerics)))
    (plain, bound), (careful, same) = found
    assert bound == pytest.approx(same, rel=1e-12)
    for what, value in arrays_of(plain.components).items():
        assert relative(value, arrays_of(careful.components)[what]) < 1e-10, what


# ---- K-means is hard EM of the isotropic family


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(3))
def test_kmeans_is_the_hard_uniform_isotropic_mixture_to_the_bit(
    seed: int, dtype: str, weighted: bool
) -> None:
    x = blobs(700, 3, 6, 1.5, seed, dtype)[0]
    weight = np.random.default_rng(seed).exponential(size=700) if weighted else None
    start = Given(x[:6].astype(np.float64))
    fitting = {"tol": 0.0, "on_collapse": "reseed", "max_iter": 300}
    kmeans = fit_array(x, Setting("kmeans", 6, fit=fitting), start, weight)
    mixture = fit_array(x, Setting("isotropic", 6, "hard", True, fit=fitting), start, weight)
    assert kmeans.status is mixture.status is Status.UNCHANGED
    assert kmeans.iterations == mixture.iterations
    np.testing.assert_array_equal(kmeans.means, mixture.means)
    np.testing.assert_array_equal(kmeans.assign(x).labels, mixture.assign(x).labels)
    total = 700.0 if weight is None else weight.sum()
    # Variance 1/2: log p = -|x - mean|^2 - d/2 log(pi), and each weighs 1/k.
    constant = -1.5 * np.log(np.pi) - np.log(6)
    assert mixture.objective == pytest.approx(-kmeans.objective / total + constant, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_tie_goes_to_the_lowest_component(dtype: str) -> None:
    x = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 4.0], [0.0, -4.0]], dtype)
    start = Given(np.array([[-1.0, 0.0], [1.0, 0.0]]))
    found = fit_array(x, Setting("kmeans", 2, fit={"max_iter": 1}), start)
    # The three rows in the middle are as near to either centre.
    np.testing.assert_allclose(found.means, [[-0.25, 0.0], [1.0, 0.0]], atol=1e-15)
    np.testing.assert_allclose(found.state.history[0].objective, 1 + 17 + 17)


@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_scores_of_rows_average_to_the_objective(name: str) -> None:
    x = draw(name, 500, 3, wide(name, 3))[0]
    # As wide as it takes to converge: bits of few features have flat likelihoods.
    for assignment in ("soft", "hard"):
        # A fixed point, so that the bound of the last pass is that of the final parameters.
        fitting = {"tol": 1e-13, "max_iter": 1000}
        found = fit_array(x, Setting(name, 3, assignment, fit=fitting), Given(x[:3]))
        prior = found.fit.model.log_prior(found.state.best.params) / len(x)
        likelihood = found.objective - prior
        assert found.assign(x).score.mean() == pytest.approx(likelihood, rel=1e-9)
        resp = found.assign(x).resp
        np.testing.assert_allclose(resp.sum(axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(resp.mean(axis=0), _soft_share(found, x), atol=1e-6)


def _soft_share(found: object, x: np.ndarray) -> np.ndarray:
    """Mean responsibility of each component by an E-step in one block."""
    fit, best = found.fit, found.state.best.params  # type: ignore[attr-defined]
    soft = make_model(section_of(_name(fit), d=x.shape[1]))
    sums = soft.e_step(Block(0, 0, x), best, fit.origin, CAREFUL)
    return sums["n"] / len(x)


def _name(fit: object) -> str:
    family = type(fit.model.family)  # type: ignore[attr-defined]
    return next(n for n in ALL_FAMILIES if type(family_of(n)) is family)


def test_params_know_nothing_of_the_origin() -> None:
    x = draw("full", 400)[0]
    here = fit_array(x, Setting("full", 3), Given(x[:3]))
    there = fit_array(x + 7.0, Setting("full", 3), Given(x[:3] + 7.0))
    assert relative(there.means - 7.0, here.means) < 1e-12
    assert isinstance(here.state, FitState)
    assert isinstance(here.params, MixtureParams)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_responsibilities_are_never_subnormal(dtype: str) -> None:
    # A product with subnormal numbers takes sixty times as long as one without.
    score = np.linspace(0.0, -800.0, 4001).reshape(1, -1).astype(dtype)
    score = np.concatenate([np.zeros_like(score), score])
    wanted = np.logaddexp(score[0].astype(float), score[1].astype(float))
    np.testing.assert_allclose(softmax(score, np.zeros(len(score), score.dtype)), wanted, atol=1e-6)
    assert (score[score > 0] >= np.finfo(dtype).tiny).all()
    np.testing.assert_allclose(score.sum(axis=0), 1.0, rtol=1e-6)
