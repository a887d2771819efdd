"""A model that does not fit into memory is refused before anything of its size is made."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import emdist
from emdist.composition.footprint import footprint, numbers
from emdist.composition.make import make_source, make_survey
from emdist.composition.memory import checked_memory
from emdist.composition.model import make_family, make_model
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, EmdistError, StartError, WorkersError
from emdist.fit.seeding import Seeding
from emdist.inputs.plugins import plugins
from emdist.interfaces import Block, Spread
from emdist.jobs.run import open_job
from emdist.models.arrays import arrays_of
from emdist.settings.config import SEEDERS, FitSection, ModelSection, make_config
from emdist.store.sources.arrays import array_source
from emdist.store.sources.plan import Bounds
from emdist.store.sources.sizes import largest_block, smaller_blocks

ROWS = np.random.default_rng(0).normal(size=(64, 5))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("kmeans", "kmedians", "full", "tied", "diagonal", "spherical")),
        *((name, {}) for name in ("isotropic", "variational_full", "variational_diagonal")),
        *((name, {}) for name in ("bernoulli", "poisson", "multinomial")),
        ("binomial", {"trials": 3}),
        ("categorical", {"categories": 4}),
    ],
)
def test_numbers_of_a_model_are_those_that_it_has(name: str, options: dict[str, Any]) -> None:
    """Counted and made: equal but for what a few extra numbers a component are."""
    k, d = 7, 5
    section = ModelSection(name=name, n_components=k, options=options)
    params, sums, width = numbers(Recipe(section, FitSection()), k, d)
    x = ROWS if name in ("kmeans", "kmedians") or "covar" in name else (ROWS > 0) * 1.0
    spread = Spread(
        np.zeros(d), x.mean(0), x.var(0), x.min(0), x.max(0), np.full(d, False), 64.0, np.cov(x.T)
    )
    model = make_model(section, spread)
    start = model.start(x[:k], spread)
    made = sum(a.size for a in arrays_of(start.components).values())
    assert made - 2 * k <= params <= 2 * made + 4 * k
    numerics = model.numerics(start, spread, np.dtype(np.float64))
    found = model.e_step(Block(0, 0, x), start, np.zeros(d), numerics)
    gathered = sum(np.size(found[name]) for name in found if name != "objective")
    # Free parameters of categories leave out one of them.
    assert 2 / 3 * gathered - 4 * k <= sums <= 2 * gathered + 4 * k
    if name == "full":
        assert (params, sums, width) == (k * (d + d * (d + 1) // 2) + k * d * d // 2, 147, 20)


def _refused(call: Callable[[], Any], what: str, most: int = 50 << 20) -> str:
    """The message of a refusal that took at most `most` bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(EmdistError, match=what) as told:
            call()
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    assert len(str(told.value)) < 600
    return str(told.value)


def _array(folder: Path, shape: tuple[int, int], chunks: tuple[int, int]) -> str:
    where = str(folder / "x.zarr")
    zarr.create_array(where, shape=shape, chunks=chunks, dtype="float32", fill_value=0)
    return where


def _open(values: dict[str, Any], folder: Path) -> Callable[[], None]:
    run = {"folder": str(folder / "runs")}
    whole = {"run": run, "labels": {"write": False}} | values

    def call() -> None:
        with open_job(make_config(whole, "test")):
            pass

    return call


@pytest.mark.parametrize("model", ["kmeans", "full", "diagonal", "bernoulli", "kmedians"])
def test_more_components_than_rows_are_refused_as_such(model: str, tmp_path: Path) -> None:
    data = {"path": _array(tmp_path, (60_000, 4), (60_000, 4)), "missing_chunks": "fill"}
    values = {"data": data, "model": {"name": model, "n_components": 10**9}}
    _refused(_open(values, tmp_path), "for 60000 rows")


def test_a_model_is_held_against_the_memory_that_is_stated(tmp_path: Path) -> None:
    data = {"path": _array(tmp_path, (100_000, 2000), (500, 2000)), "missing_chunks": "fill"}
    model = {"name": "full", "n_components": 20}
    values = {"data": data, "model": model, "cluster": {"memory": "1 GiB", "threads": 1}}
    told = _refused(_open(values, tmp_path), "20 components of 2,000 features")
    assert "GiB" in told
    assert "more memory" in told
    # The advice holds: as many as it says fit, and one more does not.
    most = int(told.split("at most ")[1].split(" ")[0]) if "at most" in told else 0
    assert most < 20
    if most:
        values["model"] = model | {"n_components": most}
        _open(values, tmp_path)()
    values["model"] = model | {"n_components": most + 1}
    _refused(_open(values, tmp_path), "components of 2,000")


def test_the_model_is_held_against_the_memory_of_the_machine() -> None:
    source = array_source(np.zeros((10, 40_000), np.float32), None, None)
    section = ModelSection(name="full", n_components=5)
    recipe = Recipe(section, FitSection())
    _refused(lambda: checked_memory([recipe], source, LocalEngine(1)), "free on this machine")


@pytest.mark.parametrize("make", [emdist.GaussianMixture, emdist.BayesianGaussianMixture])
def test_an_estimator_refuses_a_model_that_does_not_fit(make: Any) -> None:
    X = np.zeros((10, 40_000), np.float32)
    told = _refused(lambda: make(n_components=5).fit(X), "5 components of 40,000 features")
    assert "cluster.memory" not in told


def test_a_sweep_refuses_models_that_do_not_fit_together() -> None:
    X = np.zeros((3, 40_000), np.float32)
    sweep = emdist.Sweep(emdist.GaussianMixture(), {"n_components": [1, 2, 3]}, criterion="bic")
    _refused(lambda: sweep.fit(X), "3 models, the largest of them full with 3 components")


def test_starts_and_records_count(tmp_path: Path) -> None:
    source = array_source(np.zeros((4000, 100), np.float32), None, None)
    section = ModelSection(name="diagonal", n_components=2000)
    checked_memory([Recipe(section, FitSection())], source, LocalEngine(1), 350 << 20)
    for fit, words in (
        (FitSection(n_init=50), "^50 restarts need about"),
        (FitSection(schedule="incremental"), "diagonal with 2,000 components"),
    ):
        many = array_source(np.zeros((4000, 100), np.float32), None, 1000)
        with pytest.raises(ConfigError, match=words):
            checked_memory([Recipe(section, fit)], many, LocalEngine(1), 350 << 20)


class _Client:
    """What `check_memory` asks of a client: workers with their limits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def scheduler_info(self, n_workers: int = -1) -> dict[str, Any]:
        return {"workers": {"tcp://w": {"memory_limit": self._limit, "nthreads": 1}}}


def test_a_worker_must_hold_the_model_too(tmp_path: Path) -> None:
    from emdist.engines.dask.memory import check_memory

    client: Any = _Client(10**9)
    check_memory(client, 8 << 20, str)
    with pytest.raises(WorkersError, match=r"parameters and sums \(\d+ MiB\)") as told:
        check_memory(client, 8 << 20, str, lambda threads: 900 << 20)
    assert "fewer components" in str(told.value)


def test_advice_on_a_chunk_that_is_too_large_is_to_rechunk(tmp_path: Path) -> None:
    import dask.array as da

    from emdist.engines.dask.memory import check_memory

    client: Any = _Client(10**9)
    claimed = _array(tmp_path, (1 << 22, 128), (1 << 22, 128))
    section = make_config({"data": {"path": claimed, "missing_chunks": "fill"}}, "test").data
    source = make_source(section)
    assert largest_block(source) == 2 << 30
    with pytest.raises(WorkersError, match=r"a smaller data\.block_size does not help") as told:
        check_memory(client, largest_block(source), partial(smaller_blocks, source))
    assert "'341 MiB'" not in str(told.value)
    # The line that it shows does what it says.
    (small := tmp_path / "small").mkdir()
    where = _array(small, (1000, 1024), (1000, 1024))
    section = make_config({"data": {"path": where, "missing_chunks": "fill"}}, "test").data
    advice = smaller_blocks(make_source(section), 1 << 20)
    line = advice.split("dask.array: ")[1].rstrip(".")
    line = line.replace("IN.zarr", where).replace("OUT.zarr", str(tmp_path / "out.zarr"))
    eval(line, {"da": da})
    assert zarr.open_array(str(tmp_path / "out.zarr")).chunks == (128, 1024)


def test_a_chunk_too_large_for_the_memory_stated_is_to_be_rechunked(tmp_path: Path) -> None:
    data = {"path": _array(tmp_path, (40_000, 4096), (40_000, 4096)), "missing_chunks": "fill"}
    values = {"data": data, "cluster": {"memory": "700 MiB", "threads": 1}}
    with pytest.raises(ConfigError, match=r"Rechunk the array|more memory"):
        _open(values, tmp_path)()


def test_the_plan_of_blocks_that_are_only_claimed_takes_no_memory(tmp_path: Path) -> None:
    where = _array(tmp_path, (10**9, 64), (1, 64))
    data = {"path": where, "missing_chunks": "drop", "block_size": "64 KiB"}
    section = make_config({"data": data}, "test").data
    tracemalloc.start()
    source = make_source(section)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(source) > 10**6
    assert taken < 16 << 20


@pytest.mark.parametrize(("rows", "step"), [(1, 1), (10, 3), (12, 3), (5, 100)])
def test_bounds_are_those_of_a_tuple(rows: int, step: int) -> None:
    plain = (*range(0, rows, step), rows)
    bounds = Bounds(rows, step)
    assert tuple(bounds) == plain
    assert len(bounds) == len(plain)
    assert [bounds[i] for i in range(-len(plain), len(plain))] == [
        plain[i] for i in range(-len(plain), len(plain))
    ]
    with pytest.raises(IndexError):
        bounds[len(plain)]


def test_a_start_that_gives_nothing_is_not_made() -> None:
    from emdist.fit.start import Given

    model = make_model(ModelSection(name="full", n_components=2))
    Given().check(model, 10**9, 10**6)
    assert make_family(ModelSection(name="full")).free_parameters(1, 2) == 5
    with pytest.raises(StartError):
        Given(weights=np.ones(3)).check(model, 2, 2)


def test_responsibilities_count_where_they_are_written(tmp_path: Path) -> None:
    data = {"path": _array(tmp_path, (3_000_000, 2), (50_000, 2)), "missing_chunks": "fill"}
    values = {
        "data": data | {"block_size": "64 MiB"},
        "model": {"name": "diagonal", "n_components": 200},
        "cluster": {"memory": "1 GiB", "threads": 1},
    }
    _open(values | {"labels": {"outputs": ["labels"]}}, tmp_path)()
    told = _refused(
        _open(values | {"labels": {"outputs": ["responsibilities"]}}, tmp_path), "diagonal with 200"
    )
    assert "block" in told or "at most" in told


def test_a_result_too_large_for_memory_is_refused_with_the_way_to_disk(tmp_path: Path) -> None:
    gm = emdist.GaussianMixture(2).fit(np.random.default_rng(0).normal(size=(50, 2)))
    data = _array(tmp_path, (10**10, 2), (10**7, 2))
    gm.set_params(missing_chunks="fill")
    for call in (gm.predict_proba, gm.score_samples):
        assert "emdist label" in _refused(lambda call=call: call(data), "10,000,000,000 rows")


@pytest.mark.parametrize("starts", [10**7, 10**12])
def test_more_starts_than_memory_holds_are_refused(starts: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"^{starts:,} restarts need about .* Ask for fewer restarts \(n_init\)"
    ):
        emdist.KMeans(3, n_init=starts).fit(ROWS)
    with pytest.raises(ConfigError, match=r"restarts need"):
        emdist.Sweep(emdist.KMeans(n_init=starts), {"n_clusters": [2, 3]}).fit(ROWS)


def test_seeding_counts() -> None:
    """What the seeder holds, measured: distances of candidates, and copies of the sample."""
    x = np.random.default_rng(0).normal(size=(20000, 16)).astype(np.float32)
    source = array_source(x)
    section = ModelSection(name="kmeans", n_components=400)
    found = footprint(Recipe(section, FitSection()), source)
    survey = make_survey(source, Recipe(section, FitSection()))(0)
    tracemalloc.start()
    try:
        plugins(SEEDERS, "seeder")["k-means++"].choose(
            Seeding(source, LocalEngine(2), survey, 0, 0), 400
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < found.driver
    assert peak > 0.2 * found.driver


def test_k_means_parallel_counts_its_candidates() -> None:
    source = array_source(np.zeros((4000, 100), np.float32), None, None)
    section = ModelSection(name="kmeans", n_components=1000)
    plain = footprint(Recipe(section, FitSection()), source)
    many = footprint(Recipe(section, FitSection(init="k-means||")), source)
    assert many.sums > 2 * plain.sums
    assert many.computing(1) > plain.computing(1) + 12 * 4000
