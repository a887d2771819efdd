"""Laws of missing values: nothing missing changes nothing, and the bound never falls."""

import itertools
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from emdist.composition.model import make_distribution
from emdist.dissimilarities.own import OwnPair
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.threads import LocalEngine
from emdist.errors import CollapseError, ConfigError, DataError, DomainError, NonFiniteError
from emdist.fit.fitted import result
from emdist.fit.start import Given
from emdist.fit.survey import check_block
from emdist.interfaces import Array, Block, Numerics
from emdist.models.arrays import arrays_of
from emdist.models.precision import CAREFUL
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    ALL_FAMILIES,
    SHIFTED,
    VARIATIONAL,
    Setting,
    agree,
    draw,
    exact_options,
    family_of,
    fit_array,
    given_of,
    options_of,
    prepare,
    relative,
    run,
    same_bits,
    trace,
    wide,
)

FAMILIES = [name for name in ALL_FAMILIES if name not in ("multinomial", *VARIATIONAL)]
MODELS = ["kmeans", *FAMILIES]


def rows(name: str, n: int = 300, d: int = 3, seed: int = 0) -> Array:
    return draw("spherical" if name == "kmeans" else name, n, 4, d, seed)[0]


def with_holes(x: Array, share: float = 0.3, seed: int = 0) -> Array:
    rng = np.random.default_rng([seed, 5])
    return np.where(rng.random(x.shape) < share, np.nan, x)


def setting_for(name: str, assignment: str = "soft", missing: bool = True, **fit: Any) -> Setting:
    options = {} if name == "kmeans" else exact_options(name)
    fitting = {"max_iter": 12, "tol": 0.0, **fit}
    return Setting(name, 3, assignment, options=options, fit=fitting, missing=missing)


def start_for(name: str, n: int = 300, seed: int = 0) -> Given:
    if name == "kmeans":
        return Given(rows(name)[:3])
    return given_of(family_of(name, 3).take(draw(name, n, 4, 3, seed)[1], np.arange(3)))


@pytest.mark.covering
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", MODELS)
def test_rows_without_holes_are_fitted_as_ever(name: str, assignment: str, dtype: str) -> None:
    x = rows(name).astype(dtype)
    weight = np.random.default_rng(0).exponential(size=len(x))
    plain, knowing = (
        fit_array(x, setting_for(name, assignment, missing), start_for(name), weight, 3000)
        for missing in (False, True)
    )
    tol = 1e-5 if dtype == "float32" else 1e-10
    if assignment == "hard" and name in ("full", "tied"):
        # Sums of completed rows depend on the parameters, so the same labels do not end a fit.
        for key, value in plain.arrays.items():
            assert relative(knowing.arrays[key], value) < tol, key
    else:
        agree(knowing, plain, tol)
    np.testing.assert_array_equal(knowing.assign(x).labels, plain.assign(x).labels)


@pytest.mark.parametrize("name", MODELS)
def test_a_default_start_without_holes_is_as_ever(name: str) -> None:
    x = rows(name, 200, wide(name, 3) if name != "kmeans" else 3)
    plain, knowing = (
        fit_array(x, Setting(name, 2, fit={"max_iter": 5}, missing=m)) for m in (False, True)
    )
    agree(knowing, plain, 1e-10)


@pytest.mark.covering
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=8, deadline=None)
@drawn(st.integers(0, 2**31), st.floats(0.0, 0.7), st.sampled_from([1, 2, 5]), st.booleans())
def test_the_bound_never_falls(
    name: str, assignment: str, seed: int, share: float, period: int, weighted: bool
) -> None:
    # Patterns that repeat, cells one by one, whole rows and nearly whole features.
    rng = np.random.default_rng(seed)
    x = rows(name, 200, 3, seed % 7)
    holes = rng.random((-(-len(x) // period), x.shape[1])) < share
    holes = np.repeat(holes, period, axis=0)[: len(x)]
    holes[:, 0] |= rng.random(len(x)) < share
    holes[rng.integers(len(x))] = True
    holes[rng.integers(len(x), size=20)] = False
    weight = rng.exponential(size=len(x)) if weighted else None
    start = start_for(name, 200, seed % 7)
    source = array_source(np.where(holes, np.nan, x), weight, 2000)
    setting = setting_for(name, assignment, max_iter=8)
    if name == "product":
        # With 1e-12 added, the half-step of a component of one row is mostly rounding.
        groups = options_of(name, 3)["groups"]
        groups[0] = {**groups[0], "options": {"reg_covar": 0.0}}
        setting = replace(setting, options={"groups": groups})
    bounds: list[float] = []
    halves: list[float] = []
    try:
        for state in trace(prepare(source, setting, start)):
            bounds = [r.objective for r in state.history]
            halves = [r.updated for r in state.history]
    except CollapseError:
        # Hard, with nothing added to variances: a component may be left with one row.
        assert assignment == "hard"
    bound = np.array(bounds or [0.0])
    assert np.isfinite(bound).all()
    slack = 1e-11 * np.abs(bound).max()
    assert (np.diff(bound) > -slack).all()
    # Nor does either half of an iteration; NaN where a pass does not tell.
    half = np.array(halves or [0.0])
    assert not (half < bound - 10 * slack).any()
    assert not (half[:-1] > bound[1:] + 10 * slack).any()


@pytest.mark.covering
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_any_block_size_gives_the_same_parameters(name: str, dtype: str) -> None:
    x = with_holes(rows(name)).astype(dtype)
    fits = [
        fit_array(x, setting_for(name, max_iter=6), start_for(name), None, size)
        for size in (None, 500, 2100)
    ]
    for found in fits[1:]:
        agree(found, fits[0], 1e-10 if dtype == "float64" else 1e-5)


@pytest.fixture(scope="module")
def dask() -> Iterator[DaskEngine]:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield DaskEngine(client)


@pytest.mark.parametrize("name", MODELS)
def test_engines_agree_to_the_bit(name: str, dask: DaskEngine) -> None:
    x = with_holes(rows(name))
    one, two, three = (
        fit_array(x, setting_for(name, max_iter=4), None, None, 1000, engine)
        for engine in (LocalEngine(1), LocalEngine(3), dask)
    )
    same_bits(two, one)
    same_bits(three, one)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "k-means||", "random"])
@pytest.mark.parametrize("name", ["full", "poisson", "kmeans"])
def test_every_seeder_starts_from_rows_with_holes(name: str, init: str) -> None:
    x = with_holes(rows(name))
    found = run(prepare(array_source(x), setting_for(name, init=init)))
    assert all(np.isfinite(a).all() for a in found.arrays.values())
    assert np.isfinite(found.objective)


@pytest.mark.parametrize("name", [name for name in SHIFTED if name in FAMILIES])
def test_centred_and_expanded_passes_agree(name: str) -> None:
    x = with_holes(rows(name))
    fit = prepare(array_source(x), setting_for(name), start_for(name))
    params = run(fit).state.best.params
    block = Block(0, 0, x, np.random.default_rng(0).exponential(size=len(x)))
    found = []
    for numerics in (Numerics("float64"), CAREFUL):
        sums = fit.model.e_step(block, params, fit.origin, numerics)
        shared = fit.model.shared_step(block, fit.origin)
        whole = type(sums)({**sums.fields, **shared.fields})
        new = fit.model.m_step(whole, params, numerics)
        found.append((new.components, fit.model.objective(whole, params, numerics)))
    (plain, bound), (careful, same) = found
    assert bound == pytest.approx(same, rel=1e-11)
    for field in fields(plain):
        assert relative(*(getattr(p, field.name) for p in (plain, careful))) < 1e-9, field.name


@pytest.mark.parametrize("name", ["full", "tied", "diagonal", "spherical"])
def test_q_is_told_from_the_sums(name: str) -> None:
    # The M-step raises Q by no more than the bound: Dempster, Laird and Rubin 1977, theorem 1.
    x = with_holes(rows(name))
    fit = prepare(array_source(x), setting_for(name, max_iter=1), start_for(name))
    old = run(fit).state.best.params
    block = Block(0, 0, x)
    sums = fit.model.e_step(block, old, fit.origin, CAREFUL)
    new = fit.model.m_step(sums, old, CAREFUL)
    q, bound = [], []
    for params in (old, new):
        density = fit.model.family.density(params.components, CAREFUL)
        at = density.expected(sums["n"], sums["t"], old.components.means)
        q.append(at + float(sums["n"] @ np.log(params.weights)))
        again = fit.model.e_step(block, params, fit.origin, CAREFUL)
        bound.append(fit.model.objective(again, params, CAREFUL) * len(x))
    assert 0 < q[1] - q[0] <= bound[1] - bound[0]
    if name in ("diagonal", "spherical"):
        resp = fit.model.assign(block, old, fit.origin, CAREFUL, resp=True).resp
        held = resp[resp > 0]
        assert bound[0] == pytest.approx(q[0] - float(held @ np.log(held)), rel=1e-12)


@pytest.mark.parametrize("name", ["full", "tied", "diagonal"])
def test_components_a_million_times_narrower_than_the_data(name: str) -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0]])
    noise = rng.standard_normal((2, 400, 3)) @ np.triu(np.ones((3, 3)))
    x = with_holes(np.concatenate(centres[:, None] + 1e-6 * noise), 0.2)
    options = {"reg_covar": 0.0}
    small = Setting(name, 2, options=options, missing=True, fit={"tol": 0.0, "max_iter": 40})
    found = fit_array(x, small, Given(centres))
    # Scaled up, the same rows are easy.
    far = (x - np.repeat(centres, 400, axis=0)) * 1e6 + np.repeat(centres, 400, axis=0) * 1e2
    wanted = fit_array(far, small, Given(centres * 1e2))
    for key, power in (("covariances", 12), ("covariance", 12), ("variances", 12)):
        if key in wanted.arrays:
            assert relative(found.arrays[key] * 10.0**power, wanted.arrays[key]) < 1e-6


def test_the_survey_takes_what_is_observed() -> None:
    x = with_holes(rows("full", 700)) + 1e6
    weight = np.random.default_rng(0).exponential(size=len(x))
    weight[:50] = 0.0
    seen = ~np.isnan(x)
    total = weight @ seen
    mean = weight @ np.nan_to_num(x) / total
    variance = weight @ np.nan_to_num((x - mean) ** 2) / total
    for size in (None, 400, 3000):
        source = array_source(x, weight, size)
        survey = prepare(source, setting_for("full")).survey
        found = survey.spread.origin + survey.spread.mean
        np.testing.assert_allclose(found, mean, rtol=1e-14)
        np.testing.assert_allclose(survey.spread.variance, variance, rtol=1e-9)
        heavy = x[weight > 0] - survey.spread.origin
        np.testing.assert_array_equal(survey.spread.low, np.nanmin(heavy, axis=0))
        np.testing.assert_array_equal(survey.spread.high, np.nanmax(heavy, axis=0))
        # Rows without anything are left out, and their gaps with them.
        assert survey.gaps == np.count_nonzero(~seen[seen.any(axis=1)])


def test_a_feature_that_starts_late_keeps_its_digits() -> None:
    x = rows("full", 600) + 1e8
    x[:500, 1] = np.nan
    survey = prepare(array_source(x, None, 1000), setting_for("full")).survey
    late = x[500:, 1].astype(np.longdouble)
    wanted = float(((late - late.mean()) ** 2).mean())
    assert survey.spread.variance[1] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_rows_without_anything_are_left_out(name: str) -> None:
    x, empty = with_holes(rows(name)), np.array([0, 7, 100, 299])
    others = np.delete(x, empty, axis=0)
    x[empty] = np.nan
    found, wanted = (
        fit_array(each, setting_for(name), start_for(name), block_bytes=2400)
        for each in (x, others)
    )
    assert found.objective == pytest.approx(wanted.objective, rel=1e-12)
    for key, value in wanted.arrays.items():
        np.testing.assert_allclose(found.arrays[key], value, rtol=1e-9, atol=1e-12)
    # Holes at random make a few more of them.
    survey, known = found.fit.survey, ~np.isnan(x).all(axis=1)
    assert survey.rows == survey.spread.weight == wanted.fit.survey.rows <= known.sum()
    assert survey.masked == len(x) - survey.rows
    got, like = found.assign(x), found.assign(others)
    assert len(got.labels) == survey.rows
    np.testing.assert_array_equal(got.labels, like.labels)
    np.testing.assert_allclose(got.score, like.score, rtol=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_component_that_never_saw_a_feature_keeps_what_it_had(name: str) -> None:
    x = rows(name, 200, 2)
    x[:100, 1] = np.nan
    fit = prepare(array_source(x), setting_for(name))
    labels = np.repeat(np.array([0, 1], np.int32), 100)
    start = fit.model.take(fit.model.start(np.abs(x[100:103]), fit.survey.spread), np.arange(2))
    sums = fit.model.first_step(Block(0, 0, x), start, labels, fit.origin)
    shared = fit.model.shared_step(Block(0, 0, x), fit.origin)
    sums = type(sums)({**sums.fields, **shared.fields})
    new = fit.model.m_step(sums, start, CAREFUL).components
    assert all(np.isfinite(value).all() for value in arrays_of(new).values())
    if name == "categorical":
        np.testing.assert_allclose(new.probabilities[0, 1], start.components.probabilities[0, 1])
    elif name != "binomial_pairs":
        before, after = (fit.model.family.locations(p) for p in (start.components, new))
        np.testing.assert_allclose(after[0, 1], before[0, 1], atol=1e-12)


def test_an_empty_cluster_moves_to_a_row_with_holes() -> None:
    x = np.concatenate([np.zeros((50, 2)), np.full((50, 2), 9.0), [[np.nan, 80.0]]])
    far = np.array([[0.0, 0.0], [9.0, 9.0], [-1e3, -1e3]])
    found = fit_array(x, Setting("kmeans", 3, missing=True), Given(far))
    assert sum(r.reseeded for r in found.state.history) == 1
    assert 80.0 in found.means[:, 1]
    assert found.objective == pytest.approx(0.0, abs=1e-12)
    for name in FAMILIES:
        y = with_holes(rows(name))
        wanted = setting_for(name, on_collapse="reseed", max_iter=6)
        start = Given(np.nan_to_num(y[:3]), np.array([0.5, 0.5, 1e-300]))
        after = fit_array(y, wanted, start)
        assert all(np.isfinite(a).all() for a in after.arrays.values()), name


def refused(x: Array, setting: Setting, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        prepare(array_source(x), setting)


def test_what_is_refused() -> None:
    x = with_holes(rows("full"))
    refused(x, setting_for("full", missing=False), NonFiniteError, "to 'missing' if NaN stands")
    infinite = x.copy()
    infinite[5, 1] = -np.inf
    refused(infinite, setting_for("full"), NonFiniteError, r"infinity: .* row 5 has -inf in fea")
    gone = x.copy()
    gone[:, 2] = np.nan
    refused(
        gone,
        setting_for("full"),
        DataError,
        r"features are missing \(NaN\) in every row with weight > 0: 2\. Leave",
    )
    counts = with_holes(rows("multinomial"))
    refused(counts, setting_for("multinomial"), ConfigError, "the total of a row is given")
    bits = with_holes(rows("bernoulli"))
    bits[4, 0] = 0.5
    refused(bits, setting_for("bernoulli"), DomainError, "not only whole numbers")
    with pytest.raises(DomainError):
        check_block(Block(0, 0, bits), family_of("bernoulli").domain, missing=True)
    odd = np.abs(np.rint(rows("full", 30, 3)))
    refused(odd, setting_for("binomial_pairs"), ConfigError, "3 columns, an odd number")


def test_what_has_no_law_of_incomplete_rows_is_refused() -> None:
    x = with_holes(rows("full"))
    for name in VARIATIONAL:
        refused(x, setting_for(name), ConfigError, "need rows without missing values")
    for name in ("cosine", "kullback_leibler", "mahalanobis"):
        options = {"matrix": np.eye(3).tolist()} if name == "mahalanobis" else {}
        other = Setting("kcentroids", dissimilarity=name, options=options, missing=True)
        refused(x, other, ConfigError, "squared_euclidean supports missing")
    own = Setting("kcentroids", dissimilarity=OwnPair(lambda x, c: x @ c.T), missing=True)
    refused(x, own, ConfigError, "squared_euclidean supports missing")
    refused(
        x, Setting("kmedians", missing=True), ConfigError, "K-medians needs rows without missing"
    )
    for name in ("full", "tied"):
        prior = Setting(name, options={"prior": {}}, missing=True)
        refused(x, prior, ConfigError, "Give the covariance of the prior")


def test_centroids_of_squared_distances_are_those_of_kmeans() -> None:
    x = with_holes(rows("kmeans"), seed=1)
    names = {"kmeans": None, "kcentroids": "squared_euclidean"}
    one, two = (
        fit_array(x, Setting(name, 3, dissimilarity=d, missing=True)) for name, d in names.items()
    )
    same_bits(two, one)
    for before, after in itertools.pairwise(one.state.history):
        assert before.objective >= before.updated >= after.objective


#: Covariances of priors, in the units of the rows of 3 features below.
SCALES: dict[str, Any] = {
    "full": [[2.0, 0.3, 0.0], [0.3, 1.0, 0.1], [0.0, 0.1, 1.5]],
    "tied": [[2.0, 0.3, 0.0], [0.3, 1.0, 0.1], [0.0, 0.1, 1.5]],
    "diagonal": [2.0, 1.0, 1.5],
    "spherical": 1.5,
}


def with_prior(name: str, missing: bool = True, **fit: Any) -> Setting:
    prior = {"mean_precision": 0.7, "degrees_of_freedom": 5.0, "covariance": SCALES[name]}
    options = {"reg_covar": 0.0, "prior": prior}
    return Setting(name, 3, options=options, missing=missing, fit={"tol": 0.0, **fit})


@pytest.mark.parametrize("name", SCALES)
def test_a_prior_of_rows_without_holes_is_as_ever(name: str) -> None:
    x = rows(name)
    plain, knowing = (fit_array(x, with_prior(name, m, max_iter=8)) for m in (False, True))
    agree(knowing, plain, 1e-10)


@pytest.mark.parametrize("name", SCALES)
def test_the_most_probable_parameters_of_incomplete_rows(name: str) -> None:
    # Some components see a feature in no row at all: the prior alone tells where it lies.
    x = with_holes(rows(name, 60))
    x[x[:, 0] > np.nanmedian(x[:, 0]), 2] = np.nan
    found = fit_array(x, with_prior(name, max_iter=500))
    bound = np.array([r.objective for r in found.state.history])
    assert (np.diff(bound) > -1e-11 * np.abs(bound).max()).all()
    # A maximum: no step in any direction gains, and small ones cost by their square.
    model, best, fit = found.fit.model, found.state.best.params, found.fit
    rng = np.random.default_rng(0)

    def objective(components: Any) -> float:
        params = replace(best, components=components)
        return model.objective(
            model.e_step(Block(0, 0, x), params, fit.origin, CAREFUL), params, CAREFUL
        )

    at = objective(best.components)
    for field in fields(best.components):
        value = getattr(best.components, field.name)
        for _ in range(4):
            step = 1e-4 * rng.standard_normal(value.shape)
            if name in ("full", "tied") and field.name != "means":
                step = step + np.swapaxes(step, -1, -2)
            up, down = (
                objective(replace(best.components, **{field.name: value + sign * step}))
                for sign in (1, -1)
            )
            assert max(up, down) < at
            assert abs(up - down) < 1e-2 * (2 * at - up - down), field.name


@pytest.mark.parametrize("assignment", ["tempered", "stochastic"])
@pytest.mark.parametrize("name", ["full", "diagonal", "poisson"])
def test_other_assignments_take_incomplete_rows(name: str, assignment: str) -> None:
    x = with_holes(rows(name))
    setting = replace(setting_for(name, assignment, max_iter=60), weights="dirichlet")
    found = fit_array(x, setting, start_for(name))
    history = found.state.history[40:]
    bound = np.array([r.objective for r in history])
    assert (np.diff(bound) > -1e-11 * np.abs(bound).max()).all()
    if name != "full":
        resp = found.assign(x).resp
        held = resp[resp > 0]
        entropy = -float(held @ np.log(held)) / len(x)
        assert history[-1].entropy == pytest.approx(entropy, rel=0.05)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_distribution_is_that_of_whole_rows(name: str) -> None:
    x = rows(name, 200)
    section = setting_for(name).model_section_for(x.shape[1])
    found = fit_array(with_holes(x), setting_for(name))
    fit = found.fit
    fitted = result(found.state.best, fit.survey.spread, found.state.history)
    mixture = make_distribution(section, fitted)
    assert type(mixture.family) is type(family_of(name, x.shape[1]))
    np.testing.assert_allclose(mixture.log_density(x), found.assign(x).score, rtol=1e-8)
