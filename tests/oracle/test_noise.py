"""Uniform noise against EM by its definition, and what it is for: outliers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import zarr

from emdist import GaussianMixture, load
from emdist.composition.model import make_model
from emdist.errors import ConfigError
from emdist.fit.seeding.cleaned import no_clutter
from emdist.fit.start import Given
from emdist.interfaces import Array, Floats
from emdist.jobs.inspect import inspect
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.models.arrays import arrays_of
from emdist.settings.config import make_config
from emdist.store.places.location import Location
from emdist.store.sources.arrays import array_source
from tests.support.fitting import Fitting, Setting, blobs, fit_array, prepare, relative, run
from tests.support.reference_data import GAUSSIAN

CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
K, D = CENTRES.shape
INSIDE, OUTSIDE = 600, 120
KINDS = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}


def with_outliers(seed: int = 0, reach: float = 30.0) -> Floats:
    rng = np.random.default_rng(seed)
    inside = CENTRES[rng.integers(0, K, INSIDE)] + rng.standard_normal((INSIDE, D))
    return np.concatenate([inside, rng.uniform(-reach, reach, (OUTSIDE, D))])


X = with_outliers()


def missed(means: Array) -> float:
    """How far the centre that is recovered worst is from the nearest of `means`."""
    return float(np.abs(means[:, None] - CENTRES).max(axis=2).min(axis=0).max())


def tie(name: str, covariances: Floats, n: Floats) -> Floats:
    if name == "tied":
        return np.tile(np.tensordot(n / n.sum(), covariances, 1), (K, 1, 1))
    if name == "full":
        return covariances
    diagonal = np.stack([np.diag(c) for c in covariances])
    if name == "spherical":
        diagonal = np.repeat(diagonal.mean(axis=1, keepdims=True), D, axis=1)
    return np.stack([np.diag(v) for v in diagonal])


def brute_force(x: Floats, weight: Floats, name: str, rounds: int) -> dict[str, Any]:
    """EM with noise by its definition, responsibilities and all."""
    volume = np.prod(x.max(axis=0) - x.min(axis=0))
    share = np.append(np.full(K, 0.95 / K), 0.05)
    means, covariances = CENTRES + 0.5, np.tile(4.0 * np.eye(D), (K, 1, 1))
    bounds = []
    for _ in range(rounds):
        parts = [
            scipy.stats.multivariate_normal(m, c).logpdf(x)
            for m, c in zip(means, covariances, strict=True)
        ]
        score = np.stack([*parts, np.full(len(x), -np.log(volume))], axis=1) + np.log(share)
        bound = np.logaddexp.reduce(score, axis=1)
        bounds.append(weight @ bound / weight.sum())
        resp = np.exp(score - bound[:, None]) * weight[:, None]
        share, n = resp.sum(axis=0) / weight.sum(), resp.sum(axis=0)[:K]
        means = resp.T[:K] @ x / n[:, None]
        diffs = [x - mean for mean in means]
        each = [(resp[:, c, None] * diffs[c]).T @ diffs[c] / n[c] for c in range(K)]
        covariances = tie(name, np.stack(each), n)
    return {"share": share, "means": means, "covariances": covariances, "bounds": bounds}


def ours(x: Array, name: str, rounds: int, weight: Array | None = None) -> Fitting:
    wide = {
        "full": np.tile(4.0 * np.eye(D), (K, 1, 1)),
        "tied": 4.0 * np.eye(D),
        "diagonal": np.full((K, D), 4.0),
        "spherical": np.full(K, 4.0),
    }[name]
    given = Given(CENTRES + 0.5, np.full(K, 1 / K), {GAUSSIAN[name][1]: wide})
    fitting = {"max_iter": rounds, "tol": 0.0}
    setting = Setting(f"{name}+noise", K, options={"reg_covar": 0.0}, fit=fitting)
    return fit_array(x, setting, given, weight, block_bytes=100 * D * 8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", GAUSSIAN)
def test_em_with_noise_by_its_definition(name: str, weighted: bool) -> None:
    weight = np.random.default_rng(1).exponential(size=len(X)) if weighted else np.ones(len(X))
    wanted = brute_force(X, weight, name, 12)
    found = ours(X, name, 12, weight if weighted else None)
    assert relative(found.arrays["weights"], wanted["share"]) < 1e-10
    assert relative(found.means, wanted["means"]) < 1e-10
    scales = found.arrays[GAUSSIAN[name][1]]
    right = wanted["covariances"]
    if name == "tied":
        right = right[0]
    elif name == "diagonal":
        right = np.stack([np.diag(c) for c in right])
    elif name == "spherical":
        right = right[:, 0, 0]
    assert relative(scales, right) < 1e-10
    bounds = [r.objective for r in found.state.history]
    np.testing.assert_allclose(bounds, wanted["bounds"], rtol=1e-11)
    assert np.diff(bounds).min() > -1e-12


@pytest.mark.parametrize("name", GAUSSIAN)
def test_an_offset_of_1e6_and_float32_cost_no_digits(name: str) -> None:
    x = np.round(X * 2**10) / 2**10
    plain = fit_array(x, Setting(f"{name}+noise", K), Given(CENTRES))
    moved = fit_array(x + 1e6, Setting(f"{name}+noise", K), Given(CENTRES + 1e6))
    single = fit_array(x.astype("f4"), Setting(f"{name}+noise", K), Given(CENTRES))
    for other, shift, tol in ((moved, 1e6, 1e-9), (single, 0.0, 1e-4)):
        assert np.abs(other.means - shift - plain.means).max() < tol
        assert relative(other.arrays["weights"], plain.arrays["weights"]) < tol
        assert other.objective == pytest.approx(plain.objective, abs=tol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
def test_a_base_that_components_share_is_set_against_the_noise(assignment: str, dtype: str) -> None:
    # Isotropic leaves |x|^2 out of its score: nothing between components, all beside noise.
    centres = CENTRES * 1e4
    x = np.concatenate([X[:INSIDE] % 3 + centres[np.arange(INSIDE) % K], X[INSIDE:] * 1e3])
    x = x.astype("f4").astype(dtype)
    fitting = {"max_iter": 20}
    found = fit_array(x, Setting("isotropic+noise", K, assignment, fit=fitting), Given(centres))
    labels, shares = found.assign(x).labels, found.arrays["weights"]
    extent = np.prod(np.ptp(x.astype(float), axis=0))
    scores = [
        np.log(w) - ((x.astype(float) - m) ** 2).sum(axis=1) - np.log(np.pi)
        for w, m in zip(shares, found.means, strict=False)
    ]
    scores.append(np.full(len(x), np.log(shares[-1] / extent)))
    wanted = np.argmax(scores, axis=0)
    np.testing.assert_array_equal(labels, np.where(wanted == K, -1, wanted))
    assert (labels[INSIDE:] == -1).all()
    best = np.max(scores, axis=0) if assignment == "hard" else np.logaddexp.reduce(scores, axis=0)
    np.testing.assert_allclose(found.assign(x).score, best, rtol=1e-6)


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", [*GAUSSIAN, "isotropic"])
def test_the_bound_never_falls_with_noise(name: str, assignment: str, uniform: bool) -> None:
    options = {} if name == "isotropic" else {"reg_covar": 0.0}
    fitting = {"max_iter": 25, "tol": 0.0}
    setting = Setting(f"{name}+noise", K, assignment, uniform, options=options, fit=fitting)
    found = fit_array(X, setting, Given(CENTRES + 1.0))
    bound = np.array([r.objective for r in found.state.history])
    assert (np.diff(bound) > -1e-12 * np.abs(bound).max()).all()
    weights = found.arrays["weights"]
    assert weights.sum() == pytest.approx(1.0)
    assert (np.ptp(weights[:-1]) < 1e-15) == uniform


# ---- what it is for


@pytest.mark.parametrize("kind", KINDS.values())
def test_noise_recovers_means_that_the_plain_mixture_misses(kind: str) -> None:
    for seed in range(2):
        x = with_outliers(seed)
        options = {"covariance_type": kind, "random_state": 0, "tol": 1e-5}
        noisy = GaussianMixture(K, noise=True, **options).fit(x)
        plain = GaussianMixture(K, **options).fit(x)
        assert missed(noisy.means_) < 0.3
        assert missed(plain.means_) > 2.0
        assert noisy.noise_weight_ == pytest.approx(OUTSIDE / len(x), abs=0.03)
        labels = noisy.predict(x)
        assert (labels[INSIDE:] == -1).mean() > 0.9
        assert (labels[:INSIDE] == -1).mean() < 0.03
        assert noisy.bic(x) < plain.bic(x)


def test_clean_data_have_next_to_no_noise() -> None:
    x, centres = blobs(900, 3, 3, 8.0)
    noisy = GaussianMixture(3, noise=True, random_state=0, tol=1e-8, max_iter=500).fit(x)
    plain = GaussianMixture(3, random_state=0, tol=1e-8, max_iter=500).fit(x)
    assert noisy.noise_weight_ < 1e-3
    order = [np.argsort(m.means_[:, 0]) for m in (noisy, plain)]
    assert relative(noisy.means_[order[0]], plain.means_[order[1]]) < 0.02
    assert len(centres) == 3


def test_clutter_is_told_by_its_neighbours() -> None:
    kept = no_clutter(X, np.ones(len(X)))
    assert kept[:INSIDE].mean() > 0.9
    assert kept[INSIDE:].mean() < 0.1
    # A heavy row is many rows in one place.
    heavy = no_clutter(X, np.where(np.arange(len(X)) < INSIDE, 1.0, 1000.0))
    assert heavy[INSIDE:].mean() > kept[INSIDE:].mean() + 0.2
    assert no_clutter(X[:20], np.ones(20)).all()
    assert np.isfinite(no_clutter(np.repeat(X[:5], 20, axis=0), np.ones(100))).all()


# ---- the box


def test_a_constant_feature_tells_noise_from_components_by_nothing() -> None:
    wide = np.column_stack([X, np.full(len(X), 7.0)])
    for name in ("full", "tied", "diagonal"):
        plain = fit_array(X, Setting(f"{name}+noise", K), Given(CENTRES))
        given = Given(np.column_stack([CENTRES, np.full(K, 7.0)]))
        found = fit_array(wide, Setting(f"{name}+noise", K), given)
        # Up to reg_covar = 1e-6 beside the variances.
        assert relative(found.arrays["weights"], plain.arrays["weights"]) < 1e-4, name
        assert relative(found.means[:, :2], plain.means) < 1e-4, name


def test_rows_that_are_all_alike_and_a_single_row() -> None:
    for x in (np.ones((5, 2)), np.ones((1, 2))):
        for name in (*GAUSSIAN, "isotropic"):
            found = fit_array(x, Setting(f"{name}+noise", 1))
            assert np.isfinite(found.objective)
            np.testing.assert_allclose(found.means, 1.0)


def test_a_larger_volume_leaves_less_to_the_noise() -> None:
    counts = []
    for volume in (300.0, None, 1e6):
        model = GaussianMixture(K, noise=0.2, noise_volume=volume, random_state=0).fit(X)
        counts.append(int((model.predict(X) == -1).sum()))
    assert counts[0] > counts[1] > counts[2]
    with pytest.raises(ConfigError, match=r"noise_volume=3\.0 is given without noise"):
        GaussianMixture(K, noise_volume=3.0).fit(X)


# ---- collapse


@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("policy", ["regularise", "reseed", "drop"])
@pytest.mark.parametrize("name", ["full+noise", "tied+noise"])
def test_a_component_without_rows(name: str, policy: str, assignment: str) -> None:
    fitting = {"on_collapse": policy, "max_iter": 30}
    unit = np.eye(D) if name.startswith("tied") else np.tile(np.eye(D), (K, 1, 1))
    scale = {"covariance" if name.startswith("tied") else "covariances": unit}
    lost = Given(np.array([[0.0, 0.0], [6.0, 0.0], [1e5, 1e5]]), np.full(K, 1 / K), scale)
    found = fit_array(X, Setting(name, K, assignment, fit=fitting), lost)
    first = found.state.history[0]
    assert (first.reseeded, first.dropped) == {
        "regularise": (0, 0), "reseed": (1, 0), "drop": (0, 1)
    }[policy]  # fmt: skip
    assert len(found.means) == (2 if policy == "drop" else 3)
    assert all(np.isfinite(v).all() for v in found.arrays.values())
    assert found.arrays["weights"].sum() == pytest.approx(1.0)
    if policy == "reseed":
        # Among the components, not where the noise is.
        assert np.abs(found.means).max() < 10.0


def test_without_outliers_the_noise_is_never_weak() -> None:
    x = np.random.default_rng(0).standard_normal((300, 2))
    setting = Setting("full+noise", 1, min_weight=0.1, fit={"on_collapse": "raise", "tol": 1e-9})
    assert fit_array(x, setting).arrays["weights"][-1] < 0.05


# ---- the estimator


def test_labels_responsibilities_and_draws(tmp_path: Path) -> None:
    model = GaussianMixture(K, noise=0.1, random_state=0).fit(X)
    resp = model.predict_proba(X)
    assert resp.shape == (len(X), K + 1)
    np.testing.assert_allclose(resp.sum(axis=1), 1.0)
    labels = model.predict(X)
    np.testing.assert_array_equal(labels % (K + 1), resp.argmax(axis=1))
    np.testing.assert_allclose(resp[:, -1].mean(), model.noise_weight_, atol=2e-3)
    assert model.weights_.sum() + model.noise_weight_ == pytest.approx(1.0)
    free = K * (D + D * (D + 1) // 2) + K - 1 + 2
    total = model.score(X) * len(X)
    assert model.bic(X) == pytest.approx(-2 * total + free * np.log(len(X)))
    rows, drawn = model.sample(4000)
    assert (drawn == -1).mean() == pytest.approx(model.noise_weight_, abs=0.03)
    assert (np.abs(rows[drawn == -1]).max(axis=1) > 8).mean() > 0.8
    model.save(tmp_path / "model")
    back = load(tmp_path / "model")
    np.testing.assert_array_equal(back.predict_proba(X), resp)
    assert back.noise == 0.1
    assert back.noise_weight_ == model.noise_weight_
    again = GaussianMixture(K, noise=0.1, warm_start=True, random_state=0).fit(X)
    assert again.fit(X).n_iter_ <= 3


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"name": "kmeans", "noise": True}, "kmeans has no density"),
        ({"name": "poisson", "noise": 0.1}, "noise is uniform over real numbers"),
        ({"name": "full", "noise": 0.0}, "noise.weight: expected a number above 0, got 0.0"),
        ({"name": "full", "noise": {"volum": 3}}, "not a known key .did you mean 'volume'"),
    ],
)
def test_noise_that_makes_no_sense_is_refused(section: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make_model(make_config({"data": {"path": "x"}, "model": section}).model)


# ---- as a job: labels in Zarr, the summary, inspect


def test_a_job_with_noise(tmp_path: Path) -> None:
    x = X.copy()
    x[[3, 500]] = np.nan
    array = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(200, D), dtype="f8")
    array[:] = x
    config = make_config(
        {
            "data": {"path": str(tmp_path / "x.zarr"), "non_finite": "drop"},
            "model": {"name": "full", "n_components": K, "noise": True},
            "run": {"folder": str(tmp_path / "runs"), "key": "one", "checkpoint_iterations": 2},
            "labels": {"outputs": ["labels", "score", "responsibilities"]},
        }
    )
    with open_job(config) as job:
        summary = job.complete()  # type: ignore[union-attr]
    group = zarr.open_group(tmp_path / "runs" / "one" / "labels.zarr", mode="r")
    labels = np.asarray(group["labels"])
    kept = np.isfinite(x).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(labels == -2), [3, 500])
    np.testing.assert_array_equal(np.isfinite(group["score"]), kept)
    resp = np.asarray(group["responsibilities"])[kept]
    np.testing.assert_array_equal(labels[kept] % (K + 1), resp.argmax(axis=1))
    noise = int((labels == -1).sum())
    assert 0.8 * OUTSIDE < noise < 1.2 * OUTSIDE
    result = summary.to_dict()["result"]
    assert result["noise"]["labelled"] == noise
    counts = [int(part["labelled"]) for part in summary.components]
    assert counts == [int((labels == k).sum()) for k in range(K)]
    weights = [part["weight"] for part in summary.components]
    assert sum(weights) + result["noise"]["weight"] == pytest.approx(1.0)
    assert f"{noise:,} row{'s' * (noise != 1)} labelled -1" in summary.to_markdown()
    told = inspect(Location(str(tmp_path / "runs" / "one" / "labels.zarr")))
    assert told["noise"] == {"label": -1, "rows": float(noise)}
    assert told["left_out"] == {"label": -2}
    where = Location(str(tmp_path / "runs" / "one"))
    assert inspect(where)["result"]["noise"] == pytest.approx(result["noise"]["weight"])
    found = label_data(where, config.data, Location(str(tmp_path / "again.zarr")))
    assert found["noise"] == noise
    assert found["components"] == counts


def test_a_run_goes_on_from_its_params() -> None:
    fit = prepare(array_source(X), Setting("diagonal+noise", K))
    params = run(fit).state.best.params
    assert set(arrays_of(params)) == {
        "weights", "noise", "level", "components.means", "components.variances"
    }  # fmt: skip
