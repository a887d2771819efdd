"""EM clustering of Zarr arrays larger than memory: exact, restartable, bit for bit the same."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emdist.estimators.bernoulli_mixture import BernoulliMixture
    from emdist.estimators.binomial_mixture import BinomialMixture
    from emdist.estimators.categorical_mixture import CategoricalMixture
    from emdist.estimators.gaussian_mixture import GaussianMixture
    from emdist.estimators.kmeans import KMeans
    from emdist.estimators.loading import load
    from emdist.estimators.mini_batch_kmeans import MiniBatchKMeans
    from emdist.estimators.multinomial_mixture import MultinomialMixture
    from emdist.estimators.poisson_mixture import PoissonMixture

__all__ = [
    "BernoulliMixture",
    "BinomialMixture",
    "CategoricalMixture",
    "GaussianMixture",
    "KMeans",
    "MiniBatchKMeans",
    "MultinomialMixture",
    "PoissonMixture",
    "load",
]

# Resolved on first use: importing scikit-learn takes a second that `emdist --help` need not wait.
_WHERE = {
    "KMeans": "emdist.estimators.kmeans",
    "MiniBatchKMeans": "emdist.estimators.mini_batch_kmeans",
    "GaussianMixture": "emdist.estimators.gaussian_mixture",
    "BernoulliMixture": "emdist.estimators.bernoulli_mixture",
    "BinomialMixture": "emdist.estimators.binomial_mixture",
    "CategoricalMixture": "emdist.estimators.categorical_mixture",
    "MultinomialMixture": "emdist.estimators.multinomial_mixture",
    "PoissonMixture": "emdist.estimators.poisson_mixture",
    "load": "emdist.estimators.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'emdist' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
