"""Back from a folder to an estimator."""

from __future__ import annotations

import os
from typing import Any

from emdist.config import ModelSection
from emdist.errors import ConfigError
from emdist.estimators.base import Estimator
from emdist.estimators.bernoulli_mixture import BernoulliMixture
from emdist.estimators.binomial_mixture import BinomialMixture
from emdist.estimators.categorical_mixture import CategoricalMixture
from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.gaussian_mixture import GaussianMixture
from emdist.estimators.kmeans import KMeans
from emdist.estimators.mini_batch_kmeans import MiniBatchKMeans
from emdist.estimators.multinomial_mixture import MultinomialMixture
from emdist.estimators.poisson_mixture import PoissonMixture
from emdist.saved import load_fitted
from emdist.store.location import Location

_COVARIANCE = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}
_DISCRETE: tuple[type[DiscreteMixture], ...] = (
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    MultinomialMixture,
    PoissonMixture,
)


def load(path: str | os.PathLike[str]) -> Estimator:
    """The estimator that `save` stored at `path`, or that of a finished run's folder.

    Raises
    ------
    NotFoundError
        If there is no model.
    CheckpointError
        If it is damaged.
    """
    section, fitted, meta = load_fitted(Location(os.fspath(path)))
    estimator = _empty(section, meta.get("estimator"))
    known = estimator.get_params()
    stored = meta.get("params")
    if isinstance(stored, dict):
        estimator.set_params(**{k: v for k, v in stored.items() if k in known})
    estimator._adopt(fitted, section)
    return estimator


def _empty(section: ModelSection, name: Any) -> Estimator:
    if section.name == "kmeans":
        cls = MiniBatchKMeans if name == MiniBatchKMeans.__name__ else KMeans
        return cls(section.n_components, precision=section.precision)
    if section.name in _COVARIANCE:
        options: dict[str, Any] = {k: v for k, v in section.options.items() if k == "reg_covar"}
        return GaussianMixture(
            section.n_components,
            covariance_type=_COVARIANCE[section.name],
            precision=section.precision,
            **options,
        )
    for discrete in _DISCRETE:
        if section.name == discrete.family:
            return discrete.from_section(section)
    raise ConfigError(
        f"A model of the family {section.name!r} has no estimator; label data with it by "
        "`emdist label`."
    )
