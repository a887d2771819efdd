"""Laws of chunking: how the rows are cut, stored and weighed does not change the answer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from emdist.engines.threads import LocalEngine
from emdist.fit.start import Given
from emdist.interfaces import Array
from emdist.store.sources.arrays import array_source
from emdist.store.sources.zarr_source import reference, zarr_source
from tests.support.fitting import (
    ALL_FAMILIES,
    CENTRES,
    NOISY,
    VARIATIONAL,
    Fitting,
    Setting,
    agree,
    draw,
    fit_array,
    prepare,
    run,
    same_bits,
)

MODELS = [*CENTRES, *ALL_FAMILIES, NOISY]
ROWS, D, K = 1500, 4, 3
#: float32 tiles are cut where blocks are cut, and rounded there.
TOL = {"float64": 1e-10, "float32": 2e-4}


def setting_for(name: str, assignment: str = "soft") -> Setting:
    return Setting(name, K, assignment, fit={"max_iter": 8, "tol": 0.0})


def data_for(name: str, dtype: str = "float64") -> Array:
    return draw("diagonal" if name in CENTRES else name, ROWS, K, D)[0].astype(dtype)


def start_for(x: Array) -> Given:
    return Given(x[:K].astype(np.float64))


@pytest.mark.covering
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", MODELS)
def test_any_block_size_gives_the_same_parameters(
    name: str, assignment: str, dtype: str, weighted: bool
) -> None:
    x = data_for(name, dtype)
    weight = np.random.default_rng(0).exponential(size=ROWS) if weighted else None
    whole = fit_array(x, setting_for(name, assignment), start_for(x), weight)
    row = D * x.itemsize
    for rows in (37, 500, 1499):
        cut = fit_array(x, setting_for(name, assignment), start_for(x), weight, rows * row)
        assert len(cut.fit.source) == -(-ROWS // rows)
        agree(cut, whole, TOL[dtype])


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, ROWS), name=st.sampled_from(MODELS))
def test_any_block_size_at_all(rows: int, name: str) -> None:
    x = data_for(name)[:300]
    setting = Setting(name, K, fit={"max_iter": 3, "tol": 0.0})
    cut = fit_array(x, setting, start_for(x), block_bytes=rows * D * 8)
    agree(cut, fit_array(x, setting, start_for(x)), 1e-10)


CHUNKS = {
    "one": ((ROWS, D), None),
    "rows": ((100, D), None),
    "ragged": ((97, D), None),
    "columns": ((250, 1), None),
    "tiles": ((64, 3), None),
    "sharded": ((50, D), (200, D)),
    "sharded columns": ((50, 2), (300, D)),
    "whole in one shard": ((30, 1), (ROWS, D)),
}


def stored(folder: Path, x: Array, chunks: tuple[int, int], shards: tuple[int, int] | None) -> str:
    path = str(folder / "x.zarr")
    array = zarr.create_array(path, shape=x.shape, chunks=chunks, shards=shards, dtype=x.dtype)
    array[:] = x
    return path


def fit_stored(path: str, x: Array, name: str, block_bytes: int | None) -> Fitting:
    source = zarr_source(reference(path), block_bytes=block_bytes)
    return run(prepare(source, setting_for(name), start_for(x)))


#: A model sees blocks, and not what stores them: four in every run of the tests, all in the slow.
@pytest.mark.covering
@pytest.mark.parametrize(
    "models",
    [
        pytest.param(("kmeans", "full", "bernoulli", NOISY), id="four models"),
        pytest.param(MODELS, id="all models", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 20_000, None])
@pytest.mark.parametrize("layout", CHUNKS)
def test_any_layout_in_zarr_gives_the_same_parameters(
    layout: str, block_bytes: int | None, models: Sequence[str], tmp_path: Path
) -> None:
    for name in models:
        x = data_for(name)
        chunks, shards = CHUNKS[layout]
        path = stored(tmp_path / name, x, chunks, shards)
        agree(
            fit_stored(path, x, name, block_bytes),
            fit_array(x, setting_for(name), start_for(x)),
            1e-10,
        )


@pytest.mark.long
def test_equal_blocks_give_equal_bits_whatever_stores_them(tmp_path: Path) -> None:
    for name in MODELS:
        x = data_for(name)
        path = stored(tmp_path / name, x, (100, D), None)
        size = 300 * D * 8
        held = fit_array(x, setting_for(name), start_for(x), block_bytes=size)
        found = fit_stored(path, x, name, size)
        assert found.fit.source.bounds == held.fit.source.bounds
        same_bits(found, held)


@pytest.mark.parametrize("name", MODELS)
def test_any_number_of_threads_gives_the_same_bits(name: str) -> None:
    x = data_for(name)
    size = 60 * D * 8
    one = fit_array(x, setting_for(name), block_bytes=size)
    for threads in (2, 5):
        same_bits(
            fit_array(x, setting_for(name), block_bytes=size, engine=LocalEngine(threads)), one
        )


@pytest.mark.covering
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_rows_does_not_matter(name: str, assignment: str) -> None:
    x = data_for(name)
    weight = np.random.default_rng(0).exponential(size=ROWS)
    order = np.random.default_rng(1).permutation(ROWS)
    here = fit_array(x, setting_for(name, assignment), start_for(x), weight)
    there = fit_array(x[order], setting_for(name, assignment), start_for(x), weight[order])
    agree(there, here, 1e-10)


@pytest.mark.covering
@pytest.mark.parametrize("factor", [1e-30, 1 / 3, 1e20])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", [name for name in MODELS if name not in VARIATIONAL])
def test_weights_matter_only_relative_to_each_other(
    name: str, assignment: str, factor: float
) -> None:
    x = data_for(name)
    weight = np.random.default_rng(0).exponential(size=ROWS)
    one = fit_array(x, setting_for(name, assignment), start_for(x), weight)
    scaled = fit_array(x, setting_for(name, assignment), start_for(x), weight * factor)
    if name in CENTRES:
        assert scaled.objective == pytest.approx(one.objective * factor, rel=1e-10)
    else:
        assert scaled.objective == pytest.approx(one.objective, rel=1e-10)
    for what, value in one.arrays.items():
        np.testing.assert_allclose(scaled.arrays[what], value, rtol=1e-9, atol=1e-10, err_msg=what)


@pytest.mark.covering
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_rows_left_out_are_rows_that_are_not_there(name: str, weighted: bool) -> None:
    x, rng = data_for(name), np.random.default_rng(0)
    weight = rng.exponential(size=ROWS) if weighted else None
    bad = rng.random(ROWS) < 0.2
    bad[300:700] = True
    holes = x.copy()
    holes[bad, rng.integers(0, D, bad.sum())] = np.where(
        rng.random(bad.sum()) < 0.5, np.nan, np.inf
    )
    start = Given(x[~bad][:K])
    source = array_source(holes, weight, 100 * D * 8, non_finite="drop")
    dropped = run(prepare(source, setting_for(name), start))
    absent = fit_array(x[~bad], setting_for(name), start, None if weight is None else weight[~bad])
    agree(dropped, absent, 1e-10)
    assert dropped.fit.survey.masked == bad.sum()


@pytest.mark.parametrize("name", MODELS)
def test_equal_weights_are_no_weights(name: str) -> None:
    x = data_for(name)
    agree(
        fit_array(x, setting_for(name), start_for(x), np.ones(ROWS)),
        fit_array(x, setting_for(name), start_for(x)),
        1e-10,
    )
