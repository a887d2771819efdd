"""`emdist.metrics`: the figures of scikit-learn, for rows and labels wherever they are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as theirs
import xarray as xr
import zarr
from distributed import Client, LocalCluster
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

import emdist
from emdist import metrics
from emdist.errors import ConfigError, DataError, DtypeError, NonFiniteError, ShapeError

SETS = [load_iris, load_wine, load_digits, load_breast_cancer]
AGREEMENT = [
    "rand_score",
    "adjusted_rand_score",
    "mutual_info_score",
    "normalized_mutual_info_score",
    "adjusted_mutual_info_score",
    "v_measure_score",
    "homogeneity_score",
    "completeness_score",
    "fowlkes_mallows_score",
]


def labelled(load: Any, k: int = 5) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    X, y = load(return_X_y=True)
    return X, y, emdist.KMeans(k, random_state=0).fit_predict(X)


def _stored(path: str, values: NDArray[Any], rows: int) -> None:
    chunks = (rows, *values.shape[1:])
    zarr.create_array(path, shape=values.shape, dtype=values.dtype, chunks=chunks)[:] = values


@pytest.mark.parametrize("load", SETS)
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine"])
def test_silhouettes_are_those_of_sklearn(load: Any, metric: Any) -> None:
    X, _, labels = labelled(load)
    wanted = theirs.silhouette_samples(X, labels, metric=metric)
    np.testing.assert_allclose(
        metrics.silhouette_samples(X, labels, metric=metric), wanted, rtol=0, atol=1e-10
    )
    assert metrics.silhouette_score(X, labels, metric=metric) == pytest.approx(
        wanted.mean(), abs=1e-10
    )


@pytest.mark.parametrize("load", SETS)
def test_indices_are_those_of_sklearn(load: Any) -> None:
    X, _, labels = labelled(load)
    for name in ("davies_bouldin_score", "calinski_harabasz_score"):
        assert getattr(metrics, name)(X, labels) == pytest.approx(
            getattr(theirs, name)(X, labels), rel=1e-10
        )


@pytest.mark.parametrize("load", SETS)
@pytest.mark.parametrize("name", AGREEMENT)
def test_agreement_is_that_of_sklearn(load: Any, name: str) -> None:
    _, y, labels = labelled(load)
    for a, b in ((y, labels), (y, y), (np.zeros_like(y), labels), (y, np.arange(len(y)))):
        assert getattr(metrics, name)(a, b) == pytest.approx(getattr(theirs, name)(a, b), abs=1e-10)


@pytest.mark.parametrize("average", ["min", "geometric", "arithmetic", "max"])
def test_averages_of_entropies_are_those_of_sklearn(average: Any) -> None:
    _, y, labels = labelled(load_wine)
    for name in ("normalized_mutual_info_score", "adjusted_mutual_info_score"):
        assert getattr(metrics, name)(y, labels, average_method=average) == pytest.approx(
            getattr(theirs, name)(y, labels, average_method=average), abs=1e-10
        )
    with pytest.raises(ConfigError, match="average_method"):
        metrics.adjusted_mutual_info_score(y, labels, average_method="mean")  # type: ignore[arg-type]


def test_expected_information_of_many_rows_keeps_its_digits() -> None:
    """Beyond the table of factorials, Stirling's series and the window of terms are as exact."""
    rng = np.random.default_rng(3)
    a = rng.integers(0, 30, 300_000)
    b = np.where(rng.random(len(a)) < 0.02, a, rng.integers(0, 25, len(a)))
    assert metrics.adjusted_mutual_info_score(a, b) == pytest.approx(
        theirs.adjusted_mutual_info_score(a, b), abs=1e-9
    )


def test_beta_weighs_completeness() -> None:
    _, y, labels = labelled(load_iris)
    assert metrics.v_measure_score(y, labels, beta=0.3) == pytest.approx(
        theirs.v_measure_score(y, labels, beta=0.3), abs=1e-12
    )


def test_contingency_counts_texts_and_numbers_far_apart() -> None:
    y = np.array(["b", "a", "b", "c", "c"])
    other = np.array([-5, 10**15, -5, 10**15, 3])
    np.testing.assert_array_equal(
        metrics.contingency_matrix(y, other), theirs.cluster.contingency_matrix(y, other)
    )
    assert metrics.adjusted_rand_score(y, other) == theirs.adjusted_rand_score(y, other)


def test_many_labels_need_no_dense_table() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 40_000, (2, 50_000))
    assert metrics.adjusted_rand_score(a, b) == pytest.approx(
        theirs.adjusted_rand_score(a, b), abs=1e-12
    )


def test_blocks_and_workers_change_nothing_but_rounding(tmp_path: Path) -> None:
    X, y, labels = labelled(load_digits)
    path, where = str(tmp_path / "x.zarr"), str(tmp_path / "l.zarr")
    _stored(path, X.astype("f4"), 100)
    _stored(where, labels, 170)
    _stored(str(tmp_path / "y.zarr"), y.astype("i2"), 333)
    small = {"block_size": "30 KiB"}
    score = metrics.silhouette_score(path, where, metric="sqeuclidean", **small)  # type: ignore[arg-type]
    assert score == pytest.approx(
        theirs.silhouette_score(X, labels, metric="sqeuclidean"), abs=1e-10
    )
    assert metrics.silhouette_score(path, where, **small) == pytest.approx(  # type: ignore[arg-type]
        theirs.silhouette_score(X, labels), abs=1e-10
    )
    index = metrics.davies_bouldin_score(path, where, **small)
    assert index == pytest.approx(theirs.davies_bouldin_score(X, labels), rel=1e-10)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        assert (
            metrics.silhouette_score(path, where, metric="sqeuclidean", engine=client, **small)  # type: ignore[arg-type]
            == score
        )
        assert metrics.davies_bouldin_score(path, where, engine=client, **small) == index
        assert metrics.adjusted_rand_score(
            zarr.open_array(str(tmp_path / "y.zarr")), where, engine=client
        ) == pytest.approx(theirs.adjusted_rand_score(y, labels), abs=1e-12)


def test_a_sample_estimates_the_mean_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _, labels = labelled(load_digits)
    exact = theirs.silhouette_score(X, labels)
    monkeypatch.setattr("emdist.quality.silhouettes._WORK", 1.0)
    monkeypatch.setattr("emdist.quality.silhouettes._FEWEST", 400)
    with pytest.warns(
        UserWarning, match=r"compared 400 of 1,797 .* standard error of (0\.\d+)"
    ) as told:
        found = metrics.silhouette_score(X, labels)
    error = float(str(told[0].message).partition("standard error of ")[2].split()[0].rstrip("."))
    assert found != exact
    assert abs(found - exact) < 4 * error
    assert 0 < error < 0.02
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # A size that was asked for needs no warning.
        several = [
            metrics.silhouette_score(X, labels, sample_size=300, random_state=seed)
            for seed in range(30)
        ]
        assert metrics.silhouette_score(X, labels, sample_size=300, random_state=0) == several[0]
    spread = np.std(several, ddof=1)
    assert abs(np.mean(several) - exact) < 4 * spread / np.sqrt(30)
    assert len(set(several)) == 30


def test_narrow_clusters_far_from_zero_keep_their_digits() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 600)
    near = rng.normal(size=(600, 2)) + 4 * labels[:, None]
    far = 1e7 + 2.0**-10 * near
    wanted = theirs.silhouette_samples((far - 1e7) * 2.0**10, labels, metric="sqeuclidean")
    found = metrics.silhouette_samples(far, labels, metric="sqeuclidean")
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine"])
def test_rows_left_out_and_rows_without_a_label_keep_their_place(metric: Any) -> None:
    X, _, labels = labelled(load_iris)
    X = X.copy()
    X[[3, 70, 149], [0, 1, 3]] = [np.nan, np.inf, np.nan]
    unlabelled = xr.DataArray(
        np.where(np.arange(150) % 9 == 4, -1, labels), attrs={"_FillValue": -1}
    )
    kept = np.isfinite(X).all(axis=1) & (np.arange(150) % 9 != 4)
    wanted = theirs.silhouette_samples(X[kept], labels[kept], metric=metric)
    given: Any = {"metric": metric, "non_finite": "drop", "block_size": "1 KiB"}
    found = metrics.silhouette_samples(X, unlabelled, **given)
    assert np.array_equal(np.isfinite(found), kept)
    np.testing.assert_allclose(found[kept], wanted, rtol=0, atol=1e-12)
    score = metrics.silhouette_score(X, unlabelled, **given)
    assert score == pytest.approx(wanted.mean(), abs=1e-12)


def test_indices_of_rows_that_are_left_out_are_those_of_the_others() -> None:
    X, _, labels = labelled(load_iris)
    X = X.copy()
    X[::10, 1] = np.nan
    kept = np.isfinite(X).all(axis=1)
    for name in ("davies_bouldin_score", "calinski_harabasz_score"):
        found = getattr(metrics, name)(X, labels, non_finite="drop")
        assert found == pytest.approx(getattr(theirs, name)(X[kept], labels[kept]), rel=1e-12)
    with pytest.raises(NonFiniteError, match="set non_finite to 'drop'"):
        metrics.evaluate(X, labels)
    with pytest.raises(ConfigError, match="distances need complete rows"):
        metrics.evaluate(X, labels, non_finite="missing")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="nonfinite"):
        metrics.evaluate(X, labels, nonfinite="drop")  # type: ignore[call-arg]


def test_clusters_of_one_row_and_equal_rows() -> None:
    X = np.array([[0.0], [0.0], [0.0], [5.0], [7.0]])
    labels = [0, 0, 1, 1, 2]
    for metric in ("euclidean", "sqeuclidean"):
        np.testing.assert_allclose(
            metrics.silhouette_samples(X, labels, metric=metric),  # type: ignore[arg-type]
            theirs.silhouette_samples(X, labels, metric=metric),
            atol=1e-15,
        )
    same = np.ones((4, 2))
    assert metrics.calinski_harabasz_score(same, [0, 0, 1, 1]) == 1.0
    assert metrics.davies_bouldin_score(same, [0, 0, 1, 1]) == 0.0
    assert metrics.silhouette_score(same, [0, 0, 1, 1]) == 0.0


def test_small_units_are_no_zero() -> None:
    """scikit-learn returns 0 for clusters whose rows lie within 1e-8 of their means."""
    X, _, labels = labelled(load_iris)
    assert metrics.davies_bouldin_score(X * 1e-9, labels) == pytest.approx(
        theirs.davies_bouldin_score(X, labels), rel=1e-9
    )


@pytest.mark.parametrize(
    ("labels", "error", "told"),
    [
        ([0] * 150, ShapeError, "1 different value for 150 rows"),
        (list(range(150)), ShapeError, "150 different values"),
        ([0, 1, 2], ShapeError, r"shape \(3,\), expected \(150,\)"),
        ([0.5] * 150, DtypeError, "not whole"),
        ([float("nan")] * 150, DtypeError, "not whole, or NaN"),
        ([None] * 150, DtypeError, "missing values"),
        (["a", 1, None] * 50, DtypeError, "mixes|missing"),
        (np.ma.masked_equal([0, 1, 2] * 50, 1), DtypeError, "masked"),
        (1, ShapeError, "one label for each row"),
        ([], ShapeError, "one label for each row"),
        (np.array([1 + 1j] * 150), DtypeError, "complex"),
    ],
)
def test_wrong_labels_are_refused(labels: Any, error: type[DataError], told: str) -> None:
    X, _ = load_iris(return_X_y=True)
    with pytest.raises(error, match=told):
        metrics.silhouette_score(X, labels, metric="sqeuclidean")


def test_wrong_rows_and_parameters_are_refused(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    bad = X.copy()
    bad[17, 2] = np.nan
    with pytest.raises(NonFiniteError, match="row 17") as told:
        metrics.evaluate(bad, y)
    assert "missing" not in str(told.value)  # There is no such parameter here.
    with pytest.raises(DataError, match="zeros only"):
        metrics.silhouette_score(X * (y != 1)[:, None], y, metric="cosine")
    with pytest.raises(ConfigError, match="metric='manhattan'"):
        metrics.silhouette_score(X, y, metric="manhattan")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sample_size"):
        metrics.silhouette_score(X, y, sample_size=0)
    with pytest.raises(ConfigError, match="takes no sample"):
        metrics.silhouette_score(X, y, metric="sqeuclidean", sample_size=10)
    with pytest.raises(ConfigError, match="random_state"):
        metrics.silhouette_score(X, y, random_state=-1)
    with pytest.raises(ShapeError, match="same rows"):
        metrics.adjusted_rand_score(y, y[:10])
    zarr.save_array(str(tmp_path / "x.zarr"), X)
    with pytest.raises(DtypeError, match="float64; expected labels"):
        metrics.adjusted_rand_score(y, str(tmp_path / "x.zarr"))
    with pytest.raises(DataError, match="nothing"):
        metrics.adjusted_rand_score(y, str(tmp_path / "none"))


def grid() -> xr.Dataset:
    rng = np.random.default_rng(2)
    warm = np.where(np.arange(8) < 4, 20.0, 5.0)[None, :, None]
    temp = warm + rng.normal(size=(5, 8, 9))
    temp[:, 3, 2] = np.nan
    return xr.Dataset(
        {"t": (("time", "lat", "lon"), temp), "s": (("time", "lat", "lon"), temp[::-1] / 7)}
    )


def test_labels_on_a_grid_lie_beside_its_rows(tmp_path: Path) -> None:
    path = str(tmp_path / "grid.zarr")
    sizes = {"t": {"chunks": (2, 3, 4)}, "s": {"chunks": (5, 8, 2)}}
    grid().to_zarr(path, encoding=sizes, consolidated=False)
    rows = emdist.rows(path, ["t", "s"])
    model = emdist.KMeans(3, random_state=0, non_finite="drop").fit(rows)
    model.label(rows, str(tmp_path / "labels.zarr"))
    held = model.predict(rows)
    table = np.stack([grid()["t"].values.reshape(-1), grid()["s"].values.reshape(-1)], axis=1)
    kept = np.isfinite(table).all(axis=1)
    labels = held.values.reshape(-1)
    assert not kept.all()
    wanted = theirs.silhouette_score(table[kept], labels[kept], metric="sqeuclidean")
    with pytest.raises(NonFiniteError):
        metrics.evaluate(rows, str(tmp_path / "labels.zarr"))
    whole = emdist.rows(grid().fillna(3.0), ["t", "s"])
    for given in (str(tmp_path / "labels.zarr"), held):
        found = metrics.evaluate(whole, given)
        assert found.n_left_out == int((~kept).sum())
        assert found.silhouette == pytest.approx(wanted, abs=1e-10)
    assert metrics.adjusted_rand_score(labels[kept], labels[kept]) == 1.0
    with pytest.warns(UserWarning, match=f"{int((~kept).sum())} rows"):
        assert metrics.adjusted_rand_score(held, str(tmp_path / "labels.zarr")) == 1.0


def test_noise_is_no_cluster(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    X = np.concatenate(
        [rng.normal(size=(300, 2)) + c for c in (0, 9)] + [rng.uniform(-20, 30, (40, 2))]
    )
    model = emdist.GaussianMixture(2, noise=True, random_state=0).fit(X)
    model.label(X, str(tmp_path / "labels.zarr"))
    labels = model.predict(X)
    assert (labels == -1).sum() > 5
    found = metrics.evaluate(X, str(tmp_path / "labels.zarr"))
    assert found.labels.tolist() == [0, 1]
    assert found.n_left_out == (labels == -1).sum()
    own = labels >= 0
    assert found.silhouette == pytest.approx(
        theirs.silhouette_score(X[own], labels[own], metric="sqeuclidean"), abs=1e-10
    )


def test_sweeps_choose_by_silhouettes() -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(200, 3)) + 12 * c for c in np.eye(3)])
    with pytest.warns(UserWarning, match="Silhouettes"):
        sweep = emdist.Sweep(
            emdist.GaussianMixture(random_state=0),
            {"n_components": [1, 2, 3, 4]},
            criterion="silhouette",
        ).fit(X)
    assert sweep.best_params_ == {"n_components": 3}
    values = sweep.results_["silhouette"]
    assert np.isnan(values[0])
    for model, value, index in zip(
        sweep.estimators_[1:], values[1:], sweep.results_["davies_bouldin"][1:], strict=True
    ):
        labels = model.predict(X)
        assert value == pytest.approx(
            theirs.silhouette_score(X, labels, metric="sqeuclidean"), abs=1e-10
        )
        assert index == pytest.approx(theirs.davies_bouldin_score(X, labels), rel=1e-10)


@pytest.mark.parametrize("scale", [1e155, 1e200, 1e-200])
@pytest.mark.parametrize(
    "name", ["silhouette_score", "davies_bouldin_score", "calinski_harabasz_score"]
)
def test_squared_distances_that_float64_cannot_hold_are_refused(name: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    with pytest.raises(DataError, match=r"squared distances .* Scale the features"):
        getattr(metrics, name)(x * scale, labels)
    assert metrics.silhouette_score(x * scale, labels, metric="cosine") == pytest.approx(
        metrics.silhouette_score(x, labels, metric="cosine"), abs=1e-12
    )
