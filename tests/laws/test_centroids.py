"""Laws of K-centroids: the objective falls, any engine and chunking, edges of the domain."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

from emdist.composition.model import param_types
from emdist.dissimilarities.own import OwnPair
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, DataError, DomainError
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.inputs.plugins import plugins
from emdist.interfaces import Array, Floats
from emdist.settings.config import SEEDERS
from emdist.store.runs.codec import decode, encode
from emdist.store.sources.arrays import array_source
from tests.support.dissimilarity_data import ALL, OPTIONS, ORACLES, dissimilarity, rows, setting
from tests.support.dissimilarity_data import centre as plain_centre
from tests.support.fitting import (
    ONE_THREAD,
    Fitting,
    Setting,
    agree,
    fit_array,
    prepare,
    relative,
    run,
    same_bits,
    trace,
)

#: With zeros in them, where logarithms end.
EDGED = ["generalised_i", "kullback_leibler", "logistic"]


# ---- a dissimilarity of one's own: the squared Hellinger distance, whose centre is a mean of roots


def hellinger(x: Floats, centres: Floats) -> Floats:
    return ((np.sqrt(x)[:, None] - np.sqrt(centres)) ** 2).sum(axis=2)


def roots(x: Floats) -> Floats:
    return np.sqrt(x)


def squares(means: Floats) -> Floats:
    return means**2


HELLINGER = OwnPair(hellinger, squares, roots)


@pytest.fixture(scope="module")
def dask_engine() -> Iterator[DaskEngine]:
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        yield DaskEngine(client)


def own(k: int, pair: OwnPair = HELLINGER, **fit: Any) -> Setting:
    return Setting("kcentroids", k, dissimilarity=pair, fit=fit)


def of(name: str, k: int = 3, **fit: Any) -> Setting:
    return own(k, **fit) if name == "own" else setting(name, k, fit=fit)


def settled(name: str, x: Array, k: int = 3, **more: Any) -> Fitting:
    return fit_array(x, of(name, k), **more)


def data(name: str, n: int, k: int = 3, seed: int = 0) -> Array:
    return rows("generalised_i" if name == "own" else name, n, k, seed)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 6), zeros=st.booleans(), weighted=st.booleans())
@pytest.mark.parametrize("name", [*ALL, "own"])
def test_the_objective_never_rises(
    name: str, seed: int, k: int, zeros: bool, weighted: bool
) -> None:
    x = data(name, 60, 4, seed)
    if zeros and name in EDGED:
        x = np.where(np.random.default_rng(seed).random(x.shape) < 0.3, 0.0, x)
    weight = np.random.default_rng(seed).exponential(size=60) if weighted else None
    found = settled(name, x, k, weight=weight)
    history = np.array([r.objective for r in found.state.history])
    assert np.isfinite(history).all()
    assert (np.diff(history) <= 1e-12 * history[0]).all()


@pytest.mark.parametrize("name", ALL)
def test_each_half_step_lowers_the_objective(name: str) -> None:
    x = rows(name, 300, 4)
    fit = prepare(array_source(x), setting(name, 4, fit={"init": "random"}))
    before: Floats | None = None
    labels: Any = None
    for state in trace(fit):
        centres = fit.model.locations(state.params) + fit.origin
        apart = ORACLES[name](x, centres)
        if before is not None:
            assigned = before.min(axis=1).sum()
            assert assigned <= before[np.arange(300), labels].sum() * (1 + 1e-12)
            moved = apart[np.arange(300), before.argmin(axis=1)].sum()
            assert moved <= assigned * (1 + 1e-12)
            labels = before.argmin(axis=1)
        else:
            labels = apart.argmin(axis=1)
        before = apart


@pytest.mark.parametrize("name", [*ALL, "own"])
def test_any_chunking_gives_the_same(name: str) -> None:
    x, weight = data(name, 1000, 4), np.random.default_rng(0).exponential(size=1000)
    whole = settled(name, x, 4, weight=weight)
    for size in (700, 5000):
        agree(settled(name, x, 4, weight=weight, block_bytes=size), whole, 1e-10)


@pytest.mark.parametrize("name", [*ALL, "own"])
def test_both_engines_give_the_same_bits(name: str, dask_engine: DaskEngine) -> None:
    x = data(name, 600, 4)
    given = of(name, 4, init="k-means||")
    expected = run(prepare(array_source(x, None, 2400), given))
    same_bits(run(prepare(array_source(x, None, 2400), given, engine=LocalEngine(2))), expected)
    same_bits(run(prepare(array_source(x, None, 2400), given, engine=dask_engine)), expected)


@pytest.mark.parametrize("name", ALL)
def test_a_stored_state_goes_on_as_if_nothing_had_been(name: str) -> None:
    x = rows(name, 400, 4)
    given = setting(name, 4, fit={"init": "random", "n_init": 2})
    fit = prepare(array_source(x), given)
    states = list(trace(fit))
    middle = states[len(states) // 2]
    arrays, meta = encode(middle)
    again = decode(FitState, arrays, meta, param_types(given.model_section))
    same_bits(run(fit, again), run(fit))


@pytest.mark.covering
@pytest.mark.parametrize("seeder", plugins(SEEDERS, "seeder"))
@pytest.mark.parametrize("name", [*ALL, "own"])
def test_every_seeder_finds_clusters_far_apart(name: str, seeder: str) -> None:
    x = data(name, 500) if name == "own" else rows(name, 500, 3, 5)
    found = fit_array(x, of(name, init=seeder, n_init=5 if seeder == "random" else 1))
    good = fit_array(x, of(name, init="random", n_init=20))
    assert found.objective <= 1.3 * good.objective


@pytest.mark.parametrize("name", [*ALL, "own"])
def test_a_cluster_without_rows_takes_the_farthest(name: str) -> None:
    x = data(name, 400)
    start = Given(x[[0, 1, 1]])  # Ties go to the lowest: the third gets no row.
    found = fit_array(x, of(name, tol=0.0), start)
    apart = ORACLES[name](x, x[:2]) if name != "own" else hellinger(x, x[:2])
    far = apart.min(axis=1).argmax()
    first = next(iter(trace(found.fit)))
    assert first.history[0].reseeded == 1
    centre = found.fit.model.locations(first.params)[2] + found.fit.origin
    alone = plain_centre("squared_euclidean" if name == "own" else name, x[[far]], np.ones(1))
    np.testing.assert_allclose(centre, alone, rtol=1e-9)
    assert len(np.unique(found.assign(x).labels)) == 3
    assert len(fit_array(x, of(name, on_collapse="drop"), start).means) == 2


@pytest.mark.parametrize("name", [*ALL, "own"])
def test_rows_left_out_and_blocks_without_rows(name: str) -> None:
    x = data(name, 300)
    holes = np.concatenate([x[:100], np.full((200, 3), np.nan), x[100:]])
    given, start = of(name), Given(x[:3])
    source = array_source(holes, None, 2400, "drop")
    found = run(prepare(source, given, start))
    agree(found, fit_array(x, given, start), 1e-10)


@pytest.mark.parametrize("name", EDGED)
def test_zeros_are_limits(name: str) -> None:
    # A third of the numbers are 0, and a feature is 0 in all rows of a cluster.
    x = rows(name, 600)
    x[np.random.default_rng(0).random(x.shape) < 0.3] = 0.0
    x[:200, 1] = 0.0
    x[x.sum(axis=1) == 0] = 0.5
    found = fit_array(x, setting(name, fit={"tol": 0.0}))
    assert found.status is Status.UNCHANGED
    apart = ORACLES[name](x, found.means)
    labels = found.assign(x).labels
    np.testing.assert_array_equal(labels, apart.argmin(axis=1))
    assert found.objective == pytest.approx(apart.min(axis=1).sum(), rel=1e-6)


@pytest.mark.parametrize("name", ["cosine", "kullback_leibler"])
def test_a_row_of_zeros_moves_no_centre(name: str) -> None:
    x = rows(name, 300)
    start = Given(x[[0, 5, 9]])
    more = np.insert(x, [0, 40, 300], 0.0, axis=0)
    found, expected = (fit_array(a, setting(name), start) for a in (more, x))
    assert relative(found.means, expected.means) < 1e-12
    assert found.objective == pytest.approx(expected.objective, rel=1e-12)
    assigned = found.assign(np.zeros((2, 3)))
    assert assigned.labels.tolist() == [0, 0]
    assert assigned.score.tolist() == [0.0, 0.0]
    # Not even where a cluster without rows looks for the farthest.
    lost = Given(np.concatenate([x[:2], -x[:1] if name == "cosine" else x[:1]]))
    assert fit_array(more, setting(name), lost).status is not Status.MAX_ITER


@pytest.mark.parametrize(
    ("name", "value"),
    [("kullback_leibler", -1e-9), ("generalised_i", -1.0), ("itakura_saito", 0.0),
     ("itakura_saito", -2.0), ("logistic", 1.001), ("logistic", -0.1)],
)  # fmt: skip
def test_values_outside_the_domain_are_refused(name: str, value: float) -> None:
    x = rows(name, 100)
    fitted = fit_array(x, setting(name))
    x[77, 1] = value
    with pytest.raises(DomainError, match="feature 1"):
        fit_array(x, setting(name))
    # Without weight it counts for nothing, whatever it is.
    weight = np.where(np.arange(100) == 77, 0.0, 1.0)
    alone = fit_array(x[weight > 0], setting(name), Given(fitted.means))
    found = fit_array(x, setting(name), Given(fitted.means), weight)
    assert relative(found.means, alone.means) < 1e-12
    assert found.objective == pytest.approx(alone.objective, rel=1e-12)


@pytest.mark.parametrize("name", [*ALL, "own"])
def test_one_cluster_one_feature_few_rows(name: str) -> None:
    if name == "mahalanobis":
        pytest.skip("its matrix is for three features")
    x = data(name, 5)[:, :1]
    for k in (1, 2 if name != "kullback_leibler" else 1):
        found = settled(name, x, k)
        assert np.isfinite(found.means).all()
        assert found.means.shape == (k, 1)


@pytest.mark.parametrize("name", ["generalised_i", "itakura_saito", "mahalanobis"])
def test_clusters_a_million_times_narrower_than_the_data(name: str) -> None:
    narrow = 1 + 1e-7 * rows("mahalanobis", 300)
    x = np.concatenate([narrow, 1e6 * narrow]) if name != "mahalanobis" else np.concatenate(
        [narrow, 1e6 + narrow])  # fmt: skip
    start = Given(x[[0, 7, 300, 307]])
    found = fit_array(x, setting(name, 4, fit={"tol": 0.0}), start)
    assert found.fit.numerics(found.state.best.params).centred
    labels = found.assign(x).labels
    apart = np.stack([exact_apart(name, x, c) for c in found.means], axis=1)
    wrong = labels != apart.argmin(axis=1)
    best, mine = apart.min(axis=1), apart[np.arange(600), labels]
    assert (mine[wrong] <= best[wrong] * 1.001).all()
    assert found.objective == pytest.approx(best.sum(), rel=1e-3)


def exact_apart(name: str, x: Floats, c: Floats) -> Floats:
    """To second order, which is all there is at a relative distance of 1e-7 (or a million)."""
    near = np.abs(x / c - 1).max(axis=1) < 1e-3
    d = x - c
    scale = {"generalised_i": 1 / c, "itakura_saito": 1 / c**2}
    if name == "mahalanobis":
        return np.einsum("ij,jk,ik->i", d, np.array(OPTIONS[name]["matrix"]), d)
    second: Floats = 0.5 * (d * d * scale[name]).sum(axis=1)
    return np.where(near, second, ORACLES[name](x, c[None])[:, 0])


def test_tol_is_relative_to_where_centres_lie() -> None:
    # Rows a million times as long have the same directions: they stop in the same iteration.
    x = rows("cosine", 900, 4)
    start = x[[0, 7, 11, 30]]
    counts = {
        fit_array(x * scale, setting("cosine", 4), Given(start * scale)).iterations
        for scale in (1e-6, 1.0, 1e6)
    }
    assert len(counts) == 1
    assert counts.pop() > 3


# ---- one's own


def test_an_own_pair_is_k_means_of_the_roots() -> None:
    x = data("own", 600, 4)
    start = x[[0, 7, 11, 30]]
    found = fit_array(x, own(4, tol=0.0), Given(start))
    expected = fit_array(
        np.sqrt(x), setting("squared_euclidean", 4, fit={"tol": 0.0}), Given(np.sqrt(start))
    )
    assert found.iterations == expected.iterations
    assert relative(np.sqrt(found.means), expected.means) < 1e-10
    assert found.objective == pytest.approx(expected.objective, rel=1e-10)


@dataclass(frozen=True)
class Scaled:
    """A pair as a small class: its methods are its functions."""

    power: float

    def __call__(self, x: Floats, centres: Floats) -> Floats:
        return ((x[:, None] ** self.power - centres**self.power) ** 2).sum(axis=2)

    def statistics(self, x: Floats) -> Floats:
        return x**self.power

    def centre(self, mean: Floats) -> Floats:
        return mean ** (1 / self.power)


def test_an_own_class_is_a_pair() -> None:
    half = Scaled(0.5)
    pair = OwnPair(half, half.centre, half.statistics)
    x = data("own", 300)
    found, expected = fit_array(x, own(3, pickle.loads(pickle.dumps(pair)))), fit_array(x, own(3))
    assert relative(found.means, expected.means) < 1e-10


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        (OwnPair(lambda x, c: hellinger(x, c).T), r"returned shape \(3, 4\); expected \(4, 3\)"),
        (OwnPair(lambda x, c: -hellinger(x, c)), "expected a number >= 0"),
        (OwnPair(lambda x, c: hellinger(x, c) * np.nan), "is nan for the row"),
        (OwnPair(lambda x, c: None), "NoneType, not an array"),
        (OwnPair(lambda x, c: hellinger(x, c) * 1j), "not an array of real numbers"),
        (OwnPair(hellinger, squares, lambda x: x.sum(axis=1)), r"statistics .* expected \(4, W\)"),
        (OwnPair(hellinger, lambda m: m[:, :2], roots), r"centre .* expected \(4, 3\)"),
        (OwnPair(hellinger, lambda m: m * np.inf, roots), "expected finite numbers"),
        (OwnPair(hellinger, None, lambda x: np.hstack([x, x])), "6 numbers per row"),
    ],
)  # fmt: skip
def test_an_own_pair_that_is_wrong_is_told_so(pair: OwnPair, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        fit_array(data("own", 50), own(2, pair))


def test_an_own_pair_that_goes_wrong_later_is_told_so(dask_engine: DaskEngine) -> None:
    def late(x: Floats, centres: Floats) -> Floats:
        return hellinger(x, centres) - 100.0 * (x[:, :1] > 1e6)

    x = data("own", 400)
    x[399] = 1e7
    for engine in (ONE_THREAD, dask_engine):
        with pytest.raises(ConfigError, match="expected a number >= 0"):
            fit_array(x, own(2, OwnPair(late)), Given(x[:2]), engine=engine)


def test_an_own_infinite_dissimilarity_is_no_objective() -> None:
    with pytest.raises(DataError):
        fit_array(
            data("own", 50),
            own(2, OwnPair(lambda x, c: hellinger(x, c) + np.inf)),
            Given(data("own", 2)),
        )


FILE = """
from dataclasses import dataclass
from emdist.dissimilarities.generalised_i import GeneralisedI

@dataclass(frozen=True)
class Mine(GeneralisedI):
    factor: float = 1.0

dissimilarity = Mine
"""


def test_a_file_of_ones_own_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import emdist.dissimilarities as package

    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    plugins.cache_clear()
    try:
        x = data("own", 200)
        given = Setting("kcentroids", 3, dissimilarity="mine", options={"factor": 2.0})
        found = fit_array(x, given)
    finally:
        plugins.cache_clear()
    assert relative(found.means, fit_array(x, setting("generalised_i")).means) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "exactly one"),
        ({"matrix": [[1.0]], "covariance": [[1.0]]}, "exactly one"),
        ({"matrix": [[1.0, 2.0], [2.0, 1.0]]}, "not symmetric positive definite"),
        ({"matrix": [[1.0, 0.5], [0.0, 1.0]]}, "not symmetric positive definite"),
        ({"matrix": [[1.0, 0.0], [0.0]]}, "not symmetric positive definite"),
        ({"matrix": "A.npy"}, "matrix"),
        ({"matrix": np.eye(2).tolist()}, "2 x 2, but the data have 3"),
        ({"metric": [[1.0]]}, "did you mean 'matrix'"),
    ],
)
def test_a_matrix_that_is_wrong_is_told_so(options: dict[str, Any], says: str) -> None:
    given = Setting("kcentroids", 2, dissimilarity="mahalanobis", options=options)
    with pytest.raises(ConfigError, match=says):
        fit_array(rows("mahalanobis", 50), given)


def test_every_dissimilarity_says_what_it_is() -> None:
    assert set(ALL) == set(ORACLES)
    for name in ALL:
        assert type(dissimilarity(name)).__doc__
