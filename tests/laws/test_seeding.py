"""Laws of seeders: k rows or centres, the same for any chunking and engine, weights included."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from distributed import Client, LocalCluster

from emdist.engines.dask.engine import DaskEngine
from emdist.engines.threads import LocalEngine
from emdist.errors import DistinctRowsError, StartError
from emdist.fit import loop
from emdist.fit.events import Event, Progress
from emdist.fit.seeding import Seeding
from emdist.fit.seeding.scalable import ROUNDS, Candidates, _Draw
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.inputs.plugins import plugins
from emdist.interfaces import Array, Engine, Floats
from emdist.report.outlook import _UNITS
from emdist.settings.config import SEEDERS
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    NOISY,
    ONE_THREAD,
    Setting,
    blobs,
    fit_array,
    prepare,
    run,
    same_bits,
)

ALL_SEEDERS = plugins(SEEDERS, "seeder")
#: Seeders that choose rows; the others choose means of rows.
CHOOSES_ROWS = {"random", "k-means++"}


def seeds(
    name: str,
    x: Array,
    k: int,
    *,
    weight: Floats | None = None,
    block_bytes: int | None = None,
    engine: Engine = ONE_THREAD,
    seed: int = 0,
    restart: int = 0,
    sample_rows: int | None = None,
) -> Floats:
    """Seeds in the units of the data."""
    source = array_source(x, weight, block_bytes)
    setting = Setting("kmeans", k, fit={"seed": seed, "sample_rows": sample_rows})
    fit = prepare(source, setting, engine=engine)
    seeding = Seeding(source, engine, fit.survey, seed, restart)
    return ALL_SEEDERS[name].choose(seeding, k) + fit.origin


@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_seeders_tell_how_far_they_are(name: str) -> None:
    """Every centre that is chosen, and what comes before and after."""
    x = blobs(500, 3, 5, 4.0)[0]
    source = array_source(x, None, 100 * 24)
    fit = prepare(source, Setting("kmeans", 9))
    told: list[tuple[str, int, int]] = []
    seeding = Seeding(
        source, ONE_THREAD, fit.survey, 0, 0, told=lambda *progress: told.append(progress)
    )
    ALL_SEEDERS[name].choose(seeding, 9)
    chosen = [(done, total) for what, done, total in told if what == "seeding"]
    assert (9, 9) in chosen or name == "random"
    assert {what for what, _, _ in told} <= set(_UNITS)
    drawing = [(done, total) for what, done, total in told if what == "drawing candidates"]
    passes = ROUNDS + 1
    blocks = [(done, passes * len(source)) for done in range(passes * len(source) + 1)]
    assert sorted(set(drawing)) == (blocks if name == "k-means||" else [])
    compared = [(done, total) for what, done, total in told if what == "comparing neighbours"]
    assert compared == ([(1, 4), (2, 4), (3, 4), (4, 4)] if name == "cleaned" else [])
    clustered = [done for what, done, _ in told if what == "clustering the sample"]
    assert clustered == list(range(len(clustered)))
    assert bool(clustered) == (name not in CHOOSES_ROWS)


@pytest.mark.parametrize("n_init", [1, 2])
def test_a_long_seeding_is_told_while_it_goes_on(
    n_init: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a start alone, and of starts abreast, whose passes are all that is told else."""
    monkeypatch.setattr(loop, "_SELDOM", 0.0)
    heard: list[Event] = []
    source = array_source(blobs(500, 3, 5, 4.0)[0])
    setting = Setting("kmeans", 9, fit={"n_init": n_init, "max_iter": 2})
    fit = replace(prepare(source, setting), listen=heard.append)
    for _ in loop.iterate(fit, FitState(0)):
        pass
    assert Progress("seeding", 5, 9) in heard


def inertia(x: Array, centres: Floats, weight: Floats | None = None) -> float:
    nearest = ((x[:, None] - centres) ** 2).sum(axis=2).min(axis=1)
    return float(nearest.sum() if weight is None else weight @ nearest)


@pytest.fixture(scope="module")
def dask_engine() -> Iterator[DaskEngine]:
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        yield DaskEngine(client)


@pytest.mark.parametrize("k", [1, 2, 7, 40])
@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_seeds_are_k_distinct_points(name: str, k: int) -> None:
    x = blobs(500, 3, 5, 4.0)[0]
    found = seeds(name, x, k)
    assert found.shape == (k, 3)
    assert len(np.unique(found.round(9), axis=0)) == k
    assert (found >= x.min(axis=0) - 1e-9).all()
    assert (found <= x.max(axis=0) + 1e-9).all()
    if name in CHOOSES_ROWS:
        distance = np.abs(found[:, None] - x).max(axis=2).min(axis=1)
        assert distance.max() < 1e-12


@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_seeds_are_as_many_as_distinct_rows_where_rows_repeat(name: str) -> None:
    points = np.array([[0.0, 0.0], [1.0, 5.0], [9.0, 2.0], [4.0, 4.0]])
    x = np.repeat(points, [400, 3, 1, 50], axis=0)
    found = seeds(name, x, 4)
    assert {tuple(row) for row in found.round(9)} == {tuple(row) for row in points}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_seeds_are_the_same_for_any_chunking(name: str, weighted: bool) -> None:
    x = blobs(900, 3, 5, 4.0)[0]
    weight = np.random.default_rng(0).integers(0, 4, 900).astype(float) if weighted else None
    whole = seeds(name, x, 6, weight=weight, sample_rows=300)
    for rows in (1, 13, 450):
        cut = seeds(name, x, 6, weight=weight, sample_rows=300, block_bytes=rows * 24)
        np.testing.assert_allclose(cut, whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_seeds_have_the_same_bits_on_any_engine(name: str, dask_engine: DaskEngine) -> None:
    x = blobs(900, 3, 5, 4.0)[0]
    one = seeds(name, x, 6, block_bytes=100 * 24, sample_rows=300)
    for engine in (LocalEngine(3), dask_engine):
        found = seeds(name, x, 6, block_bytes=100 * 24, sample_rows=300, engine=engine)
        np.testing.assert_array_equal(found, one)


@pytest.mark.parametrize("model", ["kmeans", "kmedians", "full", NOISY])
def test_whole_fits_have_the_same_bits_on_dask(model: str, dask_engine: DaskEngine) -> None:
    x = blobs(900, 3, 5, 2.0, dtype="float32")[0]
    setting = Setting(model, 5, fit={"n_init": 2, "init": "k-means||", "max_iter": 10})
    one = fit_array(x, setting, block_bytes=1000)
    same_bits(fit_array(x, setting, block_bytes=1000, engine=dask_engine), one)


@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_seed_and_restart_choose_the_seeds(name: str) -> None:
    x = blobs(500, 3, 9, 1.0)[0]
    again = [seeds(name, x, 5, seed=1, restart=2, sample_rows=200) for _ in range(2)]
    np.testing.assert_array_equal(again[0], again[1])
    assert not np.array_equal(again[0], seeds(name, x, 5, seed=2, restart=2, sample_rows=200))
    assert not np.array_equal(again[0], seeds(name, x, 5, seed=1, restart=3, sample_rows=200))


@pytest.mark.parametrize("name", sorted(set(ALL_SEEDERS) - {"random"}))
def test_every_seeder_beats_random_rows_on_average(name: str) -> None:
    x = blobs(600, 2, 12, 8.0)[0]
    mean = {
        which: np.mean([inertia(x, seeds(which, x, 12, seed=s)) for s in range(12)])
        for which in (name, "random")
    }
    assert mean[name] < 0.6 * mean["random"]


@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_rows_without_weight_are_no_seeds(name: str) -> None:
    x = blobs(400, 2, 3, 3.0)[0]
    far = np.concatenate([x, 1e3 + blobs(200, 2, 2)[0]])
    weight = np.append(np.ones(400), np.zeros(200))
    assert seeds(name, far, 6, weight=weight).max() < 100


@pytest.mark.parametrize("model", ["kmeans", "kmedians", "tied", "full"])
@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_blocks_without_a_row_that_counts(name: str, model: str) -> None:
    x = blobs(400, 2, 3, 6.0)[0]
    x[100:300] = np.nan
    source = array_source(x, None, 50 * 16, non_finite="drop")
    found = run(prepare(source, Setting(model, 3, fit={"init": name, "n_init": 2})))
    assert np.isfinite(found.means).all()
    far = Given(np.concatenate([x[:2], [[1e4, 1e4]]]))
    reseeded = run(prepare(source, Setting(model, 3, fit={"on_collapse": "reseed"}), far))
    assert np.isfinite(reseeded.means).all()


@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_heavy_rows_draw_seeds(name: str) -> None:
    # A tenth of the rows, apart from the others, holds 99.9 % of the weight and most inertia.
    x = np.random.default_rng(0).uniform(0, 1, (1000, 2))
    x[:100] += 3.0
    weight = np.where(np.arange(1000) < 100, 9000.0, 1.0)
    inside = [(seeds(name, x, 8, weight=weight, seed=s) > 2.5).all(axis=1).sum() for s in range(5)]
    assert np.mean(inside) > 5


def test_scalable_seeding_of_weighted_rows_is_near_the_optimum() -> None:
    x, centres = blobs(2000, 2, 10, 20.0)
    weight = np.random.default_rng(0).exponential(size=2000)
    best = fit_array(x, Setting("kmeans", 10, fit={"n_init": 5}), weight=weight).objective
    found = [
        inertia(x, seeds("k-means||", x, 10, weight=weight, seed=s, sample_rows=50), weight)
        for s in range(5)
    ]
    assert np.median(found) < 1.2 * best
    assert len(centres) == 10


def test_candidates_are_drawn_by_weight_times_squared_distance() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (400, 2))
    weight = np.where(np.arange(400) < 40, 50.0, 1.0)
    centres = np.full((1, 2), 0.5)
    potential = weight * ((x - centres) ** 2).sum(axis=1)
    source = array_source(x, weight)
    found = []
    for key in range(400):
        candidates = Candidates(source, np.zeros(2), (centres,))
        _, estimate, row = _Draw(candidates, 20, (key,))(0).rows()
        found.append([estimate.sum(), estimate[row < 40].sum()])
    wanted = np.array([potential.sum(), potential[:40].sum()])
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - wanted) < 4 * error).all()
    assert (error < 0.05 * wanted).all()


@pytest.mark.parametrize("name", ALL_SEEDERS)
def test_seeding_from_a_sample_of_a_tenth_is_nearly_as_good(name: str) -> None:
    x = blobs(3000, 2, 6, 10.0)[0]
    best = fit_array(x, Setting("kmeans", 6, fit={"n_init": 5})).objective
    fitting = {"init": name, "sample_rows": 300, "n_init": 5}
    assert fit_array(x, Setting("kmeans", 6, fit=fitting)).objective < 1.01 * best


def test_too_few_rows_are_refused() -> None:
    x = np.repeat([[0.0, 1.0], [2.0, 3.0]], 5, axis=0)
    with pytest.raises(DistinctRowsError, match="only 2 distinct rows"):
        fit_array(x, Setting("kmeans", 3))
    with pytest.raises(StartError, match="11 components, but there are only 10 rows"):
        fit_array(x, Setting("kmeans", 11))
