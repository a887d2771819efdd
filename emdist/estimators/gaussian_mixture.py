"""GaussianMixture with scikit-learn's parameters and attributes, for data of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist.errors import ConfigError, StartError
from emdist.estimators.from_parameters import (
    Parameters,
    array,
    names_for,
    weights_of,
    with_number,
)
from emdist.estimators.gaussian import (
    FAMILIES,
    GaussianEstimator,
    above,
    checked_share,
    covariances_of,
    kind_of,
    prior_parameters,
)
from emdist.estimators.mixture import Criteria
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.estimators.to_sklearn import gaussians_of
from emdist.fit.start import Given
from emdist.interfaces import Floats
from emdist.settings.config import FitSection, ModelSection


@parameters(
    "covariance_type", "tol", "reg_covar", "max_iter", "n_init", "init_params", "weights_init",
    "means_init", "precisions_init", "random_state", "warm_start", "verbose", "verbose_interval",
)  # fmt: skip
class GaussianMixture(GaussianEstimator, Criteria):
    """Mixture of Gaussians by EM, exact and out of core.

    Parameters
    ----------
    n_components
        Components.
    covariance_type
        "full", "tied", "diag" (or "diagonal") or "spherical".
    tol
        Of the log-likelihood per row: nats.
    reg_covar
        Added to the diagonal of covariances.
    max_iter, n_init
        Iterations of one start at most, and starts.
    init_params
        "kmeans" (converged on a sample), "k-means++", "k-means||", "random_from_data" or
        "random", which are the same. With noise "kmeans" leaves out the sample's rows that have no
        near neighbours ("cleaned": Byers and Raftery 1998).
    weights_init, means_init, precisions_init
        A start in scikit-learn's shapes; what is not given is estimated from the rows nearest
        to the means.
    uniform_weights
        Keep all weights at 1 / n_components.
    noise
        True, or the share of rows to start with, for uniform noise beside the components (Banfield
        and Raftery 1993): outliers then get the label -1. None for no noise.
    noise_volume
        V of the noise's density 1 / V; None for the volume of the data's bounding box.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start
        Start from the previous fit's parameters.
    verbose, verbose_interval
        Print a line per iteration; the interval is accepted for scikit-learn's sake.
    on_collapse
        What happens to a component that collapses: "regularise", "reseed", "drop" or "raise".
    mean_precision_prior, mean_prior, degrees_of_freedom_prior, covariance_prior
        Of a conjugate prior, as in `BayesianGaussianMixture`; given any, means and covariances
        are the most probable ones and no longer those of maximum likelihood.
    weight_concentration_prior
        Of a Dirichlet prior of the weights, at least 1: each component gets this, less 1, rows
        more.
    assignment, assignment_options
        How rows are shared among components: "soft" (EM), "hard", "tempered" (deterministic
        annealing) or "stochastic", and a dict of its options; see docs/models.md.
    schedule, schedule_options
        How passes become iterations: "batch", "incremental", "squarem", "sparse" or "stepwise",
        and a dict of its options; see docs/schedules.md.
    precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, means_
        (k,) and (k, d). With noise, `weights_` and `noise_weight_` sum to 1.
    noise_weight_
        Share of the rows that is noise; only with noise.
    covariances_, precisions_, precisions_cholesky_
        In scikit-learn's shapes.
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood, with a prior its log-density too, per
        unit of weight: nats.
    n_features_in_
        Features seen by `fit`.
    history_
        One `emdist.fit.state.Record` per iteration of the best start.

    Examples
    --------
    >>> from emdist import GaussianMixture
    >>> X = [[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]]
    >>> sorted(GaussianMixture(2, random_state=0).fit(X).means_.ravel().round(1).tolist())
    [0.1, 9.1]
    """

    _: KW_ONLY
    means_init: Any = None
    precisions_init: Any = None
    noise: Any = None
    noise_volume: float | None = None

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name in FAMILIES.values()

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        kinds = {family: kind for kind, family in FAMILIES.items()}
        return cls(
            section.n_components,
            covariance_type=kinds[section.name],
            precision=section.precision,
            noise=None if section.noise is None else section.noise.weight,
            noise_volume=None if section.noise is None else section.noise.volume,
            uniform_weights=section.weights_name == "uniform",
            **prior_parameters(section),
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        family, prior = self._family(), self._prior(n_features)
        options = {"reg_covar": self.reg_covar} | ({"prior": prior} if prior else {})
        settings = {"noise": self._noise(), **self._weights_settings()}
        model = self._model_section(family, options, self.uniform_weights, **settings)
        fit = self._fit_section()
        if model.noise is not None and fit.init == "kmeans":
            fit = fit.model_copy(update={"init": "cleaned"})
        return model, fit, self._given(model, n_features)

    def _noise(self) -> Any:
        """The noise as the configuration has it."""
        if self.noise_volume is None:
            return self.noise
        if self.noise is None or self.noise is False:
            raise ConfigError(
                f"noise_volume={self.noise_volume!r} without noise; set noise=True, or the share "
                "of rows to start with."
            )
        share = {} if self.noise is True else {"weight": self.noise}
        return {**share, "volume": self.noise_volume}

    def _weights_settings(self) -> dict[str, Any]:
        concentration = self.weight_concentration_prior
        if concentration is None:
            return {}
        found = above(concentration, "weight_concentration_prior", 0)
        if self.uniform_weights:
            raise ConfigError(
                f"weight_concentration_prior={found:g} is of weights that are estimated, and "
                "uniform_weights=True keeps them all alike. Give one of the two."
            )
        if found < 1:
            raise ConfigError(
                f"weight_concentration_prior={found:g} has no most probable weights; wanted at "
                "least 1. Take BayesianGaussianMixture for fewer components."
            )
        return {"weights": "dirichlet", "weights_options": {"concentration": found}}

    def _given(self, model: ModelSection, d: int) -> Given:
        if self._is_warm(model, d):
            weights = self._fitted.params.weights
            return Given(self.means_, weights, {self._scale: np.array(self.covariances_)})
        k = model.n_components
        shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
        means, weights, precisions = (
            None if value is None else as_floats(value, name, shape)
            for value, name, shape in (
                (self.means_init, "means_init", (k, d)),
                (self.weights_init, "weights_init", (k,)),
                (self.precisions_init, "precisions_init", shapes[self._kind]),
            )
        )
        scales = {} if precisions is None else {self._scale: self._inverted(precisions)}
        return Given(means, weights, scales)

    def _inverted(self, precisions: Floats) -> Floats:
        if self._kind in ("diag", "spherical"):
            if not (precisions > 0).all():
                raise StartError("precisions_init holds values <= 0; wanted positive precisions.")
            return 1.0 / precisions
        if not np.allclose(precisions, np.swapaxes(precisions, -1, -2)):
            raise StartError("precisions_init is not symmetric; wanted precision matrices.")
        try:
            np.linalg.cholesky(precisions)
            return np.asarray(np.linalg.inv(precisions), np.float64)
        except np.linalg.LinAlgError as error:
            raise StartError(f"precisions_init is not positive definite: {error}.") from None

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        means: Any,
        covariances: Any,
        noise_weight: float | None = None,
        noise_box: Any = None,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """A fitted estimator of given parameters, which predicts, scores, draws, saves and labels.

        Parameters
        ----------
        weights
            (k,) >= 0; with `noise_weight` they sum to 1, as fitted ones do.
        means
            (k, d); the columns of a data frame name the features.
        covariances
            In the shape of `covariance_type`, "full" by default: (k, d, d), "tied": (d, d),
            "diag": (k, d), "spherical": (k,).
        noise_weight, noise_box
            Share of uniform noise, and where it lies: lowest and highest values (d,), (d,).
        feature_names
            Names of the features, if they have any.
        params
            Of the constructor, such as `covariance_type`; `n_components` follows from the means.

        Raises
        ------
        ConfigError
            If these are no parameters of such a mixture.
        """
        found = array(means, "means", ("n_components", "n_features"))
        k, d = found.shape
        share, noise = 1.0, {}
        if noise_weight is not None:
            share = 1.0 - checked_share(noise_weight, "noise_weight")
            noise = {"noise": np.array(1.0 - share)}
            params = {**params, "noise": noise_weight}
        own = array(weights, "weights", (k,))
        if share < 1 and abs(own.sum() - share) > 1e-6:
            raise ConfigError(
                f"weights and noise_weight sum to {own.sum() + 1 - share:.9g}; wanted 1."
            )
        own = weights_of(own / share, k, params)
        return cls._made(
            Parameters(
                found,
                {"means": found, **covariances_of(covariances, params, k, d)},
                own,
                names_for(feature_names, means, d),
                noise,
                _box(noise_box, d) if noise_weight is not None else None,
            ),
            **with_number(params, "n_components", k),
        )

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        return gaussians_of(self, kind_of(self._section))


def _box(given: Any, d: int) -> tuple[Floats, Floats]:
    """Lowest and highest values of noise."""
    if given is None:
        raise ConfigError(
            "noise_weight without noise_box; wanted the lowest and highest values of the data, "
            "such as noise_box=(X.min(axis=0), X.max(axis=0))."
        )
    low, high = array(given, "noise_box", (2, d))
    if not (low < high).all():
        raise ConfigError("noise_box has no extent in some feature; wanted low < high in each.")
    return low, high


estimator = GaussianMixture
