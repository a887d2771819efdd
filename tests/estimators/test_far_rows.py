"""Rows far from everything: the right answer, or an error that names the row; never NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy import stats

from emdist import (
    BayesianGaussianMixture,
    GaussianMixture,
    IsotropicMixture,
    KCentroids,
    KMeans,
    KMedians,
    MiniBatchKMeans,
    ProductMixture,
)
from emdist.errors import ConfigError, DataError, DomainError, StartError, WeightError
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.settings.config import ClusterSection, DataSection, make_config
from emdist.store.places.location import Location

GROUPS = [{"columns": [0, 1], "family": "full"}, {"columns": [2], "family": "diagonal"}]

#: Mixtures of real numbers.
MIXTURES: dict[str, Callable[[], Any]] = {
    **{
        t: (lambda t=t: GaussianMixture(2, covariance_type=t, random_state=0))
        for t in ("full", "tied", "diag", "spherical")
    },
    **{
        f"variational {t}": (
            lambda t=t: BayesianGaussianMixture(
                n_components=2, covariance_type=t, random_state=0, max_iter=20
            )
        )
        for t in ("full", "spherical")
    },
    "isotropic": lambda: IsotropicMixture(2, random_state=0),
    "hard": lambda: GaussianMixture(2, assignment="hard", random_state=0),
    "incomplete": lambda: GaussianMixture(2, non_finite="missing", random_state=0),
    "product": lambda: ProductMixture(2, groups=GROUPS, random_state=0),
}
#: Models with distances that are squared, and those that add them up as they are.
SQUARED: dict[str, Callable[[], Any]] = {
    "kmeans": lambda: KMeans(2, random_state=0),
    "kcentroids": lambda: KCentroids(2, random_state=0),
    "incomplete kmeans": lambda: KMeans(2, non_finite="missing", random_state=0),
}


def rows(n: int = 200) -> Any:
    """(n, 3) two clouds, well apart."""
    x = np.random.default_rng(0).normal(size=(n, 3))
    x[n // 2 :] += 8.0
    return x


def with_far(value: float, dtype: str = "float64") -> Any:
    """Four rows, the third of which holds `value`."""
    x = rows()[[0, 150, 1, 151]].astype(dtype)
    x[2] = np.asarray(value, dtype)
    return x


@pytest.mark.filterwarnings(
    "error::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.parametrize("far", [1e155, -1e160, 1e300])
@pytest.mark.parametrize("name", [*MIXTURES, *SQUARED])
def test_rows_whose_squares_overflow_are_refused_by_name(name: str, far: float) -> None:
    est = (MIXTURES | SQUARED)[name]().fit(rows())
    asked = ("predict", "score", *(("transform",) if name in SQUARED else ("predict_proba",)))
    for method in (*asked, *(() if name in SQUARED else ("score_samples", "bic"))):
        if hasattr(est, method):
            with pytest.raises(
                DataError, match=rf"Row 2 is so far.*feature 0 is {far:g}".replace("+", r"\+")
            ):
                getattr(est, method)(with_far(far))


@pytest.mark.covering
@pytest.mark.filterwarnings(
    "error::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.parametrize("far", [1e4, 1e30, 3e38])
@pytest.mark.parametrize("name", [n for n in MIXTURES if n != "hard"])
def test_float32_rows_are_scored_as_float64_ones(name: str, far: float) -> None:
    est = MIXTURES[name]().fit(rows().astype("float32"))
    x = with_far(far, "float32")
    wide = x.astype("float64")
    np.testing.assert_allclose(est.score_samples(x), est.score_samples(wide), rtol=1e-12)
    resp = est.predict_proba(x)
    np.testing.assert_allclose(resp.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(resp, est.predict_proba(wide), rtol=1e-6, atol=1e-30)
    np.testing.assert_array_equal(est.predict(x), est.predict(wide))
    narrow = est.set_params(precision="float32").fit(rows().astype("float32"))
    np.testing.assert_allclose(narrow.score_samples(x)[2], est.score_samples(wide)[2], rtol=1e-4)
    np.testing.assert_array_equal(narrow.predict(x), est.predict(wide))


@pytest.mark.parametrize("far", [1e15, 3e38])
def test_a_far_row_of_float32_goes_to_the_nearest_centre(far: float) -> None:
    x = rows().astype("float32")
    x[:, 0] += 100.0  # both centres on one side of the far row
    est = KMeans(2, random_state=0).fit(x)
    there = np.array([[far, 0, 0], [-far, 0, 0], [0, far, 0]], "float32")
    side = est.cluster_centers_[:, :2].argmax(axis=0)
    assert est.predict(there).tolist() == [side[0], 1 - side[0], side[1]]
    direct = np.linalg.norm(there.astype("float64")[:, None] - est.cluster_centers_, axis=2)
    np.testing.assert_allclose(est.transform(there), direct, rtol=1e-12)
    assert est.score(there) == pytest.approx(-(direct.min(axis=1) ** 2).sum(), rel=1e-12)


def test_far_out_the_score_is_scipys() -> None:
    est = GaussianMixture(2, random_state=0).fit(rows())
    x = np.array([[1e8, -1e8, 3e7], [1e140, 0, 0]])
    each = [
        stats.multivariate_normal(m, c).logpdf(x) + np.log(w)
        for m, c, w in zip(est.means_, est.covariances_, est.weights_, strict=True)
    ]
    np.testing.assert_allclose(est.score_samples(x), np.max(each, axis=0), rtol=1e-10)
    np.testing.assert_array_equal(est.predict(x), np.argmax(each, axis=0))


def test_k_medians_take_what_they_can_add_up() -> None:
    est = KMedians(2, random_state=0).fit(rows())
    there = with_far(1e300)
    wanted = np.abs(there[:, None] - est.cluster_centers_).sum(axis=2)
    np.testing.assert_allclose(est.transform(there), wanted, rtol=1e-14)
    assert est.score(there) == pytest.approx(-wanted.min(axis=1).sum())
    for method in ("transform", "predict", "score"):
        with pytest.raises(DataError, match=r"Row 2 is so far from every centre.*1.5e\+308"):
            getattr(est, method)(with_far(1.5e308))


@pytest.mark.parametrize("far", [1e150, 1e155, 1e300])
@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_far_rows_are_noise_where_there_is_noise(kind: str, far: float) -> None:
    x = np.concatenate([rows(), np.random.default_rng(1).uniform(-40, 40, (20, 3))])
    est = GaussianMixture(2, covariance_type=kind, noise=0.1, random_state=0).fit(x)
    there = with_far(far)
    assert est.predict(there)[2] == -1
    np.testing.assert_array_equal(est.predict_proba(there)[2], [0.0, 0.0, 1.0])
    level = np.log(est.noise_weight_) - np.log(x.max(axis=0) - x.min(axis=0)).sum()
    assert est.score_samples(there)[2] == pytest.approx(level, rel=1e-12)


def test_a_distribution_refuses_what_it_cannot_tell() -> None:
    whole = GaussianMixture(2, random_state=0).fit(rows()).distribution()
    for ask in (whole.log_density, whole.density, whole.labels, whole.responsibilities):
        with pytest.raises(DataError, match="Row 2 is so far from every component"):
            ask(with_far(1e160))
    with pytest.raises(DomainError, match="so far from every component"):
        whole.conditional([0], [1e200])
    with pytest.raises(DataError, match="Row 2 is so far from every component"):
        whole.conditional_mean([0, 1], with_far(1e160)[:, :2])
    # As far as float64 goes, it is the line on which the nearest component regresses.
    slope = whole.family.slopes(whole.components, np.array([1, 2]), np.array([0]))
    k = int(whole.marginal(0).labels([[1e100]])[0])
    np.testing.assert_allclose(
        whole.conditional_mean([0], [[1e100]])[0], slope[k, :, 0] * 1e100, rtol=1e-12
    )


def test_a_completion_by_nothing_is_refused() -> None:
    est = GaussianMixture(2, random_state=0).fit(rows())
    x = with_far(1e160)
    x[2, 1] = np.nan
    with pytest.raises(DataError, match="Row 2 is so far"):
        est.complete(x)


def test_labelling_names_the_row_and_its_block(tmp_path: Path) -> None:
    est = GaussianMixture(2, random_state=0).fit(rows())
    est.save(tmp_path / "m")
    x = rows()
    x[137, 1] = 1e170
    zarr.create_array(tmp_path / "x", shape=x.shape, chunks=(50, 3), dtype="f8")[:] = x
    where = (Location(str(tmp_path / "m")), DataSection(path=str(tmp_path / "x")))
    with pytest.raises(DataError, match=r"Row 137 is so far.*feature 1 is 1e\+170"):
        label_data(*where, Location(str(tmp_path / "l")), ClusterSection())
    with pytest.raises(DataError, match="Row 137 is so far"):
        est.score(tmp_path / "x")


WEIGHTS: list[tuple[Any, str]] = [
    (np.zeros(200), "All sample weights are zero"),
    (np.full(200, -1.0), "negative or not finite"),
    (np.full(200, np.nan), "negative or not finite"),
    (np.full(200, np.inf), "negative or not finite"),
    (np.ones(199), r"\(199,\), expected \(200,\)"),
    (np.full(200, 1e307), "sum to more than float64 holds"),
]


@pytest.mark.parametrize(
    "est", [KMeans(2), KMedians(2), KCentroids(2), GaussianMixture(2)], ids=repr
)
@pytest.mark.parametrize(("weight", "words"), WEIGHTS)
def test_every_method_says_the_same_of_weights(est: Any, weight: Any, words: str) -> None:
    x = rows()
    methods = ["score", "fit", *(["partial_fit"] if hasattr(est, "partial_fit") else [])]
    for method in methods:
        est.fit(x)
        with pytest.raises(WeightError, match=words):
            getattr(est, method)(x, sample_weight=weight)


def test_weights_that_make_squares_overflow_are_told_of_as_weights() -> None:
    x = rows() * 1e3
    for weight in (1e303, 1e-320):
        with pytest.raises(WeightError, match=r"The sample weights sum to.*by a constant"):
            KMeans(2).fit(x * (1.0 if weight > 1 else 1e-6), sample_weight=np.full(200, weight))
    est = GaussianMixture(2, random_state=0).fit(x)
    far = np.full((200, 3), 1e6)
    with pytest.raises(WeightError, match="times their sample weights"):
        est.score(far, sample_weight=np.full(200, 1e305))


def test_weights_of_any_unit_give_the_same_fit() -> None:
    x = rows()
    wanted = GaussianMixture(2, random_state=0).fit(x)
    for unit in (1e-300, 1e-200, 1e200, 1e300):
        w = np.full(200, unit)
        found = GaussianMixture(2, random_state=0).fit(x, sample_weight=w)
        np.testing.assert_allclose(found.means_, wanted.means_, rtol=1e-9)
        assert found.score(x, sample_weight=w) == pytest.approx(wanted.score(x), rel=1e-12)


def test_nothing_that_counts_is_nothing_to_score() -> None:
    x = np.full((4, 3), np.nan)
    for est in (KMeans(2), GaussianMixture(2)):
        est.set_params(non_finite="drop").fit(rows())
        with pytest.raises(DataError, match="All 4 rows are left out"):
            est.score(x)


#: Models of squares in float32, and the objective of each.
NARROW: dict[str, Callable[[], Any]] = {
    "kmeans": lambda: KMeans(2, precision="float32", random_state=0),
    "pruned": lambda: KMeans(2, precision="float32", schedule="pruned", random_state=0),
    "mini batches": lambda: MiniBatchKMeans(2, precision="float32", random_state=0),
    "kcentroids": lambda: KCentroids(2, precision="float32", random_state=0),
    "incomplete": lambda: KMeans(2, precision="float32", non_finite="missing", random_state=0),
}


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("scale", [1e19, 1e20, 1e-25])
def test_squares_that_do_not_fit_float32_are_refused(name: str, scale: float) -> None:
    with pytest.raises(ConfigError, match="squares of the features do not fit float32") as told:
        NARROW[name]().fit(rows() * scale)
    said = str(told.value)
    assert "(precision)" in said
    assert "Set precision to 'auto' or 'float64', or scale the features" in said


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("scale", [1e15, 1e-14])
def test_float32_holds_what_float64_finds_where_squares_fit(name: str, scale: float) -> None:
    narrow = NARROW[name]().fit(rows() * scale)
    wide = NARROW[name]().set_params(precision="float64").fit(rows() * scale)
    assert narrow.inertia_ == pytest.approx(wide.inertia_, rel=1e-5)
    assert narrow.cluster_centers_ == pytest.approx(wide.cluster_centers_, rel=1e-4)


def test_squares_are_those_of_whitened_rows() -> None:
    def fitted(scale: float, variance: float) -> Any:
        given = {"covariance": (variance * np.eye(3)).tolist()}
        model = KCentroids(
            2, dissimilarity="mahalanobis", dissimilarity_options=given, precision="float32"
        )
        return model.set_params(random_state=0).fit(rows() * scale)

    assert fitted(1e20, 1e40).inertia_ == pytest.approx(fitted(1.0, 1.0).inertia_, rel=1e-5)
    with pytest.raises(ConfigError, match="do not fit float32"):
        fitted(1e20, 1.0)


def test_a_configuration_names_the_key_of_the_precision(tmp_path: Path) -> None:
    zarr.save(str(tmp_path / "x.zarr"), rows() * 1e20)
    config = make_config({
        "data": {"path": str(tmp_path / "x.zarr")},
        "model": {"name": "kmeans", "n_components": 2, "precision": "float32"},
        "run": {"folder": str(tmp_path / "runs")},
    })  # fmt: skip
    with (
        open_job(config) as job,
        pytest.raises(ConfigError, match=r"Set model\.precision to 'auto'"),
    ):
        job.complete()


FAR = [[0.0, 0.0, 0.0], [1e155, 0.0, 0.0]]
#: Models with a start so far away that the square of the distance is infinite.
STARTED: dict[str, Callable[[], Any]] = {
    **{
        t: (lambda t=t: GaussianMixture(2, covariance_type=t, means_init=FAR))
        for t in ("full", "tied", "diag", "spherical")
    },
    "kmeans": lambda: KMeans(2, init=[[1e155, 1.0, 1.0], [1e160, 0.0, 0.0]]),
    "one of kmeans": lambda: KMeans(2, init=FAR),
    "both just too far": lambda: KMeans(2, init=[[1e154, 0.0, 0.0], [1e154, 1.0, 0.0]]),
    "mini batches": lambda: MiniBatchKMeans(2, init=FAR),
}


@pytest.mark.parametrize("name", STARTED)
def test_a_start_whose_squared_distances_overflow_is_refused(name: str) -> None:
    with pytest.raises(
        StartError, match=r"mean of component [01] is 1e\+1\d\d in feature 0"
    ) as told:
        STARTED[name]().fit(rows())
    assert "Squared distances overflow. Choose starting means near the data" in str(told.value)


def test_a_start_file_that_is_far_away_is_refused(tmp_path: Path) -> None:
    zarr.save(str(tmp_path / "x.zarr"), rows())
    np.savez(tmp_path / "start.npz", means=np.array(FAR))
    config = make_config({
        "data": {"path": str(tmp_path / "x.zarr")},
        "model": {"name": "full", "n_components": 2},
        "fit": {"start": str(tmp_path / "start.npz")},
        "run": {"folder": str(tmp_path / "runs")},
    })  # fmt: skip
    with open_job(config) as job, pytest.raises(StartError, match="Squared distances overflow"):
        job.complete()


def test_a_start_far_away_whose_squares_are_finite_is_none_the_worse() -> None:
    found = KMeans(2, init=[[0.0, 0.0, 0.0], [1e150, 0.0, 0.0]]).fit(rows())
    assert found.inertia_ == pytest.approx(KMeans(2, random_state=0).fit(rows()).inertia_)
