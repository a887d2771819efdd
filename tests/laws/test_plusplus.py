"""Laws of greedy k-means++: its draws, its choices, and what they must not depend on."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from emdist.engines.threads import LocalEngine
from emdist.fit.seeding import Seeding, reclustering, scalable
from emdist.fit.seeding.geometry import Absolute, Euclidean
from emdist.interfaces import Array, Floats
from emdist.kernels.tiles import plusplus as module
from emdist.kernels.tiles.absolute import distances_of_rows
from emdist.kernels.tiles.distances import Between, squared_distances
from emdist.kernels.tiles.plusplus import plusplus, plusplus_bytes
from emdist.runtime.cache import MEMO
from emdist.store.sources.arrays import array_source
from tests.support.fitting import ONE_THREAD, Setting, blobs, prepare

Indices = NDArray[np.int64]


def one_by_one(x: Floats, weight: Floats, k: int, rng: np.random.Generator) -> Indices:
    """Greedy k-means++ with one draw after the other and all rows as judges: the definition."""
    chosen = [int(rng.choice(len(x), p=weight / weight.sum()))]
    nearest = squared_distances(x, x[chosen])[0]
    for _ in range(1, k):
        potential = weight * nearest
        drawn = rng.choice(len(x), 2 + int(np.log(k)), p=potential / potential.sum())
        closer = np.minimum(squared_distances(x, x[drawn]), nearest)
        best = int(np.argmin(closer @ weight))
        chosen.append(int(drawn[best]))
        nearest = closer[best]
    return np.array(chosen)


def inertia(x: Array, centres: Array, weight: Floats | None = None) -> float:
    near = squared_distances(x, centres).min(axis=0)
    return float(near.sum() if weight is None else weight @ near)


def odds_of_last(x: Floats, weight: Floats, k: int) -> Floats:
    """The probability of each row to be the last of `k` drawn by squared distance, enumerated."""
    between = (x[:, None, 0] - x[:, 0]) ** 2
    odds = np.zeros(len(x))
    for path in itertools.permutations(range(len(x)), k):
        probability = weight[path[0]] / weight.sum()
        for at in range(1, k):
            potential = weight * between[list(path[:at])].min(axis=0)
            probability *= potential[path[at]] / potential.sum()
        odds[path[-1]] += probability
    return odds


@pytest.mark.parametrize("k", [2, 4])
def test_draws_follow_weight_times_squared_distance(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are drawn for two centres at once, before the first of the two is known, too."""
    monkeypatch.setattr(module, "_SHARE", 1)
    monkeypatch.setattr(module, "trials_of", lambda k: 1)
    x = np.array([[0.0], [1.0], [1.5], [4.0], [4.2], [9.0]])
    weight = np.array([1.0, 2.0, 1.0, 3.0, 1.0, 0.5])
    odds, runs = odds_of_last(x, weight, k), 4000
    last = [plusplus(x, weight, k, np.random.default_rng(s))[-1] for s in range(runs)]
    seen = np.bincount(last, minlength=len(x))
    # The 0.9999 quantile of chi-square with 5 degrees of freedom.
    assert ((seen - runs * odds) ** 2 / (runs * odds)).sum() < 25.7


@pytest.mark.parametrize("judges", [256, 8192])
@pytest.mark.parametrize("kind", ["separated", "overlapping", "uniform", "heavy"])
def test_seeds_are_as_good_as_those_of_the_definition(kind: str, judges: int) -> None:
    k, found = 60, []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, weight = blobs(3000, 4, k, 20.0 if kind == "separated" else 1.0, seed=seed)[0], None
        if kind == "uniform":
            x = rng.uniform(size=(3000, 2))
        weight = rng.pareto(1.2, 3000) + 1e-3 if kind == "heavy" else np.ones(3000)
        plain = one_by_one(x, weight, k, rng)
        fast = plusplus(x, weight, k, rng, judges=judges)
        found.append([inertia(x, x[fast], weight), inertia(x, x[plain], weight)])
    fast_mean, plain_mean = np.log(found).mean(axis=0)
    assert np.exp(fast_mean - plain_mean) < (1.06 if judges == 8192 else 1.12)


def test_parts_of_the_work_in_any_order_give_the_same_rows() -> None:
    x = blobs(20000, 8, 40, 3.0)[0]
    weight = np.random.default_rng(0).exponential(size=len(x))
    parts: list[int] = []

    def backwards(work: Callable[[int], None], number: int) -> None:
        parts.append(number)
        for index in reversed(range(number)):
            work(index)

    def chosen(each: module.Each) -> Indices:
        return plusplus(x, weight, 150, np.random.default_rng(1), each=each)

    one = chosen(module.in_turn)
    np.testing.assert_array_equal(chosen(backwards), one)
    assert max(parts) > 1
    for threads in (1, 2):
        source = array_source(x[:100])
        survey = prepare(source, Setting("kmeans", 2)).survey
        seeding = Seeding(source, LocalEngine(threads), survey, 0, 0)
        np.testing.assert_array_equal(chosen(seeding.each), one)


def test_all_rows_can_be_chosen() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    found = plusplus(x, np.ones(50), 50, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(found), np.arange(50))


@pytest.mark.parametrize("between", [squared_distances, distances_of_rows])
def test_equal_rows_are_chosen_last(between: Between) -> None:
    x = np.repeat(np.arange(6.0)[:, None] * [1.0, 2.0], 40, axis=0)
    weight = np.where(np.arange(240) % 40 < 2, 0.0, 1.0)
    for seed in range(5):
        found = plusplus(x, weight, 200, np.random.default_rng(seed), between)
        assert len(np.unique(x[found[:6]], axis=0)) == 6
        assert len(np.unique(found)) == 200
        assert (weight[found] > 0).all()


def test_rows_without_weight_come_when_no_others_are_left() -> None:
    x, weight = np.zeros((8, 1)), np.array([0.0, 1.0] * 4)
    found = plusplus(x, weight, 6, np.random.default_rng(0))
    assert (weight[found[:4]] == 1).all()
    assert len(np.unique(found)) == 6


def test_clusters_that_float32_cannot_tell_apart_are_found() -> None:
    rng = np.random.default_rng(0)
    far = rng.normal(size=(4, 6))
    near = np.concatenate([far, far + 1e-5])
    x = np.repeat(near, 300, axis=0) + rng.normal(0, 1e-7, (2400, 6))
    for seed in range(5):
        found = plusplus(x, np.ones(2400), 8, np.random.default_rng(seed))
        assert len(np.unique(found // 300)) == 8


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_units_do_not_matter(scale: float) -> None:
    x = blobs(2000, 3, 20, 5.0)[0]
    one = plusplus(x, np.ones(2000), 20, np.random.default_rng(0))
    # A power of two, so that all products have the same digits.
    unit = 2.0 ** np.round(np.log2(scale))
    np.testing.assert_array_equal(
        plusplus(x * unit, np.ones(2000), 20, np.random.default_rng(0)), one
    )


def test_progress_is_told_after_each_draw() -> None:
    told: list[int] = []
    x = np.random.default_rng(0).normal(size=(500, 2))
    plusplus(x, np.ones(500), 100, np.random.default_rng(0), told=told.append)
    assert told == sorted(set(told))
    assert told[-1] == 100
    assert max(np.diff([1, *told])) <= 50


def test_memory_of_distances_is_bounded() -> None:
    assert plusplus_bytes(10**9, 10**6, 10**9) < 1.5 * module._GAP_BYTES + 64 * 10**9
    assert plusplus_bytes(1000, 2) < 10**6


def test_compiled_iterations_give_the_centres_of_plain_ones() -> None:
    x = blobs(3000, 5, 8, 3.0)[0]
    weight = np.random.default_rng(0).exponential(size=3000)
    centres, silent = x[:8], lambda *progress: None
    bounds = [0, 1000, 3000]
    found = [
        reclustering._plain(x, weight, centres, bounds, ONE_THREAD, np.dtype("float64")),
        reclustering._any(Euclidean(), x, weight, bounds, ONE_THREAD),
    ]
    for _ in range(4):
        (a, one), (b, two) = (advance(centres) for advance in found)
        assert a == pytest.approx(b, rel=1e-10)
        np.testing.assert_allclose(one, two, rtol=1e-10)
        centres = one
    few = reclustering.lloyd(
        Absolute(), x, weight, centres, 2, ONE_THREAD, np.dtype("float64"), silent
    )
    assert few.shape == (8, 5)


def test_candidates_that_no_memo_holds_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    x = blobs(900, 3, 5, 4.0, dtype="float32")[0]
    source = array_source(x, None, 100 * 12)
    survey = prepare(source, Setting("kmeans", 9)).survey

    def found() -> Floats:
        return scalable.choose(Seeding(source, ONE_THREAD, survey, 0, 0), 9)

    before = MEMO.nbytes
    kept = found()
    assert MEMO.nbytes == before
    monkeypatch.setattr(scalable, "MEMO_BYTES", 0)
    np.testing.assert_array_equal(found(), kept)


def test_drawn_judges_stand_for_all_rows() -> None:
    """What they add to the inertia under other centres, on average over the draws."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 2))
    weight = rng.pareto(1.2, 2000) + 1e-3
    near, nearer = squared_distances(x, x[:1])[0], squared_distances(x, x[:20]).min(axis=0)
    rows = module._Rows(x, weight, squared_distances, module.in_turn)
    cumulative, found = np.cumsum(weight * near), []
    for seed in range(300):
        some, worth = rows._judges(near, cumulative, 200, np.random.default_rng(seed))
        found.append([worth @ near[some], worth @ nearer[some]])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(300)
    wanted = np.array([1.0, (weight @ nearer) / cumulative[-1]]) * 200
    assert (np.abs(mean - wanted) < 4 * error + 0.01 * wanted).all()
