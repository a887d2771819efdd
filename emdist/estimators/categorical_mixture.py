"""Mixture of categoricals, for data of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar, Self

from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import array, with_number
from emdist.estimators.parameters import parameters
from emdist.interfaces import Floats


@parameters()
class CategoricalMixture(DiscreteMixture):
    """Mixture of independent categoricals: latent class analysis, by EM, exact and out of core.

    Parameters
    ----------
    n_components
        Components.
    n_categories
        c, of every feature; the data holds codes in 0..c-1.
    tol
        Of the bound per row: nats.
    max_iter, n_init
        Iterations of one start at most, and starts.
    init_params
        "random" (the default: codes have no distances), or as in `GaussianMixture`.
    weights_init, probabilities_init
        A start: (k,) and (k, d, c), summing to 1 along the last axis; what is not given is
        estimated from the rows nearest.
    uniform_weights
        Keep all weights at 1 / n_components.
    smoothing
        Pseudo-count of every category.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start, on_collapse, assignment, assignment_options, schedule, schedule_options
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, probabilities_
        (k,) and (k, d, c), summing to 1 along the last axis.
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood, and log-prior if `smoothing` is not 0,
        per unit of weight: nats.
    n_features_in_, history_
        As in `GaussianMixture`.
    """

    family = "categorical"
    _options: ClassVar[Mapping[str, str]] = {"smoothing": "smoothing", "categories": "n_categories"}
    _option_names: ClassVar[Mapping[str, str]] = _options
    _array = "probabilities"
    _sums_to_one = True

    probabilities_ = Learned[Floats]()

    _: KW_ONLY
    n_categories: int = 2
    init_params: str = "random"
    probabilities_init: Any = None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags

    def _shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d, int(self.n_categories))

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        probabilities: Any,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """As `BernoulliMixture.from_parameters`, with probabilities (k, d, n_categories)."""
        found = array(probabilities, "probabilities", ("n_components", "n_features", "categories"))
        params = with_number(params, "n_categories", found.shape[2])
        return super().from_parameters(
            weights=weights, probabilities=found, feature_names=feature_names, **params
        )


estimator = CategoricalMixture
