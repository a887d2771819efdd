"""`GaussianMixture`, with scikit-learn's parameters and attributes, for data of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from emdist import fit
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
from emdist.interfaces import Floats

if TYPE_CHECKING:
    from emdist.fit.start import Given
    from emdist.settings.config import FitSection, ModelSection


@parameters(
    "covariance_type", "tol", "reg_covar", "max_iter", "n_init", "init_params", "weights_init",
    "means_init", "precisions_init", "random_state", "warm_start", "verbose", "verbose_interval",
)  # fmt: skip
class GaussianMixture(GaussianEstimator, Criteria):
    """Mixture of Gaussians by EM: exact, for data of any size.

    Parameters
    ----------
    n_components : int, default=1
        Number of mixture components. Compare several with `Sweep`.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Shape of the covariance matrices. Simpler shapes need fewer rows and less time.

        - 'full': One matrix for each component.
        - 'tied': One matrix for all components.
        - 'diag': Variances of the features for each component; 'diagonal' is the same.
        - 'spherical': One variance for each component.

    tol : float, default=0.001
        Stop when the lower bound per row improves by less than this in an iteration (in nats).
        Lower it for more exact parameters, at the cost of more iterations.
    reg_covar : float, default=1e-06
        Value added to the diagonal of the covariance matrices, which keeps them positive definite
        (squared units of the data). Raise it if components collapse; lower it if features vary by
        less than 1e-3.
    max_iter : int, default=100
        Maximum number of iterations of one restart. Raise it if a ConvergenceWarning says that the
        fit has not converged.
    n_init : int, default=1
        Number of restarts. The one with the best objective is kept. All restarts share their reads
        of the data. Raise it (to 10, say) if restarts end at different objectives.
    init_params : {'kmeans', 'k-means++', 'k-means||', 'random_from_data', 'standardised',
        'cleaned'}, default='kmeans'
        How the starting means are chosen, on a sample of the rows. With noise, 'kmeans' leaves out
        rows that have no near neighbours (Byers and Raftery 1998).

        - 'kmeans': K-means on the sample, in about the time of an iteration on all rows.
        - 'k-means++': Greedy k-means++.
        - 'k-means||': k-means|| with oversampling.
        - 'random_from_data': Random rows; 'random' is the same.
        - 'standardised': As 'kmeans', with every feature divided by its standard deviation.
        - 'cleaned': As 'kmeans', without rows that have no near neighbours.

    weights_init : array-like of shape (n_components,) or None, default=None
        Starting weights. Parameters that are not given are estimated from the rows nearest to the
        means.
    means_init : array-like of shape (n_components, n_features) or None, default=None
        Starting means.
    precisions_init : array-like or None, default=None
        Starting precisions (inverse covariances), in the shape that `covariance_type` gives:
        (n_components, n_features, n_features) for 'full', (n_features, n_features) for 'tied',
        (n_components, n_features) for 'diag', (n_components,) for 'spherical'.
    random_state : int, RandomState instance or None, default=None
        Random seed. The same integer gives bit-identical results with any number of threads or
        workers; None draws a new seed. Pass an integer for results that can be repeated.
    warm_start : bool, default=False
        Start from the parameters of the previous fit of this estimator.
    verbose : int, default=0
        Print one line per iteration if it is not 0.
    verbose_interval : int, default=10
        Accepted for compatibility with scikit-learn; it has no effect.
    noise : float or bool or None, default=None
        Add a uniform noise component for outliers, which get the label -1 (Banfield and Raftery
        1993). A number is the share of rows that is noise at the start; True means 0.05. Use it if
        a few far rows distort the components.
    noise_volume : float or None, default=None
        Volume V of the uniform noise, whose density is 1 / V; None is the bounding box of the data.
    mean_precision_prior : float or None, default=None
        Number of rows that the prior of the means is worth. Any prior makes means and covariances
        the most probable ones (MAP).
    mean_prior : array-like of shape (n_features,) or None, default=None
        Mean of the prior of the means; None is the mean of the data.
    degrees_of_freedom_prior : float or None, default=None
        Degrees of freedom of the prior of the precisions, more than n_features - 1; None is
        n_features.
    covariance_prior : array-like, float or None, default=None
        Scale of the prior of the covariances: of shape (n_features, n_features), (n_features,) for
        'diag', a number for 'spherical'; None is that of the data.
    weight_concentration_prior : float or None, default=None
        Concentration of a Dirichlet prior of the weights, at least 1. It adds (value - 1)
        pseudo-rows to each component.
    uniform_weights : bool, default=False
        Keep all mixture weights at 1 / n_components.
    on_collapse : {'regularise', 'reseed', 'drop', 'raise'}, default='regularise'
        What to do with a component that loses its rows, or becomes too narrow to have a density.

        - 'regularise': Keep it, with the parameters that the M-step gives it. Variances of
          Gaussians contain reg_covar; if it is too small for a density, the fit stops with an
          error.
        - 'reseed': Move it to the row that the model explains worst.
        - 'drop': Remove it, and go on with fewer components.
        - 'raise': Stop with an error.

    assignment : {'soft', 'hard', 'tempered', 'stochastic'}, default='soft'
        How each row is shared among the components. Models of centres always use hard assignment.
        The default suits most data; docs/models.md describes the others.

        - 'soft': Each component gets its responsibility for the row. This is ordinary EM.
        - 'hard': The most probable component gets the whole row. This is classification EM.
        - 'tempered': The shares are nearly equal at first and approach those of EM. This is
          deterministic annealing; its result depends less on the starting values.
        - 'stochastic': In the first iterations, a random component gets the whole row, drawn with
          the responsibilities as probabilities. Ordinary EM follows.

    assignment_options : dict or None, default=None
        Options of the assignment, such as {'start': 2.0} for 'tempered'; docs/models.md lists them.
    schedule : {'batch', 'squarem', 'incremental', 'sparse', 'stepwise', 'minibatch'},
        default='batch'
        How EM iterates over the data. The default suits most data; docs/schedules.md compares them.

        - 'batch': One M-step after each pass over all rows.
        - 'squarem': Extrapolates from the last EM steps, for fits that need many iterations. Needs
          soft assignment.
        - 'incremental': An M-step after each group of blocks.
        - 'sparse': Skips components that do not matter for a row. Needs soft assignment.
        - 'stepwise': Online EM in the first passes, then batch.
        - 'minibatch': Online passes over mini-batches, then batch. Needs K-means or hard
          assignment.

    schedule_options : dict or None, default=None
        Options of the schedule, such as {'groups': 8} for 'incremental'; docs/schedules.md lists
        them.
    precision : {'auto', 'float32', 'float64'}, default='auto'
        Floating-point type of the arithmetic within a block. Sums over rows are always float64.

        - 'auto': The type of the data where that is accurate enough.
        - 'float32': Faster, accurate to about six digits.
        - 'float64'

    engine : distributed.Client or None, default=None
        Where blocks are computed: on the workers of a Dask client, or on threads of this process
        (None). Results do not depend on it.
    block_size : str or None, default=None
        Size of a block of rows in memory, such as '64 MiB'. Each thread or worker processes one
        block at a time. Make it smaller if memory is short. Results for another block size agree to
        about ten digits; they are not bit-identical.
    missing_chunks : {'raise', 'drop', 'fill'}, default='raise'
        What to do with chunks of a Zarr array that were never written.

        - 'raise': Stop with an error.
        - 'drop': Leave out their rows.
        - 'fill': Use the fill value of the array.

    corrupt_chunks : {'raise', 'drop'}, default='raise'
        What to do with chunks of a Zarr array that cannot be decoded.

        - 'raise': Stop with an error.
        - 'drop': Leave out their rows.

    non_finite : {'raise', 'drop', 'missing'}, default='raise'
        What to do with rows that contain NaN or infinity.

        - 'raise': Stop with an error.
        - 'drop': Leave out these rows.
        - 'missing': Treat NaN as missing at random and fit what is observed; infinity is an error.

    decode : {'cf', 'none'}, default='cf'
        How stored numbers of a Zarr array become values.

        - 'cf': Apply the attributes scale_factor, add_offset, _FillValue, missing_value and
          _Unsigned, as xarray does. Fill values become NaN, which non_finite decides about.
        - 'none': Use the stored numbers as they are.

    prepare : list or None, default=None
        Steps that prepare rows before they are clustered: names such as 'standardise', dicts such
        as {'pca': 8}, or transformers of `emdist.prepare`. Fitted attributes such as means are
        those of prepared rows; ``preparation_.inverse`` moves them back. Use it for features of
        different units; docs/prepare.md lists the steps.
    cache : str, default='auto'
        Memory in which a process keeps decoded blocks between passes: 'auto', 'off', or a size such
        as '4 GiB'. 'auto' takes half of the memory that is free, and gives it back when memory gets
        short. Results do not depend on it. Use 'off' to hold no more than the blocks at work.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Mixture weights. With noise, they and `noise_weight_` sum to 1.
    means_ : ndarray of shape (n_components, n_features)
        Means of the components.
    noise_weight_ : float
        Weight of the noise component; only with `noise`.
    covariances_ : ndarray
        Covariances, in the shape that `covariance_type` gives in scikit-learn.
    precisions_ : ndarray
        Inverses of the covariances, in the same shape.
    precisions_cholesky_ : ndarray
        Cholesky factors of the precisions, in the same shape.
    converged_ : bool
        Whether the best restart has converged.
    n_iter_ : int
        Number of iterations of the best restart.
    lower_bound_ : float
        Lower bound of the best restart per unit of sample weight, in nats: the log-likelihood, plus
        the log-prior where there is a prior or `smoothing`.
    lower_bounds_ : list of float
        Lower bound after each iteration.
    n_features_in_ : int
        Number of features seen by `fit`.
    history_ : tuple of Record
        One `emdist.fit.state.Record` for each iteration of the best restart.

    Examples
    --------
    >>> from emdist import GaussianMixture
    >>> X = [[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]]
    >>> sorted(GaussianMixture(2, random_state=0).fit(X).means_.ravel().round(1).tolist())
    [0.1, 9.1]
    """

    _: KW_ONLY
    means_init: ArrayLike | None = None
    precisions_init: ArrayLike | None = None
    noise: float | bool | None = None
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
        section = self._fit_section()
        if model.noise is not None and section.init == "kmeans":
            section = section.model_copy(update={"init": "cleaned"})
        return model, section, self._given(model, n_features)

    def _noise(self) -> Any:
        """Return the noise in the form of the configuration."""
        if self.noise_volume is None:
            return self.noise
        if self.noise is None or self.noise is False:
            raise ConfigError(
                f"noise_volume={self.noise_volume!r} is given without noise. Set noise=True, or "
                "noise to the share of noise at the start."
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
                f"weight_concentration_prior={found:g} is for weights that are estimated, but "
                "uniform_weights=True keeps all weights equal. Give only one of the two."
            )
        if found < 1:
            raise ConfigError(
                f"weight_concentration_prior={found:g} leaves the most probable weights "
                "undefined; expected at least 1. Use BayesianGaussianMixture for fewer "
                "components."
            )
        return {"weights": "dirichlet", "weights_options": {"concentration": found}}

    def _given(self, model: ModelSection, d: int) -> Given:
        if self._is_warm(model, d):
            weights = self._fitted.params.weights
            return fit.start.Given(self.means_, weights, {self._scale: np.array(self.covariances_)})
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
        return fit.start.Given(means, weights, scales)

    def _inverted(self, precisions: Floats) -> Floats:
        if self._kind in ("diag", "spherical"):
            if not (precisions > 0).all():
                raise StartError("precisions_init holds values <= 0; expected positive precisions.")
            return 1.0 / precisions
        if not np.allclose(precisions, np.swapaxes(precisions, -1, -2)):
            raise StartError("precisions_init is not symmetric; expected precision matrices.")
        try:
            np.linalg.cholesky(precisions)
            return np.asarray(np.linalg.inv(precisions), np.float64)
        except np.linalg.LinAlgError:
            raise StartError(
                "precisions_init is not positive definite; expected precision matrices."
            ) from None

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
        """Make a fitted estimator from known parameters, without data.

        It can predict, score, draw, save and label as if it had been fitted.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Mixture weights >= 0. Together with `noise_weight` they sum to 1, as fitted ones do.
        means : array-like of shape (n_components, n_features)
            Means, in the units of the data. The columns of a data frame name the features.
        covariances : array-like
            Covariances, in the shape that `covariance_type` gives: (n_components, n_features,
            n_features) for 'full', the default, (n_features, n_features) for 'tied',
            (n_components, n_features) for 'diag' and (n_components,) for 'spherical'.
        noise_weight : float or None, default=None
            Weight of the noise component, between 0 and 1; None for no noise.
        noise_box : array-like of shape (2, n_features) or None, default=None
            Where the noise lies: the lowest and the highest value of each feature. Required with
            `noise_weight`.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor, such as `covariance_type`. `n_components` follows from
            the means.

        Returns
        -------
        estimator : GaussianMixture
            A fitted estimator with these parameters.

        Raises
        ------
        ConfigError
            If such a mixture cannot have these parameters.
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
                f"weights and noise_weight sum to {own.sum() + 1 - share:.9g}; expected 1."
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
    """Check and return the lowest and highest values of the noise: (d,), (d,)."""
    if given is None:
        raise ConfigError(
            "noise_weight is given without noise_box; expected the lowest and highest values "
            "of the data, such as noise_box=(X.min(axis=0), X.max(axis=0))."
        )
    low, high = array(given, "noise_box", (2, d))
    if not (low < high).all():
        raise ConfigError("noise_box has no extent in some feature; expected low < high in each.")
    return low, high


estimator = GaussianMixture
