"""Profiles of clusters against NumPy and scipy, for data anywhere and any engine."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.datasets import load_iris

import emdist
from emdist.errors import ConfigError, DataError
from emdist.store.sources.zarr_source import ZarrSource

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


def iris() -> pd.DataFrame:
    return pd.DataFrame(load_iris().data, columns=NAMES)


def stored(path: Path, values: NDArray[Any], rows: int) -> str:
    chunks = (rows, *values.shape[1:])
    zarr.create_array(str(path), shape=values.shape, dtype=values.dtype, chunks=chunks)[:] = values
    return str(path)


def kuiper(a: NDArray[Any], b: NDArray[Any]) -> float:
    at = np.unique(np.concatenate([a, b]))
    away = np.searchsorted(np.sort(a), at, "right") / len(a)
    away = away - np.searchsorted(np.sort(b), at, "right") / len(b)
    return float(away.max(initial=0.0) - away.min(initial=0.0))


@pytest.mark.parametrize("prepare", [None, ["standardise", {"pca": {"components": 2}}]])
def test_figures_are_those_of_numpy_in_the_units_of_the_data(prepare: Any) -> None:
    X = iris()
    model = emdist.GaussianMixture(3, random_state=0, prepare=prepare).fit(X)
    labels, resp = model.predict(X), model.predict_proba(X)
    found = model.profile(X)
    frame = found.to_frame().set_index(["cluster", "feature"])
    for c in range(3):
        own = X[labels == c]
        for name in NAMES:
            line = frame.loc[(c, name)]
            assert line["mean"] == pytest.approx(own[name].mean(), rel=1e-12)
            assert line["std"] == pytest.approx(own[name].std(ddof=0), rel=1e-12)
            assert (line["min"], line["max"]) == (own[name].min(), own[name].max())
            sorted_out = np.quantile(own[name], LEVELS, method="inverted_cdf")
            told = line[["q05", "q25", "q50", "q75", "q95"]].to_numpy(float)
            np.testing.assert_array_equal(told, sorted_out)
            rest = X.loc[labels != c, name]
            away = (own[name].mean() - rest.mean()) / X[name].std(ddof=0)
            assert line["difference"] == pytest.approx(away, rel=1e-10)
            assert line["separation"] == pytest.approx(kuiper(own[name], rest), abs=1e-12)
    clusters = found.to_frame("clusters").set_index("cluster")
    for c in range(3):
        own = resp[labels == c]
        assert clusters.loc[c, "rows"] == (labels == c).sum()
        assert clusters.loc[c, "expected_share"] == pytest.approx(resp[:, c].mean())
        assert clusters.loc[c, "certainty"] == pytest.approx(own[:, c].mean())
        assert clusters.loc[c, "entropy"] == pytest.approx(entropy(own, axis=1).mean(), abs=1e-12)


def test_representatives_are_the_most_typical_and_the_least_certain_rows() -> None:
    X = iris()
    model = emdist.GaussianMixture(3, random_state=0).fit(X)
    labels, resp = model.predict(X), model.predict_proba(X)
    density = model.score_samples(X) + np.log(resp.max(axis=1))
    found = model.profile(X, n_representatives=4).to_frame("representatives")
    for c in range(3):
        rows = np.flatnonzero(labels == c)
        own = found[found["cluster"] == c]
        near = rows[np.argsort(-density[rows], kind="stable")[:4]]
        doubtful = rows[np.argsort(resp.max(axis=1)[rows], kind="stable")[:4]]
        np.testing.assert_array_equal(own[own["which"] == "nearest"]["row"], near)
        np.testing.assert_array_equal(own[own["which"] == "least certain"]["row"], doubtful)
        np.testing.assert_array_equal(own[NAMES].to_numpy()[:4], X.to_numpy()[near])


def test_ties_go_to_the_first_row_in_whatever_blocks(tmp_path: Path) -> None:
    X = np.repeat([[1.0, 1.0], [9.0, 9.0]], 500, axis=0)
    X[700:720] = 8.0
    path = stored(tmp_path / "x.zarr", X, 100)
    model = emdist.KMeans(2, random_state=0, block_size="2 kB").fit(path)
    found = model.profile(path).to_frame("representatives")
    first = int(model.predict(X)[0])
    rows = {
        which: part["row"].tolist()
        for which, part in found[found["cluster"] == 1 - first].groupby("which")
    }
    assert rows == {"nearest": [500, 501, 502], "farthest": [700, 701, 702]}


def test_quantiles_keep_their_stated_error_and_engines_their_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.lognormal(size=(6000, 3)), rng.normal(40, 1, (4000, 3))])
    path = stored(tmp_path / "x.zarr", X, 1000)
    weight = rng.integers(0, 3, len(X)).astype(float)
    weights = stored(tmp_path / "w.zarr", weight, 1000)
    model = emdist.KMeans(2, random_state=0, block_size="24 kB").fit(path)
    found = model.profile(path, weights).to_frame().set_index(["cluster", "feature"])
    labels = model.predict(X)
    for (c, name), line in found.iterrows():
        own = labels == c
        values, w = X[own, int(name[1:])], weight[own]
        assert line["mean"] == pytest.approx(np.average(values, weights=w), rel=1e-12)
        exact = np.quantile(values, LEVELS, weights=w, method="inverted_cdf")
        told = line[["q05", "q25", "q50", "q75", "q95"]].to_numpy(float)
        assert (np.abs(told - exact) <= line["quantile_error"] * (1 + 1e-12)).all()
        assert line["quantile_error"] < 0.05 * (line["max"] - line["min"])


def test_blocks_of_an_unseen_range_and_a_cluster_without_rows() -> None:
    X = np.concatenate([np.zeros((50, 1)), np.ones((50, 1))])
    model = emdist.KMeans(2, random_state=0).fit(X)
    found = model.profile(np.full((30, 1), 700.0)).to_frame().set_index("cluster")
    far, none = int(model.predict([[700.0]])[0]), int(model.predict([[-700.0]])[0])
    assert (found.loc[far, "q50"], found.loc[far, "quantile_error"]) == (700.0, 0.0)
    assert np.isnan(found.loc[none, "mean"])
    assert np.isnan(found.loc[none, "q50"])


def test_bits_counts_and_categories_have_the_shares_of_their_values() -> None:
    rng = np.random.default_rng(1)
    codes = np.concatenate([rng.integers(0, 3, (200, 2)), rng.integers(2, 5, (200, 2))])
    model = emdist.CategoricalMixture(2, n_categories=5, random_state=0).fit(codes)
    labels = model.predict(codes)
    found = model.profile(codes).to_frame("values")
    for (c, name, value), part in found.groupby(["cluster", "feature", "value"]):
        own = codes[labels == c, int(name[1:])]
        assert part["share"].tolist() == [pytest.approx((own == value).mean())]
    assert sorted(set(found["value"])) == [0, 1, 2, 3, 4]


def test_missing_values_are_counted_and_noise_is_a_cluster_of_its_own() -> None:
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.normal(0, 1, (300, 2)), rng.normal(9, 1, (300, 2))])
    X[::7, 0] = np.nan
    model = emdist.GaussianMixture(2, random_state=0, non_finite="missing").fit(X)
    labels = model.predict(X)
    found = model.profile(X).to_frame().set_index(["cluster", "feature"])
    for c in range(2):
        own = X[labels == c]
        assert found.loc[(c, "x0"), "missing"] == pytest.approx(np.isnan(own[:, 0]).mean())
        assert found.loc[(c, "x0"), "mean"] == pytest.approx(np.nanmean(own[:, 0]))
        median = np.nanquantile(own[:, 0], 0.5, method="inverted_cdf")
        line = found.loc[(c, "x0")]
        assert abs(line["q50"] - median) <= line["quantile_error"] < 0.1
    X = np.concatenate([rng.normal(0, 1, (500, 2)), rng.uniform(-50, 50, (40, 2))])
    noisy = emdist.GaussianMixture(1, noise=0.05, random_state=0).fit(X)
    clusters = noisy.profile(X).to_frame("clusters")
    assert clusters["cluster"].tolist() == [0, -1]
    labels = noisy.predict(X)
    assert clusters["rows"].tolist() == [(labels == 0).sum(), (labels == -1).sum()]


def test_many_features_go_without_quantiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emdist.quality.profiles.step._BYTES", 1000)
    X = iris()
    found = emdist.KMeans(3, random_state=0).fit(X).profile(X)
    assert found.figures.quantiles is None
    assert "q50" not in found.to_frame()
    assert "mean" in found.page().to_markdown()


def test_parquet_and_markdown_hold_the_tables(tmp_path: Path) -> None:
    X = iris()
    found = emdist.KMeans(3, random_state=0).fit(X).profile(X)
    found.to_parquet(tmp_path / "features.parquet")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "features.parquet"), found.to_frame(), check_dtype=False
    )
    told = found.to_markdown()
    assert "## Cluster 0" in told
    assert "| petal length | " in told
    assert "Quantiles are exact." in told
    with pytest.raises(ConfigError, match="'features', 'clusters'"):
        found.to_frame("rows")  # type: ignore[arg-type]


def test_rows_of_other_features_are_refused() -> None:
    X = iris()
    model = emdist.KMeans(3, random_state=0).fit(X)
    with warnings.catch_warnings(), pytest.raises(DataError, match="feature"):
        model.profile(X[NAMES[::-1]])


def _mixed(rng: np.random.Generator) -> NDArray[np.float64]:
    near = np.column_stack([rng.normal(0, 1, 300), rng.poisson(2, 300), rng.random(300) < 0.1])
    far = np.column_stack([rng.normal(8, 1, 300), rng.poisson(9, 300), rng.random(300) < 0.9])
    return np.concatenate([near, far]).astype(np.float64)


GROUPS = [
    {"columns": "0:1", "family": "diagonal"},
    {"columns": "1:2", "family": "poisson"},
    {"columns": "2:3", "family": "bernoulli"},
]


@pytest.mark.parametrize(
    "model",
    [
        emdist.GaussianMixture(2, covariance_type="tied", random_state=0),
        emdist.GaussianMixture(2, covariance_type="spherical", random_state=0),
        emdist.BayesianGaussianMixture(n_components=2, random_state=0),
        emdist.IsotropicMixture(2, random_state=0),
        emdist.ProductMixture(2, groups=GROUPS, random_state=0),
        emdist.KMedians(2, random_state=0),
        emdist.KCentroids(2, random_state=0),
        emdist.GaussianHMM(2, random_state=0),
    ],
    ids=lambda one: type(one).__name__,
)
def test_every_estimator_says_what_its_clusters_are(model: Any) -> None:
    X = _mixed(np.random.default_rng(3))
    labels = model.fit(X).predict(X)
    found = model.profile(X)
    own = [X[labels == c] for c in range(2)]
    means = found.to_frame()["mean"].to_numpy().reshape(2, 3)
    np.testing.assert_allclose(means, [one.mean(axis=0) for one in own], rtol=1e-12)
    assert found.to_frame("clusters")["rows"].tolist() == [len(one) for one in own]


@pytest.mark.parametrize("kind", ["bits", "counts"])
def test_discrete_families_have_profiles(kind: str) -> None:
    rng = np.random.default_rng(4)
    rates = np.repeat([[0.1], [0.9]], 200, axis=0)
    X = (rng.random((400, 4)) < rates).astype(np.uint8)
    models: list[Any] = [emdist.BernoulliMixture(2, random_state=0)]
    if kind == "counts":
        X = rng.binomial(10, rates, (400, 4)).astype(np.uint8)
        models = [
            emdist.PoissonMixture(2, random_state=0),
            emdist.MultinomialMixture(2, random_state=0),
            emdist.BinomialMixture(2, n_trials=10, random_state=0),
        ]
    for model in models:
        labels = model.fit(X).predict(X)
        found = model.profile(X).to_frame("values").set_index(["cluster", "feature", "value"])
        for c in set(labels.tolist()):
            share = found["share"].loc[(c, "x0", 1)]
            assert share == pytest.approx((X[labels == c, 0] == 1).mean())


def test_sequences_that_blocks_cut_have_the_profile_of_one_block(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    states = np.cumsum(rng.random(1000) < 0.05) % 2
    X = rng.normal(1.5 * states[:, None], 1.0, (1000, 2))
    path = stored(tmp_path / "x.zarr", X, 100)
    model = emdist.GaussianHMM(2, random_state=0, block_size="1600 B").fit(path, [700, 300])
    cut = model.profile(path, [700, 300]).to_frame("clusters")
    whole = model.profile(X, [700, 300]).to_frame("clusters")
    pd.testing.assert_frame_equal(cut, whole, rtol=1e-10)
    resp = model.predict_proba(X, [700, 300])
    np.testing.assert_allclose(cut["expected_share"], resp.mean(axis=0))


def test_one_read_of_each_block_suffices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path / "x.zarr", np.random.default_rng(6).normal(size=(1000, 2)), 100)
    model = emdist.GaussianMixture(2, random_state=0, block_size="1600 B").fit(path)
    read: list[int] = []
    plain = ZarrSource.read
    monkeypatch.setattr(ZarrSource, "read", lambda self, i: read.append(i) or plain(self, i))
    model.profile(path)
    assert sorted(read) == list(range(10))


def test_features_of_a_grid_keep_their_names() -> None:
    xarray = pytest.importorskip("xarray")
    values = np.random.default_rng(7).normal(size=(30, 4))
    data = xarray.Dataset({"T": (("time", "depth"), values)}, {"depth": [0.0, 5.0, 10.0, 20.0]})
    rows = emdist.rows(data, ["T"], features=["depth"])
    model = emdist.KMeans(2, random_state=0).fit(rows)
    assert model.profile(rows).names == tuple(model.feature_names_in_)


def test_a_profile_shows_itself_as_tables() -> None:
    found = emdist.KMeans(3, random_state=0).fit(iris()).profile(iris())
    assert repr(found) == found.page().to_markdown().rstrip("\n")
    assert "petal length" in repr(found)
    assert found._repr_markdown_() == found.to_markdown()
