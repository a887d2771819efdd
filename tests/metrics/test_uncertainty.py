"""How sure a model is: against mclust, finite differences, theory, any blocks and any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from distributed import Client
from numpy.typing import NDArray

import emdist
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, DataError
from emdist.fit.resampled import Resampling
from tests.support.faithful import faithful

#: Standard errors of Old Faithful's two components, the longer eruptions first: MclustBootstrap(
#: Mclust(faithful, G = 2, modelNames = "VVV"), nboot = 4999, type = "bs") of mclust 6.0.0, R
#: set.seed(0). Weights, means, and the upper triangles of covariances.
WEIGHT = 0.029152
MEANS = [[0.032333, 0.462181], [0.029547, 0.615349]]
COVARIANCES = [[0.019630, 0.266239, 4.300767], [0.014312, 0.169022, 4.333239]]
#: mclustBootstrapLRT(faithful, modelName = "VVV") of the same: twice the log-likelihood ratio of
#: two components and one.
RATIO = 319.065354


def old_faithful(**parameters: Any) -> tuple[Any, NDArray[np.float64]]:
    X = faithful()
    given = {"tol": 1e-8, "max_iter": 1000, "reg_covar": 0.0, "random_state": 0, **parameters}
    model = emdist.GaussianMixture(2, **given).fit(X)
    return emdist.align(model, emdist.GaussianMixture.from_parameters(
        weights=[0.64, 0.36], means=[[4.29, 79.97], [2.04, 54.48]],
        covariances=np.tile(np.diag([0.1, 35.0]), (2, 1, 1)), covariance_type="full",
    )).model, X  # fmt: skip


@pytest.mark.long
def test_bootstrap_has_the_standard_errors_of_mclust() -> None:
    model, X = old_faithful()
    found = model.standard_errors(X, method="bootstrap", n_replicates=400)
    # 400 replicates know a standard error to about 4 %, more where tails are heavy.
    near = {"rtol": 0.2}
    np.testing.assert_allclose(found.of("weights").errors, [WEIGHT, WEIGHT], **near)
    np.testing.assert_allclose(found.of("means").errors, MEANS, **near)
    own = found.of("covariances").errors[:, [0, 0, 1], [0, 1, 1]]
    np.testing.assert_allclose(own, COVARIANCES, **near)
    ratio = np.concatenate([found.of("means").errors / MEANS, own / COVARIANCES], axis=None)
    assert abs(np.log(ratio).mean()) < 0.06
    assert (found.replicates, found.rows, found.doubts) == (400, 272, ())


def test_information_has_about_the_standard_errors_of_mclust() -> None:
    model, X = old_faithful()
    found = model.standard_errors(X)
    np.testing.assert_allclose(found.of("weights").errors, [WEIGHT, WEIGHT], rtol=0.05)
    # The rows do not quite follow the model, so both ways differ where they should agree.
    np.testing.assert_allclose(found.of("means").errors, MEANS, rtol=0.25)
    frame = found.to_frame().set_index(["parameter", "component", "feature", "other"])
    line = frame.loc[("means", 0, "x1", "")]
    assert line["high"] - line["low"] == pytest.approx(2 * 1.959964 * line["standard_error"])
    assert found.doubts == ()


def numeric(model: Any, X: NDArray[Any], change: Any, values: NDArray[Any], step: float) -> Any:
    """Return the scores of rows by each of `values`, from differences of `score_samples`."""
    found = []
    for index in np.ndindex(values.shape):
        ends = []
        for sign in (1, -1):
            moved = values.copy()
            moved[index] += sign * step
            ends.append(change(moved).score_samples(X))
        found.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("kind", ["diag", "spherical"])
def test_information_is_that_of_numeric_scores(kind: str) -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (200, 2)), rng.normal(3, 2, (200, 2))])
    model = emdist.GaussianMixture(
        2, covariance_type=kind, random_state=0, tol=1e-10, max_iter=2000, reg_covar=0.0
    ).fit(X)  # fmt: skip
    now = {"weights": model.weights_, "means": model.means_, "covariances": model.covariances_}

    def changed(name: str) -> Any:
        return lambda value: emdist.GaussianMixture.from_parameters(
            **{**now, name: value}, covariance_type=kind
        )

    scores = [
        numeric(model, X, changed(name), now[name], 1e-5) for name in ("means", "covariances")
    ]
    first = model.predict_proba(X) / model.weights_
    score = np.concatenate([first[:, :1] - first[:, 1:], *scores], axis=1)
    wanted = np.sqrt(np.diag(np.linalg.inv(score.T @ score)))
    found = model.standard_errors(X)
    names = ("weights", "means", "variances")
    own = np.concatenate([np.ravel(found.of(name).errors) for name in names])
    np.testing.assert_allclose(own[1:], wanted, rtol=1e-4)


def test_one_component_has_the_standard_errors_of_textbooks() -> None:
    rng = np.random.default_rng(1)
    n = 5000
    bits, counts = rng.random((n, 2)) < [0.3, 0.6], rng.poisson([2.0, 7.0], (n, 2))
    codes = rng.choice(3, (n, 2), p=[0.2, 0.3, 0.5])
    normal = rng.normal([0.0, 5.0], [1.0, 3.0], (n, 2))
    p = bits.mean(axis=0)
    found = emdist.BernoulliMixture(1).fit(bits * 1.0).standard_errors(bits * 1.0)
    np.testing.assert_allclose(found.of("means").errors[0], np.sqrt(p * (1 - p) / n), rtol=0.02)
    found = emdist.PoissonMixture(1).fit(counts).standard_errors(counts)
    wanted = np.sqrt(counts.mean(axis=0) / n)
    np.testing.assert_allclose(found.of("means").errors[0], wanted, rtol=0.05)
    found = emdist.BinomialMixture(1, n_trials=40).fit(counts).standard_errors(counts)
    q = counts.mean(axis=0) / 40
    # The model does not hold: the sum of squared scores says how much they vary.
    wanted = 40 * q * (1 - q) / np.sqrt(n * counts.var(axis=0))
    np.testing.assert_allclose(found.of("means").errors[0], wanted, rtol=1e-3)
    model = emdist.CategoricalMixture(1, n_categories=3).fit(codes)
    p = np.stack([np.bincount(code, minlength=3) / n for code in codes.T])
    found = model.standard_errors(codes)
    wanted = np.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(found.of("probabilities").errors[0], wanted, rtol=0.05)
    model = emdist.MultinomialMixture(1).fit(counts)
    share = counts.sum(axis=0) / counts.sum()
    found = model.standard_errors(counts)
    wanted = np.sqrt(share * (1 - share) / counts.sum())
    np.testing.assert_allclose(found.of("proportions").errors[0], wanted, rtol=0.05)
    for kind in ("full", "tied", "diag"):
        model = emdist.GaussianMixture(1, covariance_type=kind).fit(normal)
        errors = model.standard_errors(normal).of("means").errors[0]
        np.testing.assert_allclose(errors, normal.std(axis=0) / np.sqrt(n), rtol=0.05)


def test_products_missing_values_noise_and_weights_have_standard_errors() -> None:
    rng = np.random.default_rng(2)
    near = np.column_stack([rng.normal(0, 1, 400), rng.poisson(2, 400)])
    X = np.concatenate([near, np.column_stack([rng.normal(9, 1, 400), rng.poisson(9, 400)])])
    groups = [
        {"columns": "0:1", "family": "diagonal"},
        {"columns": "1:2", "family": "poisson"},
    ]
    product = emdist.ProductMixture(2, groups=groups, random_state=0).fit(X)
    found = product.standard_errors(X)
    np.testing.assert_allclose(found.of("parts.0.means").errors, 0.05, rtol=0.15)
    frame = found.to_frame()
    assert set(frame[frame["parameter"] == "parts.1.means"]["feature"]) == {"x1"}
    # Rows that count twice are as good as two rows.
    twice = product.standard_errors(X, np.full(len(X), 2.0))
    ratio = twice.of("parts.0.means").errors / found.of("parts.0.means").errors
    np.testing.assert_allclose(ratio, np.sqrt(0.5), rtol=1e-10)
    gaps = X.copy()
    gaps[::2, 0] = np.nan
    for kind in ("full", "diag"):
        model = emdist.GaussianMixture(
            2, covariance_type=kind, non_finite="missing", random_state=0
        ).fit(gaps)
        error = model.standard_errors(gaps).of("means").errors[:, 0]
        np.testing.assert_allclose(error, 1 / np.sqrt(200), rtol=0.2)
    noisy = emdist.GaussianMixture(2, noise=0.05, random_state=0).fit(X)
    frame = noisy.standard_errors(X).to_frame()
    assert frame[frame["parameter"] == "weights"]["component"].tolist() == [0, 1, -1]


def test_blocks_and_engines_change_no_bit(tmp_path: Path) -> None:
    X = faithful()
    path = tmp_path / "x.zarr"
    zarr.create_array(str(path), shape=X.shape, dtype=X.dtype, chunks=(50, 2))[:] = X
    model, _ = old_faithful(block_size="800 B")
    found = []
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as own:
        for engine in (LocalEngine(threads=1), DaskEngine(own)):
            model.set_params(engine=engine)
            found.append(model.standard_errors(str(path), method="bootstrap", n_replicates=5))
    model.set_params(engine=None)
    for one, other in zip(found[0].estimates, found[1].estimates, strict=True):
        np.testing.assert_array_equal(one.errors, other.errors)
    whole = model.standard_errors(X, method="bootstrap", n_replicates=5)
    for one, other in zip(found[0].estimates, whole.estimates, strict=True):
        np.testing.assert_allclose(one.errors, other.errors, rtol=1e-5)


def test_rows_are_drawn_once_on_average_and_halves_share_none() -> None:
    rows = np.arange(100_000)
    counts = Resampling("bootstrap", 0, 3).counts(rows)
    assert counts.mean() == pytest.approx(1, abs=0.02)
    assert counts.var() == pytest.approx(1, abs=0.03)
    other = Resampling("bootstrap", 0, 4).counts(rows)
    assert abs(np.corrcoef(counts, other)[0, 1]) < 0.02
    half, rest = (Resampling(s, 0, 1).counts(rows) for s in ("half", "other half"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(half + rest, 1.0)
    assert half.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("over", ["starts", "bootstrap", "halves"])
def test_labels_of_clusters_that_are_apart_are_stable(over: str) -> None:
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.normal(9 * c, 1, (100, 2)) for c in range(3)])
    model = emdist.KMeans(3, random_state=0).fit(X)
    found = model.label_stability(X, over=over, n_replicates=6)  # type: ignore[arg-type]
    told = found.to_dict()
    if over != "starts":
        assert (told["adjusted_rand"], told["low"], told["doubts"]) == (1.0, 1.0, [])
        assert [one["overlap"] for one in told["components"]] == [1.0] * 3
    assert told["rows"] == 300


def test_labels_that_no_rows_decide_are_doubtful() -> None:
    X = np.random.default_rng(4).uniform(size=(400, 2))
    model = emdist.GaussianMixture(6, random_state=0).fit(X)
    found = model.label_stability(X, over="halves", n_replicates=4)
    assert found.agreement < 0.8
    assert "halves of the rows agree little" in found.doubts[0]


def test_a_second_component_is_found_and_has_the_ratio_of_mclust() -> None:
    X = faithful()
    model = emdist.GaussianMixture(1, reg_covar=0.0).fit(X)
    found = model.component_test(X, n_replicates=4, n_init=2)
    assert found.statistic == pytest.approx(RATIO, abs=0.05)
    assert found.p_value == pytest.approx(0.2)
    assert "1 against 2 components" in found.to_markdown()


@pytest.mark.parametrize(
    ("make", "call", "told"),
    [
        (lambda: emdist.KMeans(2), "standard_errors", "Use the bootstrap"),
        (lambda: emdist.KMeans(2), "component_test", "in a sweep"),
        (lambda: emdist.BayesianGaussianMixture(n_components=2), "standard_errors", "posteriors"),
        (lambda: emdist.GaussianHMM(2), "label_stability", "depend on one another"),
        (lambda: emdist.GaussianHMM(2), "standard_errors", "of such models are not known"),
        (lambda: emdist.GaussianHMM(2), "combine_components", "fewer states"),
    ],
)
def test_what_has_no_answer_is_refused(make: Any, call: str, told: str) -> None:
    X = faithful()
    with pytest.raises(ConfigError, match=told):
        getattr(make().set_params(random_state=0).fit(X), call)(X)


def test_too_few_rows_determine_no_standard_errors() -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(20, 6))
    model = emdist.GaussianMixture(1, random_state=0).fit(X)
    with pytest.raises(DataError, match="do not determine the 27 free parameters"):
        model.standard_errors(X)


def test_names_and_units_of_the_rows_are_told() -> None:
    X = pd.DataFrame(faithful(), columns=["eruptions", "waiting"])
    model = emdist.GaussianMixture(2, random_state=0).fit(X)
    told = model.standard_errors(X).to_markdown()
    assert "| 0: eruptions, waiting |" in told
    assert "1: waiting, eruptions" not in told
