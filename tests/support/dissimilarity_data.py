"""Dissimilarities as SciPy and NumPy have them, and data in the domain of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import kl_div, rel_entr

from emdist.composition.model import dissimilarity_of
from emdist.inputs.plugins import plugins
from emdist.interfaces import Array, Floats
from emdist.settings.config import DISSIMILARITIES
from tests.support.fitting import Setting

#: Every dissimilarity there is: a new file is tested by existing, once it has an entry here.
ALL = sorted(plugins(DISSIMILARITIES, "dissimilarity"))

#: Symmetric positive definite, far from a multiple of the identity.
MATRIX = [[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 0.7]]

OPTIONS: dict[str, dict[str, Any]] = {"mahalanobis": {"matrix": MATRIX}}

Oracle = Callable[[Floats, Floats], Floats]


def proportions(x: Floats) -> Floats:
    return x / x.sum(axis=1, keepdims=True)


#: (m, d), (k, d) -> (m, k), written down from the definitions.
ORACLES: dict[str, Oracle] = {
    "squared_euclidean": lambda x, c: cdist(x, c, "sqeuclidean"),
    "cosine": lambda x, c: cdist(x, c, "cosine"),
    "mahalanobis": lambda x, c: cdist(x, c, "mahalanobis", VI=np.array(MATRIX)) ** 2,
    "kullback_leibler": lambda x, c: rel_entr(proportions(x)[:, None], proportions(c)).sum(axis=2),
    "generalised_i": lambda x, c: kl_div(x[:, None], c).sum(axis=2),
    "itakura_saito": lambda x, c: (x[:, None] / c - np.log(x[:, None] / c) - 1).sum(axis=2),
    "logistic": lambda x, c: (kl_div(x[:, None], c) + kl_div(1 - x[:, None], 1 - c)).sum(axis=2),
}


def centre(name: str, x: Floats, weight: Floats) -> Floats:
    """The centre of rows (m, 3), from the papers."""
    if name == "cosine":
        mean = weight @ (x / np.linalg.norm(x, axis=1, keepdims=True))
        return mean / np.linalg.norm(mean)
    if name == "kullback_leibler":
        return np.average(proportions(x), axis=0, weights=weight)
    return np.average(x, axis=0, weights=weight)


def dissimilarity(name: str) -> Any:
    return dissimilarity_of(name, OPTIONS.get(name, {}))


def setting(name: str, k: int = 3, **changes: Any) -> Setting:
    return Setting("kcentroids", k, dissimilarity=name, options=OPTIONS.get(name, {}), **changes)


def rows(name: str, n: int, k: int = 3, seed: int = 0, apart: float = 1.0) -> Array:
    """`n` rows of `k` overlapping clusters with three features, in the domain of `name`."""
    rng = np.random.default_rng([seed, n, k])
    z = apart * rng.standard_normal((k, 3))[rng.integers(0, k, n)] + 0.5 * rng.standard_normal(
        (n, 3)
    )
    if dissimilarity(name).domain is None:
        return z + 0.3
    return 1 / (1 + np.exp(-z)) if name == "logistic" else np.exp(z)


def k_centroids(
    name: str, x: Floats, weight: Floats, centres: Floats, iterations: int = 100
) -> tuple[Floats, Floats, list[float]]:
    """Centres, labels and the objective at every step: the algorithm, as plain as it can be."""
    history: list[float] = []
    labels = np.full(len(x), -1)
    for _ in range(iterations):
        apart = ORACLES[name](x, centres)
        last, labels = labels, apart.argmin(axis=1)
        history.append(float(weight @ apart.min(axis=1)))
        centres = np.stack(
            [centre(name, x[labels == c], weight[labels == c]) for c in range(len(centres))]
        )
        if (labels == last).all():
            break
    return centres, labels, history
