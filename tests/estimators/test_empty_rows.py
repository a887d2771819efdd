"""Rows without any observed value: left out of fit, scores, counts and labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from sklearn.exceptions import ConvergenceWarning

from emdist import (
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    IsotropicMixture,
    KCentroids,
    KMeans,
    PoissonMixture,
    ProductMixture,
    Sweep,
)
from emdist.errors import ConfigError, ShapeError
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.settings.config import DataSection, make_config
from emdist.store.places.location import Location

NAN = np.nan
MIXED = [
    {"columns": [0], "family": "bernoulli"},
    {"columns": [1, 2], "family": "poisson"},
]


def counts(d: int = 4) -> Any:
    """(120, d) counts with holes, in no row all of it."""
    rng = np.random.default_rng(0)
    rates = np.where(np.arange(120)[:, None] % 2, 0.4, 3.0)
    x = rng.poisson(rates, (120, d)).astype(np.float64)
    x[rng.random((120, d)) < 0.15] = NAN
    x[np.isnan(x).all(axis=1), 0] = 1.0
    return x


def bits(d: int = 4) -> Any:
    return np.minimum(counts(d), 1.0)


def made(cls: Any, **options: Any) -> Callable[[], Any]:
    return lambda: cls(2, non_finite="missing", random_state=0, **options)


START = {"weights_init": [0.5, 0.5]}
MEANS = {"means_init": [[1.0] * 4, [3.0] * 4]}
PROBABLE = {"probabilities_init": [[0.4] * 4, [0.7] * 4], **START}

#: Estimators that start from what is given, so that no draw depends on the number of a row.
CASES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    **{
        kind: (made(GaussianMixture, covariance_type=kind, **START, **MEANS), counts)
        for kind in ("full", "tied", "diag", "spherical")
    },
    "isotropic": (made(IsotropicMixture, **START, **MEANS), counts),
    "kmeans": (made(KMeans, init=MEANS["means_init"]), counts),
    "kcentroids": (made(KCentroids, init=MEANS["means_init"]), counts),
    "bernoulli": (made(BernoulliMixture, **PROBABLE), bits),
    "binomial": (made(BinomialMixture, n_trials=20, **PROBABLE), counts),
    "poisson": (
        made(PoissonMixture, rates_init=[[0.5] * 4, [3.0] * 4], weights_init=[0.5, 0.5]),
        counts,
    ),
    "categorical": (
        made(
            CategoricalMixture,
            n_categories=2,
            probabilities_init=[[[0.6, 0.4]] * 4, [[0.3, 0.7]] * 4],
            **START,
        ),
        bits,
    ),
    "product": (
        made(
            ProductMixture,
            groups=[
                {"columns": [0, 1], "family": "full"},
                {"columns": [2, 3], "family": "poisson"},
            ],
            **START,
            **MEANS,
        ),
        counts,
    ),
}


def fitted(est: Any, x: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.set_params(max_iter=15, tol=0.0).fit(x)


def same(found: Any, wanted: Any, x: Any, others: Any) -> None:
    """Fail unless one is the fit of `others`, and says of `x` what the other says of them."""
    for name in ("means_", "cluster_centers_", "probabilities_", "rates_", "weights_"):
        if hasattr(wanted, name):
            np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-9)
    np.testing.assert_array_equal(found.predict(x), wanted.predict(others))
    assert len(found.predict(x)) == len(others)
    assert found.score(x) == pytest.approx(wanted.score(others), rel=1e-12)
    for name in ("bic", "aic"):
        if hasattr(wanted, name):
            assert getattr(found, name)(x) == pytest.approx(getattr(wanted, name)(others))
    for name in ("predict_proba", "score_samples", "transform"):
        if hasattr(wanted, name):
            got, like = getattr(found, name)(x), getattr(wanted, name)(others)
            np.testing.assert_allclose(got, like, rtol=1e-9, atol=1e-12)
    if hasattr(found, "labels_"):
        np.testing.assert_array_equal(found.labels_, wanted.labels_)


@pytest.mark.parametrize("name", CASES)
def test_they_are_as_good_as_not_there(name: str) -> None:
    make, rows = CASES[name]
    others = rows()
    x = np.insert(others, [0, 40, 40, 120], NAN, axis=0)
    same(fitted(make(), x), fitted(make(), others), x, others)


def test_features_that_a_product_ignores_do_not_count() -> None:
    options = {"groups": MIXED, "ignored": [3], **START, "means_init": [[0, 1, 1, 0], [1, 3, 3, 0]]}
    others = np.column_stack([bits()[:, 0], counts()[:, :2], np.arange(120.0)])
    others[np.isnan(others[:, :3]).all(axis=1), 0] = 1.0
    x = np.insert(others, [5, 77], [NAN, NAN, NAN, 7.0], axis=0)
    found, wanted = (fitted(made(ProductMixture, **options)(), rows) for rows in (x, others))
    same(found, wanted, x, others)


def test_half_of_a_pair_is_nothing() -> None:
    options = {"n_trials": "cell", "probabilities_init": [[0.3] * 2, [0.6] * 2], **START}
    others = counts()
    pairs = np.isnan(others[:, :2]) | np.isnan(others[:, 2:])
    others = others[~pairs.all(axis=1)]
    x = np.insert(others, [0, 9], [3.0, NAN, NAN, 2.0], axis=0)
    found, wanted = (fitted(made(BinomialMixture, **options)(), rows) for rows in (x, others))
    same(found, wanted, x, others)


def test_a_sweep_counts_the_same_rows() -> None:
    others = counts()
    x = np.insert(others, [3, 50], NAN, axis=0)
    make, _ = CASES["diag"]
    grid = {"covariance_type": ["diag", "full"]}
    found, wanted = (Sweep(make(), grid, criterion="bic").fit(rows) for rows in (x, others))
    np.testing.assert_allclose(found.results_["bic"], wanted.results_["bic"], rtol=1e-9)
    np.testing.assert_array_equal(found.predict(x), wanted.predict(others))
    groups = [
        [{"columns": [0, 1, 2, 3], "family": "poisson"}],
        [{"columns": [0, 1], "family": "poisson"}],
    ]
    grid = {"groups": groups[:1], "ignored": [()]}, {"groups": groups[1:], "ignored": [(2, 3)]}
    with pytest.raises(ConfigError, match="would be for different rows"):
        Sweep(made(ProductMixture)(), list(grid), criterion="bic").fit(x)


def test_they_are_completed_by_the_mean_of_the_mixture() -> None:
    for name, (make, rows) in CASES.items():
        if name.startswith("k"):
            continue
        x = np.insert(rows(), [40], NAN, axis=0)
        est = fitted(make(), x)
        found = est.complete(x)
        assert found.shape == x.shape
        mean = est.distribution().mean()
        wanted = np.round(mean) if name == "categorical" else mean
        np.testing.assert_allclose(found[40], wanted, rtol=1e-9, err_msg=name)


def test_nothing_but_such_rows_is_refused() -> None:
    make, rows = CASES["diag"]
    est = fitted(make(), rows())
    nothing = np.full((5, 4), NAN)
    assert est.predict(nothing).shape == (0,)
    with pytest.raises(ShapeError, match="All 5 rows are left out"):
        est.score(nothing)
    with pytest.raises(ShapeError, match="All 5 rows are left out"):
        make().fit(nothing)


@pytest.mark.parametrize("model", ["diagonal", "kmeans"])
def test_runs_and_labels_leave_them_out(model: str, tmp_path: Path) -> None:
    others = counts()
    x = np.insert(others, [0, 40, 119], NAN, axis=0)
    empty = np.isnan(x).all(axis=1)
    zarr.create_array(tmp_path / "x", shape=x.shape, chunks=(20, 4), dtype="f8")[:] = x
    config = make_config(
        {
            "data": {"path": str(tmp_path / "x"), "non_finite": "missing"},
            "model": {"name": model, "n_components": 2},
            "run": {"folder": str(tmp_path), "key": "run"},
            "labels": {"outputs": ["labels", "score"]},
        }
    )
    with open_job(config) as job:
        summary = job.complete()
    (found,) = [p for p in tmp_path.rglob("labels") if (p / "zarr.json").exists()][:1]
    labels, score = (zarr.open_array(found.parent / n)[:] for n in ("labels", "score"))
    np.testing.assert_array_equal(labels == -1, empty)
    np.testing.assert_array_equal(np.isnan(score), empty)
    assert sum(each["labelled"] for each in summary.components) == len(others)
    data = DataSection(path=str(tmp_path / "x"), non_finite="missing")
    out = Location(str(tmp_path / "again"))
    told = label_data(Location(str(tmp_path / "run")), data, out)
    again = zarr.open_array(tmp_path / "again" / "labels")[:]
    np.testing.assert_array_equal(again, labels)
    assert sum(told["components"]) == len(others)
