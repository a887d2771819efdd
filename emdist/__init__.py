"""EM clustering of Zarr arrays larger than memory: exact, restartable, bit for bit the same."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emdist.estimators.aligning import align
    from emdist.estimators.bayesian_gaussian_mixture import BayesianGaussianMixture
    from emdist.estimators.bernoulli_hmm import BernoulliHMM
    from emdist.estimators.bernoulli_mixture import BernoulliMixture
    from emdist.estimators.binomial_mixture import BinomialMixture
    from emdist.estimators.categorical_hmm import CategoricalHMM
    from emdist.estimators.categorical_mixture import CategoricalMixture
    from emdist.estimators.gaussian_hmm import GaussianHMM
    from emdist.estimators.gaussian_mixture import GaussianMixture
    from emdist.estimators.hidden_markov_model import HiddenMarkovModel
    from emdist.estimators.isotropic_mixture import IsotropicMixture
    from emdist.estimators.kcentroids import KCentroids
    from emdist.estimators.kmeans import KMeans
    from emdist.estimators.kmedians import KMedians
    from emdist.estimators.label_writing import open_labels
    from emdist.estimators.loading import load, load_distribution
    from emdist.estimators.mini_batch_kmeans import MiniBatchKMeans
    from emdist.estimators.multinomial_mixture import MultinomialMixture
    from emdist.estimators.poisson_hmm import PoissonHMM
    from emdist.estimators.poisson_mixture import PoissonMixture
    from emdist.estimators.product_mixture import ProductMixture
    from emdist.estimators.rows import rows
    from emdist.estimators.sweep import Sweep
    from emdist.exports.export import export
    from emdist.exports.mlflow import MLflowCallback
    from emdist.store.labels.committing import commit_labels

    __version__: str

__all__ = [
    "BayesianGaussianMixture",
    "BernoulliHMM",
    "BernoulliMixture",
    "BinomialMixture",
    "CategoricalHMM",
    "CategoricalMixture",
    "GaussianHMM",
    "GaussianMixture",
    "HiddenMarkovModel",
    "IsotropicMixture",
    "KCentroids",
    "KMeans",
    "KMedians",
    "MLflowCallback",
    "MiniBatchKMeans",
    "MultinomialMixture",
    "PoissonHMM",
    "PoissonMixture",
    "ProductMixture",
    "Sweep",
    "align",
    "commit_labels",
    "export",
    "load",
    "load_distribution",
    "open_labels",
    "rows",
]

# Resolved on first use: importing scikit-learn takes a second that `emdist --help` need not wait.
_WHERE = {
    "align": "emdist.estimators.aligning",
    "commit_labels": "emdist.store.labels.committing",
    "KCentroids": "emdist.estimators.kcentroids",
    "KMeans": "emdist.estimators.kmeans",
    "BayesianGaussianMixture": "emdist.estimators.bayesian_gaussian_mixture",
    "KMedians": "emdist.estimators.kmedians",
    "MiniBatchKMeans": "emdist.estimators.mini_batch_kmeans",
    "GaussianMixture": "emdist.estimators.gaussian_mixture",
    "BernoulliHMM": "emdist.estimators.bernoulli_hmm",
    "CategoricalHMM": "emdist.estimators.categorical_hmm",
    "GaussianHMM": "emdist.estimators.gaussian_hmm",
    "HiddenMarkovModel": "emdist.estimators.hidden_markov_model",
    "PoissonHMM": "emdist.estimators.poisson_hmm",
    "IsotropicMixture": "emdist.estimators.isotropic_mixture",
    "BernoulliMixture": "emdist.estimators.bernoulli_mixture",
    "BinomialMixture": "emdist.estimators.binomial_mixture",
    "CategoricalMixture": "emdist.estimators.categorical_mixture",
    "MultinomialMixture": "emdist.estimators.multinomial_mixture",
    "PoissonMixture": "emdist.estimators.poisson_mixture",
    "ProductMixture": "emdist.estimators.product_mixture",
    "Sweep": "emdist.estimators.sweep",
    "MLflowCallback": "emdist.exports.mlflow",
    "export": "emdist.exports.export",
    "load": "emdist.estimators.loading",
    "load_distribution": "emdist.estimators.loading",
    "open_labels": "emdist.estimators.label_writing",
    "rows": "emdist.estimators.rows",
}
#: Packages that users reach as attributes, without an import of their own.
_PACKAGES = ("metrics",)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from emdist.runtime.version import version

        return version()
    if name in _PACKAGES:
        return import_module(f"emdist.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'emdist' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
