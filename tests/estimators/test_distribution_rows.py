"""Methods of `distribution()` for stored, lazy and gridded rows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import emdist
from emdist import BernoulliMixture, GaussianMixture
from emdist.errors import ConfigError, DomainError, FeatureNamesError, NonFiniteError, ShapeError

DIMS = ("time", "lat", "lon")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: Any) -> str:
    """Three variables on (time, lat, lon), in chunks that make several blocks; some land."""
    rng = np.random.default_rng(3)
    land = rng.random((20, 30)) < 0.2
    found = {}
    for name, shift in (("a", 0.0), ("b", 5.0), ("c", -3.0)):
        values = rng.normal(size=(6, 20, 30)) + shift * (np.arange(6) > 2)[:, None, None]
        values[:, land] = np.nan
        found[name] = (DIMS, values)
    ds = xr.Dataset(found, coords={"time": np.arange(6.0), "lat": np.linspace(-60, 60, 20)})
    ds["land"] = DIMS[1:], land.astype("i1")
    path = str(tmp_path_factory.mktemp("grid") / "grid.zarr")
    chunks = {name: {"chunks": (2, 20, 30)} for name in found}
    ds.to_zarr(path, encoding=chunks, consolidated=False)
    return path


def layout(data: Any, *names: str) -> Any:
    return emdist.rows(data, list(names), where={"variable": "land", "equals": 0})


def matrix(path: str) -> tuple[Any, Any]:
    """Return all rows as a matrix, and which of them are sea."""
    ds = xr.open_zarr(path, consolidated=False)
    x = np.stack([ds[name].values.reshape(-1) for name in "abc"], 1)
    return x, np.isfinite(x).all(axis=1)


@pytest.mark.parametrize("form", ["path", "lazy", "memory"])
def test_rows_on_a_grid_give_dataarrays(grid: str, form: str) -> None:
    opened = {
        "path": grid,
        "lazy": xr.open_zarr(grid, consolidated=False),
        "memory": xr.open_zarr(grid, consolidated=False).load(),
    }
    rows = layout(opened[form], "a", "b", "c")
    x, sea = matrix(grid)
    gm = GaussianMixture(2, random_state=0, block_size="32 KiB").fit(rows)
    made = gm.distribution()
    for method, fill in (("log_density", np.nan), ("density", np.nan), ("labels", -1)):
        found = getattr(made, method)(rows)
        assert found.dims == DIMS
        assert found.lat.values[0] == -60
        flat = found.values.reshape(-1)
        assert np.array_equal(flat[sea], getattr(made, method)(x[sea]))
        assert np.array_equal(flat[~sea], np.full((~sea).sum(), fill), equal_nan=True)
    assert np.allclose(made.log_density(rows), gm.score_samples(rows), equal_nan=True)
    resp = made.responsibilities(rows)
    assert resp.dims == (*DIMS, "component")
    assert np.array_equal(resp.values.reshape(-1, 2)[sea], made.responsibilities(x[sea]))
    alone = made.marginal([0, 2])
    assert np.array_equal(
        alone.log_density(layout(opened[form], "a", "c")).values.reshape(-1)[sea],
        alone.log_density(x[sea][:, [0, 2]]),
    )
    expected = made.conditional_mean([0, 2], layout(opened[form], "a", "c"))
    assert expected.dims == (*DIMS, "feature")
    assert expected.feature.values.tolist() == ["b"]
    wanted = made.conditional_mean([0, 2], x[sea][:, [0, 2]])
    assert np.allclose(expected.values.reshape(-1, 1)[sea], wanted, rtol=1e-13)
    assert np.isnan(expected.values.reshape(-1)[~sea]).all()


def test_rows_of_other_features_are_refused(grid: str) -> None:
    made = GaussianMixture(2, random_state=0).fit(layout(grid, "a", "b", "c")).distribution()
    with pytest.raises(ShapeError, match=r"x has 2 feature\(s\), but the mixture has 3"):
        made.log_density(layout(grid, "a", "b"))
    with pytest.raises(FeatureNamesError, match="order"):
        made.log_density(layout(grid, "b", "a", "c"))
    with pytest.raises(NonFiniteError, match=r"feature 0 \(a\).*set non_finite to 'drop'"):
        made.log_density(emdist.rows(grid, ["a", "b", "c"]))


def test_stored_and_lazy_rows_are_read_block_by_block(tmp_path: Path) -> None:
    import dask.array as da
    import polars as pl

    x = np.random.default_rng(0).normal(size=(5000, 3))
    zarr.create_array(tmp_path / "x.zarr", data=x, chunks=(500, 3))
    gm = GaussianMixture(3, random_state=0).fit(x)
    made = pickle.loads(pickle.dumps(gm.distribution()))
    wanted = made.log_density(x)
    gm.save(tmp_path / "model")
    for form in (
        str(tmp_path / "x.zarr"),
        tmp_path / "x.zarr",
        zarr.open_array(tmp_path / "x.zarr", mode="r"),
        da.from_array(x, chunks=(700, 3)),
        pl.DataFrame(x).lazy(),
    ):
        assert np.array_equal(made.log_density(form), wanted)
        assert np.array_equal(emdist.load_distribution(tmp_path / "model").labels(form),
                              made.labels(x))  # fmt: skip
    assert np.array_equal(
        made.conditional([1], [0.3]).density(da.from_array(x[:, [0, 2]], chunks=(900, 2))),
        made.conditional([1], [0.3]).density(x[:, [0, 2]]),
    )


def test_a_dataarray_in_memory_keeps_its_coordinate() -> None:
    x = xr.DataArray(
        np.random.default_rng(0).normal(size=(50, 2)),
        dims=("station", "value"),
        coords={"station": np.arange(50) + 100},
    )
    made = GaussianMixture(2, random_state=0).fit(x).distribution()
    found = made.log_density(x)
    assert found.dims == ("station",)
    assert found.station.values[0] == 100
    assert np.array_equal(found, made.log_density(x.values))


def test_stored_rows_outside_the_domain_are_refused(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, size=(300, 4)).astype("f4")
    made = BernoulliMixture(2, random_state=0).fit(bits).distribution()
    bits[70, 1] = 0.5
    zarr.create_array(tmp_path / "x.zarr", data=bits, chunks=(50, 4))
    with pytest.raises(DomainError, match="feature 1 ranges from"):
        made.density(tmp_path / "x.zarr")


def test_models_of_sweeps_and_streams_are_saved_with_their_layout(
    grid: str, tmp_path: Path
) -> None:
    rows = emdist.rows(grid, ["a", "b"], where={"variable": "land", "equals": 0})
    sweep = emdist.Sweep(GaussianMixture(random_state=0), {"n_components": [1, 2]}).fit(rows)
    sweep.best_estimator_.save(tmp_path / "swept")
    streamed = GaussianMixture(2, random_state=0).partial_fit(rows)
    streamed.save(tmp_path / "streamed")
    for name in ("swept", "streamed"):
        stored = emdist.load(tmp_path / name)
        assert stored._layout == rows.layout
    streamed.partial_fit(np.random.default_rng(0).normal(size=(50, 2))).save(tmp_path / "later")
    assert emdist.load(tmp_path / "later")._layout.trivial


def test_features_may_be_given_by_name() -> None:
    x = np.random.default_rng(0).normal(size=(200, 3)) + np.repeat([[0], [5]], 100, 0)
    frame = pd.DataFrame(x, columns=["temp", "salt", "depth"])
    both = GaussianMixture(2, random_state=0).fit(frame).distribution()
    for named, index in ((["depth", "temp"], [2, 0]), ("salt", 1), (["salt", 2], [1, 2])):
        found, wanted = both.marginal(named), both.marginal(index)
        assert found.feature_names == wanted.feature_names
        np.testing.assert_array_equal(found.component_means(), wanted.component_means())
    assert both.marginal(np.array(["depth"])).feature_names == ("depth",)
    found, wanted = both.conditional("salt", 1.0), both.conditional(1, 1.0)
    assert found.feature_names == ("temp", "depth")
    np.testing.assert_array_equal(found.mean(), wanted.mean())
    row = frame[["salt"]]
    np.testing.assert_array_equal(both.conditional_mean("salt", row), both.conditional_mean(1, row))
    with pytest.raises(ConfigError, match=r"no feature 'slat' \(did you mean 'salt'\?\)"):
        both.marginal("slat")
    with pytest.raises(ConfigError, match="names a feature twice"):
        both.marginal(["salt", 1])
    plain = GaussianMixture(2, random_state=0).fit(x).distribution()
    with pytest.raises(ConfigError, match="'salt', but the features of the mixture have no names"):
        plain.conditional("salt", 1.0)
