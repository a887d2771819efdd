"""A fitted or saved mixture as a distribution, and the example on the page of models."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import NotFittedError

import emdist
from emdist import (
    BayesianGaussianMixture,
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    KMeans,
    MultinomialMixture,
    PoissonMixture,
)
from emdist.errors import ConfigError, NotFoundError
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.paths import ROOT

Rows = NDArray[np.float64]

COVARIANCES = ["full", "tied", "diag", "spherical"]
DISCRETE: list[tuple[Any, dict[str, Any]]] = [
    (BernoulliMixture, {}),
    (BinomialMixture, {"n_trials": [4, 3, 5]}),
    (CategoricalMixture, {"n_categories": 2}),
    (PoissonMixture, {}),
    (MultinomialMixture, {}),
]
PAGE = ROOT / "docs" / "models.md"


def run(data: Path, folder: Path, **model: Any) -> None:
    """A finished run in `folder`, as the command line leaves it."""
    config = make_config(
        {
            "data": {"path": str(data)},
            "model": model,
            "fit": {"seed": 0},
            "run": {"folder": str(folder.parent), "key": folder.name},
        }
    )
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()


@pytest.mark.parametrize("far", [0.0, 1e6])
@pytest.mark.parametrize("kind", COVARIANCES)
def test_a_fit_knows_the_moments_of_its_data(kind: str, far: float, x: Rows) -> None:
    est = GaussianMixture(3, covariance_type=kind, reg_covar=0.0, tol=1e-3, random_state=0)
    whole = est.fit(x + far).distribution()
    np.testing.assert_array_equal(whole.component_means(), est.means_)
    # After any M-step the mixture has the data's mean and, if free, its covariance.
    np.testing.assert_allclose(whole.mean() - far, x.mean(axis=0), atol=2e-9)
    total, wanted = whole.covariance().total, np.cov(x.T, bias=True)
    if kind in ("full", "tied"):
        np.testing.assert_allclose(total, wanted, atol=1e-8)
    np.testing.assert_allclose(total.trace(), wanted.trace(), rtol=1e-8)
    np.testing.assert_allclose(whole.log_density(x + far), est.score_samples(x + far), atol=1e-7)
    np.testing.assert_array_equal(whole.labels(x + far), est.predict(x + far))


@pytest.mark.parametrize(("cls", "settings"), DISCRETE)
def test_mixtures_of_counts_tell_the_same(
    cls: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    x = np.random.default_rng(0).integers(0, 2, (200, 3)).astype(np.float64)
    est = cls(2, random_state=0, max_iter=300, **settings).fit(x)
    whole = est.distribution()
    np.testing.assert_allclose(whole.mean(), x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(whole.log_density(x), est.score_samples(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(whole.responsibilities(x), est.predict_proba(x), atol=1e-9)
    est.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m").distribution()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(back.log_density(x), whole.log_density(x))


def test_completion_is_the_mean_of_the_conditional() -> None:
    x = np.random.default_rng(0).integers(0, 2, (300, 4)).astype(np.float64)
    est = BernoulliMixture(3, random_state=0).fit(x)
    row = np.array([[1.0, np.nan, 0.0, np.nan]])
    found = est.distribution().conditional_mean([0, 2], row[:, [0, 2]])
    np.testing.assert_allclose(found, est.complete(row)[:, [1, 3]], rtol=1e-10)


def test_a_saved_run_of_any_mixture_is_a_distribution(
    x: Rows, stored: Path, tmp_path: Path
) -> None:
    for name, options in (("diagonal", {}), ("isotropic", {"variance": 2.0})):
        run(stored, tmp_path / name, name=name, n_components=3, options=options)
        whole = emdist.load_distribution(tmp_path / name)
        assert whole.n_components == 3
        np.testing.assert_allclose(whole.mean(), x.mean(axis=0), rtol=1e-6)
    same = emdist.load(tmp_path / "diagonal").distribution()  # type: ignore[attr-defined]
    here = emdist.load_distribution(tmp_path / "diagonal")
    np.testing.assert_array_equal(same.log_density(x), here.log_density(x))
    assert np.diag(whole.covariance().within).tolist() == [2.0, 2.0, 2.0]


def test_kmeans_is_no_distribution(x: Rows, tmp_path: Path) -> None:
    est = KMeans(3, random_state=0).fit(x)
    assert not hasattr(est, "distribution")
    est.save(tmp_path / "m")
    with pytest.raises(ConfigError, match="is not a mixture"):
        emdist.load_distribution(tmp_path / "m")
    with pytest.raises(NotFoundError):
        emdist.load_distribution(tmp_path / "nowhere")
    with pytest.raises(NotFittedError):
        GaussianMixture(2).distribution()


def test_the_example_on_the_page_runs() -> None:
    (example,) = re.findall(r"```python\n(>>> .*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found = doctest.DocTestParser().get_doctest(example, {}, "models.md", str(PAGE), 0)
    assert len(found.examples) > 8
    failures, _ = doctest.DocTestRunner().run(found)
    assert failures == 0


def test_of_a_posterior_it_is_the_expected_mixture() -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(c, 1.0, (100, 2)) for c in (0.0, 6.0, 14.0)]) + 1e3
    fitted = BayesianGaussianMixture(n_components=3, random_state=0).fit(x)
    found = fitted.distribution()
    np.testing.assert_allclose(found.mean(), fitted.weights_ @ fitted.means_, rtol=1e-12)
    wanted = np.stack(
        [
            np.log(w) + multivariate_normal(m, c).logpdf(x)
            for w, m, c in zip(fitted.weights_, fitted.means_, fitted.covariances_, strict=True)
        ]
    )
    np.testing.assert_allclose(found.log_density(x), logsumexp(wanted, axis=0), rtol=1e-9)
