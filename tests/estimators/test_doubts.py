"""What a careful statistician would doubt comes with a warning, and is not chosen."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from emdist import (
    BayesianGaussianMixture,
    BernoulliMixture,
    GaussianMixture,
    KCentroids,
    KMeans,
    KMedians,
    MiniBatchKMeans,
    PoissonMixture,
    ProductMixture,
    Sweep,
)
from emdist.errors import DegenerateWarning

Rows = NDArray[np.float64]
TYPES = ["full", "tied", "diag", "spherical"]


def real(n: int = 400, d: int = 3, seed: int = 0) -> Rows:
    return np.random.default_rng(seed).normal(size=(n, d))


def with_repeats(n: int = 100) -> Rows:
    """Rows of one cluster, and one row `n` times."""
    return np.concatenate([real(), np.tile([[9.0, 9.0, 9.0]], (n, 1))])


def saturated(n: int = 300) -> Rows:
    """A cluster whose third feature is cut off at 3, as a sensor does, and a whole one."""
    rng = np.random.default_rng(1)
    bright = rng.normal([10.0, 0.0, 9.0], [1.0, 2.0, 1.0], (n, 3))
    return np.concatenate([np.minimum(bright, [99.0, 99.0, 3.0]), rng.normal(0, 0.7, (n, 3))])


def told(est: Any, x: Rows, **more: Any) -> list[str]:
    """Messages of `DegenerateWarning` that a fit gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        est.fit(x, **more)
    return [str(w.message) for w in caught if issubclass(w.category, DegenerateWarning)]


# ---- components on the variance floor


@pytest.mark.parametrize("prior", [None, 0.1])
@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_a_component_of_one_repeated_row_is_named(kind: str, prior: float | None) -> None:
    est = GaussianMixture(2, covariance_type=kind, mean_precision_prior=prior, random_state=0)
    (message,) = told(est, with_repeats())
    own = int(est.predict([[9.0, 9.0, 9.0]])[0])
    assert message.startswith(f"Component {own} of 2 is on the variance floor")
    assert "in any direction" in message
    assert len(message) < 500


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_a_component_of_saturated_rows_is_named_with_the_feature(kind: str) -> None:
    est = GaussianMixture(2, covariance_type=kind, random_state=0)
    (message,) = told(est, saturated())
    own = int(np.argmax(est.means_[:, 0]))
    assert message.startswith(f"Component {own} of 2 is ")
    assert "feature 2" in message


@pytest.mark.covering
@pytest.mark.parametrize("weights", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_posteriors_name_repeated_rows_and_no_empty_component(kind: str, weights: str) -> None:
    est = BayesianGaussianMixture(
        n_components=5, covariance_type=kind, random_state=0, tol=0.1,
        weight_concentration_prior_type=weights,
    )  # fmt: skip
    (message,) = told(est, with_repeats())
    own = int(est.predict([[9.0, 9.0, 9.0]])[0])
    assert message.startswith(f"Component {own} of 5 is ")
    assert not told(est, real())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e-1])
def test_sound_components_are_not_doubted(kind: str, scale: float) -> None:
    x = real() * scale
    x[:200] += 6 * scale
    assert not told(GaussianMixture(3, covariance_type=kind, random_state=0), x)


def test_features_that_tell_nothing_of_any_row_are_no_fault_of_a_component() -> None:
    x = real()
    x = np.column_stack([x, x[:, 0], x[:, 1] - 2 * x[:, 2], np.full(len(x), 7.0)])
    for kind in TYPES:
        assert not told(GaussianMixture(3, covariance_type=kind, random_state=0), x)
    x[:80] = x[0]
    assert told(GaussianMixture(3, random_state=0), x)


def test_a_floor_above_the_data_is_told() -> None:
    for kind in TYPES:
        messages = told(GaussianMixture(2, covariance_type=kind, random_state=0), real() * 1e-4)
        assert "variances of the data, lower it" in messages[0]
        assert not told(
            GaussianMixture(2, covariance_type=kind, reg_covar=1e-12, random_state=0), real() * 1e-4
        )


def test_narrow_clusters_far_apart_are_sound() -> None:
    x = real(400, 2) * 1e-3
    x[:200] += 1e4
    assert not told(GaussianMixture(2, reg_covar=0, random_state=0), x)


def test_whole_numbers_vary_by_more_than_their_steps() -> None:
    rng = np.random.default_rng(2)
    x = np.round(rng.normal(100, 20, (400, 2)))
    assert not told(GaussianMixture(2, random_state=0), x)
    # Nearly all rows of a component at the end of the scale, a few one step below.
    x[:150, 0] = np.where(rng.random(150) < 0.98, 255, 254)
    est = GaussianMixture(2, covariance_type="diag", random_state=0)
    (message,) = told(est, x)
    assert "feature 0" in message


def test_wrappers_and_parts_are_looked_into() -> None:
    x = with_repeats()
    assert told(GaussianMixture(2, noise=True, random_state=0), x)
    gaps = np.where(np.random.default_rng(0).random(x.shape) < 0.1, np.nan, x)
    assert told(GaussianMixture(2, non_finite="missing", random_state=0), gaps)
    bits = (np.random.default_rng(1).random((len(x), 2)) < 0.5).astype(float)
    groups = [{"columns": "0:2", "family": "bernoulli"}, {"columns": "2:5", "family": "diagonal"}]
    est = ProductMixture(n_components=2, groups=groups, random_state=0)
    (message,) = told(est, np.hstack([bits, x]))
    assert "any direction" in message
    (message,) = told(est, np.hstack([bits, saturated()[: len(x)][:, [0, 1, 2]]])[:450])
    assert "feature 4" in message


def test_bits_and_counts_at_their_bounds_are_sound() -> None:
    x = np.repeat(np.eye(4), 50, axis=0)
    assert not told(BernoulliMixture(4, random_state=0), x)
    assert not told(PoissonMixture(4, random_state=0), 9 * x)


def test_rows_without_weight_do_not_count() -> None:
    x = with_repeats(4)
    weight = np.ones(len(x))
    est = GaussianMixture(2, random_state=0, means_init=[[0.0] * 3, [9.0] * 3])
    assert told(est, x, sample_weight=weight)
    weight[-4:] = 0
    assert not told(GaussianMixture(1, random_state=0), x, sample_weight=weight)


def test_components_that_coincide_are_named() -> None:
    est = GaussianMixture(
        3, assignment="tempered", assignment_options={"start": 5.0, "factor": 0.97},
        random_state=0,
    )  # fmt: skip
    messages = told(est, real())
    assert any("0, 1, 2 of 3 coincide" in message for message in messages)


def test_a_fit_cut_off_says_what_to_raise() -> None:
    with pytest.warns(ConvergenceWarning, match="after 2 iteration.*Raise max_iter"):
        GaussianMixture(3, max_iter=2, tol=1e-9, random_state=0).fit(real())


@pytest.mark.parametrize(
    "est",
    [
        KMeans(3, random_state=0),
        KMedians(3, random_state=0),
        KCentroids(n_clusters=3, random_state=0),
        MiniBatchKMeans(3, random_state=0),
    ],
    ids=lambda est: type(est).__name__,
)
def test_no_figure_is_minus_zero(est: Any) -> None:
    x = np.repeat(np.eye(3), 4, axis=0)
    est.fit(x)
    last = est.history_[-1]
    figures = [est.inertia_, est.score(x), last.objective, last.change, last.updated]
    figures += [*est.cluster_centers_.ravel(), *est.transform(x).ravel()]
    assert est.inertia_ == est.score(x) == 0
    assert not [value for value in figures if value == 0 and np.signbit(value)]


# ---- what a sweep chooses


def swept(sweep: Sweep, x: Rows, **more: Any) -> tuple[Sweep, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sweep.fit(x, **more)
    return sweep, [str(w.message) for w in caught]


def test_a_model_on_the_floor_is_marked_and_not_chosen_unless_asked() -> None:
    x = saturated()
    grid = {"n_components": [1, 2, 3]}
    sweep, messages = swept(Sweep(GaussianMixture(random_state=0), grid), x)
    np.testing.assert_array_equal(sweep.results_["degenerate"], [False, True, True])
    assert sweep.best_params_ == {"n_components": 1}
    assert np.argmin(sweep.results_["bic"]) > 0
    assert sweep.results_["rank"][0] == 1
    (message,) = [m for m in messages if "variance floor" in m]
    assert message.startswith("2 of 3 models")
    assert "allow_degenerate=True" in message
    sweep, messages = swept(Sweep(GaussianMixture(random_state=0), grid, allow_degenerate=True), x)
    assert sweep.best_index_ == np.argmin(sweep.results_["bic"])
    assert any("is one of them" in m for m in messages)


def test_a_sweep_of_nothing_but_models_on_the_floor_says_so() -> None:
    sweep, messages = swept(
        Sweep(GaussianMixture(random_state=0), {"n_components": [2, 3]}), real() * 1e-4
    )
    assert sweep.results_["degenerate"].all()
    assert sweep.best_index_ == np.argmin(sweep.results_["bic"])
    assert any("As this affects all models" in m for m in messages)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [([2, 3], "3, is the largest"), ([3, 4, 5], "3, is the smallest"), ([2, 3, 4], "")],
)
def test_the_end_of_what_was_tried_is_told(sizes: list[int], text: str) -> None:
    x = real(300, 2) + np.repeat([[0], [9], [20]], 100, 0)
    sweep, messages = swept(
        Sweep(GaussianMixture(random_state=0, n_init=3), {"n_components": sizes}), x
    )
    assert sweep.best_params_ == {"n_components": 3}
    found = [m for m in messages if "was tried" in m]
    assert len(found) == bool(text)
    assert all(text in m and "param_grid" in m for m in found)


def grid_of_clusters(rows: int = 25) -> Rows:
    """Forty clusters far from each other."""
    centres = np.array([[10.0 * i, 10.0 * j] for i in range(8) for j in range(5)])
    return np.repeat(centres, rows, axis=0) + real(40 * rows, 2)


def test_forty_clusters_are_found() -> None:
    x, est = grid_of_clusters(), KMeans(random_state=0, n_init=4)
    sweep, messages = swept(Sweep(est, {"n_clusters": [10, 20, 30, 40, 50, 60]}), x)
    assert sweep.criterion_ == "icl"
    assert sweep.best_params_ == {"n_clusters": 40}
    assert not messages
    sweep, messages = swept(Sweep(est, {"n_clusters": [10, 20, 30, 40]}), x)
    assert sweep.best_params_ == {"n_clusters": 40}
    assert any("40, is the largest that was tried" in m for m in messages)
    sweep, messages = swept(Sweep(est, {"n_clusters": [10, 20, 30, 40]}, criterion="elbow"), x)
    assert sweep.best_params_ == {"n_clusters": 20}
    assert any("heuristic" in m for m in messages)


def test_k_medians_find_nine_clusters() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[10.0 * i, 10.0 * j] for i in range(3) for j in range(3)])
    x = np.repeat(centres, 60, axis=0) + rng.laplace(size=(540, 2))
    grid = {"n_clusters": [1, 3, 6, 8, 9, 10, 12]}
    sweep, messages = swept(Sweep(KMedians(random_state=0, n_init=8), grid), x)
    assert sweep.criterion_ == "icl"
    assert sweep.best_params_ == {"n_clusters": 9}
    assert not messages


@pytest.mark.parametrize("d", [1, 2, 5])
def test_rows_without_clusters_have_one(d: int) -> None:
    x = np.random.default_rng(0).normal(size=(600, d))
    sweep, messages = swept(Sweep(KMeans(random_state=0), {"n_clusters": [1, 2, 3, 5, 8]}), x)
    assert sweep.best_params_ == {"n_clusters": 1}
    assert not messages


def test_icl_of_k_means_is_that_of_its_mixture() -> None:
    x = grid_of_clusters(5)
    sweep, _ = swept(Sweep(KMeans(random_state=0, tol=0.0), {"n_clusters": [7]}), x)
    (one,) = sweep.estimators_
    centres, labels = one.cluster_centers_, one.labels_
    n, d = x.shape
    variance = ((x - centres[labels]) ** 2).mean()
    shares = np.bincount(labels) / n
    rows = -0.5 * ((x - centres[labels]) ** 2).sum(axis=1) / variance
    rows -= 0.5 * d * np.log(2 * np.pi * variance)
    total = float((rows + np.log(shares[labels])).sum())
    wanted = -2 * total + (7 * d + 7) * np.log(n)
    assert sweep.results_["icl"][0] == pytest.approx(wanted, rel=1e-12)


def test_centres_that_all_rows_lie_on_are_not_chosen() -> None:
    x = np.repeat(real(6, 2), 20, axis=0)
    sweep, messages = swept(Sweep(KMeans(random_state=0), {"n_clusters": [2, 3, 6]}), x)
    np.testing.assert_array_equal(sweep.results_["degenerate"], [False, False, True])
    assert sweep.best_params_ != {"n_clusters": 6}
    assert any("variance floor" in m for m in messages)


def test_a_product_is_judged_by_bic() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    x = np.column_stack([6.0 * labels + rng.normal(size=400), rng.random(400) < 0.2 + 0.6 * labels])
    groups = [{"columns": [0], "family": "diagonal"}, {"columns": [1], "family": "bernoulli"}]
    sweep, _ = swept(
        Sweep(ProductMixture(groups=groups, random_state=0), {"n_components": [1, 2, 3, 4]}),
        x.astype(float),
    )
    assert sweep.criterion_ == "bic"
    assert sweep.best_params_ == {"n_components": 2}


def test_no_heuristic_chooses_unasked() -> None:
    grid = {"n_clusters": [2, 3, 4]}
    x = np.abs(real()) + 0.1
    with pytest.raises(ValueError, match="set criterion to 'elbow' or 'silhouette' or"):
        Sweep(KCentroids(dissimilarity="cosine"), grid).fit(x)
    swept(Sweep(KCentroids(dissimilarity="cosine", random_state=0), grid, criterion="elbow"), x)


# ---- weights


def skewed(n: int = 300) -> tuple[Rows, NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    x = rng.gamma(4.0, size=(3 * n, 2))
    x[:, 1] += np.repeat([0.0, 10.0, 20.0], n)
    return x, np.cos(np.deg2rad(rng.uniform(-60, 60, len(x))))


@pytest.mark.parametrize("scale", [12_000.0, 1e-3])
def test_weights_of_another_scale_are_told(scale: float) -> None:
    x, weight = skewed()
    sizes = {"n_components": [1, 2, 3]}
    est = GaussianMixture(3, random_state=0)
    sweep, messages = swept(Sweep(est, sizes), x, sample_weight=weight * scale)
    (message,) = (m for m in messages if "sample weights" in m)
    mean = scale * weight.mean()
    assert f"of 900 rows sum to {900 * mean:.6g}. BIC counts them as that many rows" in message
    assert ("prefers more" if scale > 1 else "prefers fewer") in message
    divisor = float(message.partition("by their mean, ")[2].split(", unless")[0])
    assert divisor == pytest.approx(mean, rel=1e-5)
    # The advice works: weights with a mean of 1 say nothing, and give the criterion of the sweep.
    advised = weight * scale / divisor
    sweep, messages = swept(Sweep(est, sizes), x, sample_weight=advised)
    assert not [m for m in messages if "sample weights" in m]
    chosen = sweep.best_estimator_
    assert chosen.bic(x, sample_weight=advised) == pytest.approx(sweep.best_score_, rel=1e-12)
    assert sweep.bic(x, advised) == chosen.bic(x, advised)


def test_rows_of_weight_zero_are_no_rows() -> None:
    x, weight = skewed()
    weight[100:] = 0  # A mean of 0.08 over all rows, and of 0.7 over those that count.
    _, messages = swept(
        Sweep(GaussianMixture(random_state=0), {"n_components": [1, 2]}), x, sample_weight=weight
    )
    assert not [m for m in messages if "sample weights" in m]


def test_criteria_take_sample_weights() -> None:
    x, weight = skewed()
    est = GaussianMixture(2, random_state=0).fit(x, sample_weight=weight)
    total = float(weight @ est.score_samples(x))
    free = 1 + 2 * 2 + 2 * 3
    assert est.bic(x, weight) == pytest.approx(-2 * total + free * np.log(weight.sum()))
    assert est.aic(x, weight) == pytest.approx(-2 * total + 2 * free)
    assert est.bic(x) == est.bic(x, np.ones(len(x))) != est.bic(x, weight)
    for name, criterion in (("BIC", est.bic), ("AIC", est.aic)):
        with pytest.warns(DegenerateWarning, match=f"{name} counts them as that many rows"):
            criterion(x, 1000 * weight)


def test_an_elbow_does_not_depend_on_the_scale_of_weights() -> None:
    x, weight = skewed()
    sweep = Sweep(KMeans(random_state=0), {"n_clusters": [1, 2, 3, 4]}, criterion="elbow")
    assert not [m for m in swept(sweep, x, sample_weight=1e4 * weight)[1] if "weights" in m]
