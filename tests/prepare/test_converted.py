"""Models that prepare rows: completed in the units of the data, and converted to scikit-learn."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.base
import zarr
from sklearn.pipeline import Pipeline

from emdist import BayesianGaussianMixture, GaussianMixture, KMeans
from emdist.errors import ConfigError

RNG = np.random.default_rng(7)
#: Correlated positive rows of two clusters, in units of very different sizes.
X = np.exp(
    RNG.normal(size=(600, 4)) @ RNG.normal(size=(4, 4)) / 4 + np.repeat([[0.0], [2.0]], 300, 0)
) * [1, 100, 0.01, 10]


def holed() -> Any:
    x = X.copy()
    rng = np.random.default_rng(1)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[np.isnan(x).all(axis=1)] = X[0]
    return x


def test_standardised_rows_are_completed_exactly() -> None:
    gm = GaussianMixture(2, random_state=0, prepare=["standardise"]).fit(X)
    step = gm.preparation_.learned[0]
    # The same mixture in the units of the data.
    scale = step["scale"]
    plain = GaussianMixture.from_parameters(
        weights=gm.weights_,
        means=gm.means_ * scale + step["mean"],
        covariances=gm.covariances_ * scale * scale[:, None],
    )
    x = holed()
    found, std = gm.complete(x, return_std=True)
    wanted, wanted_std = plain.complete(x, return_std=True)
    assert np.allclose(found, wanted, rtol=1e-10)
    assert np.allclose(std, wanted_std, rtol=1e-8)
    seen = ~np.isnan(x)
    assert np.array_equal(found[seen], x[seen]), "observed values keep their bits"
    assert (std[seen] == 0).all()


def test_stored_rows_after_logarithms_are_moved_back(tmp_path: Path) -> None:
    gm = GaussianMixture(2, random_state=0, prepare=["log1p", "standardise"]).fit(X)
    mean, scale = gm.preparation_.learned[1]["mean"], gm.preparation_.learned[1]["scale"]
    logs = GaussianMixture.from_parameters(
        weights=gm.weights_,
        means=gm.means_ * scale + mean,
        covariances=gm.covariances_ * scale * scale[:, None],
    )
    x = holed()
    zarr.create_array(tmp_path / "x.zarr", data=x, chunks=(100, 4))
    found = gm.complete(tmp_path / "x.zarr")
    missing = np.isnan(x)
    assert np.allclose(found[missing], np.expm1(logs.complete(np.log1p(x)))[missing], rtol=1e-8)
    assert np.array_equal(found[~missing], x[~missing])
    with pytest.raises(ConfigError, match="return_std=True is not available after log1p"):
        gm.complete(x, return_std=True)


@pytest.mark.parametrize("step", [{"pca": 2}, {"normalise": "l1"}])
def test_what_mixes_features_cannot_be_undone(step: Any) -> None:
    (name,) = step
    gm = GaussianMixture(2, random_state=0, prepare=["standardise", step]).fit(X)
    with pytest.raises(ConfigError, match=f"cannot undo the step {name} .* without {name}"):
        gm.complete(holed())


STEPS: dict[str, list[Any]] = {
    "standardise": ["standardise"],
    "only centred": [{"standardise": {"with_std": False}}],
    "only scaled": [{"standardise": {"with_mean": False}}],
    "pca": ["standardise", {"pca": 3}],
    "whitened": [{"pca": {"components": 2, "whiten": True}}],
    "share": ["standardise", {"pca": 0.8}],
    "logarithms": ["log1p", {"normalise": "l2"}, "standardise"],
    "largest": [{"normalise": "max"}],
    "total": [{"normalise": {"total": 1e4}}, "log1p"],
    "clip": ["standardise", {"clip": [-2, 2]}],
    "clip below": [{"clip": {"low": 1}}, "log1p"],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_pipeline_of_scikit_learn_agrees(steps: list[Any]) -> None:
    gm = GaussianMixture(2, random_state=0, prepare=steps, reg_covar=1e-6).fit(X)
    twin = gm.to_sklearn()
    assert isinstance(twin, Pipeline)
    new = X[::-1] * 1.01
    assert np.allclose(twin.score_samples(new), gm.score_samples(new), rtol=1e-10, atol=1e-10)
    assert np.allclose(twin.predict_proba(new), gm.predict_proba(new), atol=1e-10)
    assert np.array_equal(twin.predict(new), gm.predict(new))
    assert pickle.loads(pickle.dumps(twin)).n_features_in_ == 4
    again = sklearn.base.clone(twin).fit(X)
    rows = X
    for (_, one), (_, other) in zip(twin.steps[:-1], again.steps[:-1], strict=True):
        assert np.allclose(one.transform(rows), other.transform(rows), atol=1e-9)
        rows = one.transform(rows)


def test_names_belong_to_the_first_step() -> None:
    table = pd.DataFrame(X, columns=list("abcd"))
    km = KMeans(2, random_state=0, prepare=["standardise", {"pca": 2}]).fit(table)
    twin = km.to_sklearn()
    assert twin.feature_names_in_.tolist() == list("abcd")
    assert np.array_equal(twin.predict(table), km.predict(table))
    assert np.allclose(twin.transform(table), km.transform(table), rtol=1e-10)
    assert twin.get_feature_names_out().tolist() == ["kmeans0", "kmeans1"]
    posterior = BayesianGaussianMixture(
        n_components=2, random_state=0, prepare=["standardise"]
    ).fit(table)
    assert np.allclose(
        posterior.to_sklearn().predict_proba(table), posterior.predict_proba(table), atol=1e-10
    )


def test_steps_that_scikit_learn_lacks_are_named() -> None:
    by = {"standardise": {"by": "variable", "groups": [[0, 1], [2, 3]]}}
    with pytest.raises(ConfigError, match=r"step standardise in prepare: .* not by variable"):
        KMeans(2, random_state=0, prepare=[by]).fit(X).to_sklearn()
    pairwise = {"pca": {"components": 2, "missing": "pairwise"}}
    gm = GaussianMixture(2, random_state=0, prepare=[pairwise], non_finite="missing").fit(holed())
    with pytest.raises(ConfigError, match="step pca in prepare: its PCA takes no incomplete rows"):
        gm.to_sklearn()
