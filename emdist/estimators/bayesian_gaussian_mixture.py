"""`BayesianGaussianMixture`, with scikit-learn's parameters, for data of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist import composition, families, fit, models
from emdist.errors import ConfigError
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import Parameters, array, names_for, with_number
from emdist.estimators.gaussian import (
    FAMILIES,
    VARIATIONAL,
    GaussianEstimator,
    above,
    covariances_of,
    kind_of,
    prior_parameters,
)
from emdist.estimators.parameters import parameters
from emdist.estimators.to_sklearn import posteriors_of
from emdist.interfaces import Floats
from emdist.parameters.choices import WeightPrior

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.fit.start import Given
    from emdist.settings.config import FitSection, ModelSection

_WEIGHTS: dict[WeightPrior, str] = {
    "dirichlet_process": "variational_process",
    "dirichlet_distribution": "variational_dirichlet",
}


@parameters(
    "n_components", "covariance_type", "tol", "reg_covar", "max_iter", "n_init", "init_params",
    "weight_concentration_prior_type", "weight_concentration_prior", "mean_precision_prior",
    "mean_prior", "degrees_of_freedom_prior", "covariance_prior", "random_state", "warm_start",
    "verbose", "verbose_interval",
)  # fmt: skip
class BayesianGaussianMixture(GaussianEstimator):
    """Mixture of Gaussians by variational Bayes: exact, for data of any size.

    Components that the data do not need end with hardly any weight. Therefore `n_components` is a
    maximum and need not be guessed exactly.

    Parameters
    ----------
    n_components : int, default=1
        Maximum number of components; those that the data do not need become empty.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Shape of the covariance matrices. Simpler shapes need fewer rows and less time.

        - 'full': One matrix for each component.
        - 'tied': One matrix for all components.
        - 'diag': Variances of the features for each component; 'diagonal' is the same.
        - 'spherical': One variance for each component.

    tol : float, default=0.001
        Stop when the lower bound of all rows together improves by less than this in an iteration
        (in nats), as in scikit-learn. A few nats decide whether a component becomes empty, so do
        not raise it much.
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

    weight_concentration_prior_type : {'dirichlet_process', 'dirichlet_distribution'},
        default='dirichlet_process'
        Prior of the weights.

        - 'dirichlet_process': Truncated stick-breaking; the order of the components matters.
        - 'dirichlet_distribution': A symmetric Dirichlet distribution.

    weight_concentration_prior : float or None, default=None
        Concentration of the prior of the weights, above 0; None is 1 / n_components. Lower it to
        use fewer components.
    mean_precision_prior : float or None, default=None
        Number of rows that the prior of the means is worth; None is 1.
    mean_prior : array-like of shape (n_features,) or None, default=None
        Mean of the prior of the means; None is the mean of the data.
    degrees_of_freedom_prior : float or None, default=None
        Degrees of freedom of the prior of the precisions, more than n_features - 1; None is
        n_features.
    covariance_prior : array-like, float or None, default=None
        Scale of the prior of the covariances: of shape (n_features, n_features), (n_features,) for
        'diag', a number for 'spherical'; None is that of the data.
    random_state : int, RandomState instance or None, default=None
        Random seed. The same integer gives bit-identical results with any number of threads or
        workers; None draws a new seed. Pass an integer for results that can be repeated.
    warm_start : bool, default=False
        Start from the parameters of the previous fit of this estimator.
    verbose : int, default=0
        Print one line per iteration if it is not 0.
    verbose_interval : int, default=10
        Accepted for compatibility with scikit-learn; it has no effect.
    on_collapse : {'regularise', 'reseed', 'drop', 'raise'}, default='regularise'
        What to do with a component that has no rows left.

        - 'regularise': Keep it, with the parameters that the M-step gives it. Without rows they are
          those of the prior.
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

    non_finite : {'raise', 'drop'}, default='raise'
        What to do with rows that contain NaN or infinity.

        - 'raise': Stop with an error.
        - 'drop': Leave out these rows.

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
        Expected mixture weights under the posterior.
    means_ : ndarray of shape (n_components, n_features)
        Expected means under the posterior.
    covariances_ : ndarray
        Inverses of the expected precisions, in the shape that `covariance_type` gives in
        scikit-learn.
    precisions_ : ndarray
        Expected precisions, in the same shape.
    precisions_cholesky_ : ndarray
        Cholesky factors of the precisions, in the same shape.
    weight_concentration_ : ndarray or tuple of two ndarray
        Concentration of the posterior of the weights, of shape (n_components,); for
        'dirichlet_process' two such arrays, of the stick's breaks.
    mean_precision_ : ndarray of shape (n_components,)
        Precision of the posterior of each mean, in rows.
    degrees_of_freedom_ : ndarray of shape (n_components,) or float
        Degrees of freedom of the posterior of each precision; one number for 'tied'.
    weight_concentration_prior_ : float
        `weight_concentration_prior`, or its default.
    mean_precision_prior_ : float
        `mean_precision_prior`, or its default.
    mean_prior_ : ndarray of shape (n_features,)
        `mean_prior`, or its default.
    degrees_of_freedom_prior_ : float
        `degrees_of_freedom_prior`, or its default.
    covariance_prior_ : ndarray or float
        `covariance_prior`, or its default.
    converged_ : bool
        Whether the best restart has converged.
    n_iter_ : int
        Number of iterations of the best restart.
    lower_bound_ : float
        Evidence lower bound of the best restart per unit of sample weight, in nats, with all of its
        constants. That of scikit-learn is of all rows together and leaves constants out.
    lower_bounds_ : list of float
        Lower bound after each iteration.
    n_features_in_ : int
        Number of features seen by `fit`.
    history_ : tuple of Record
        One `emdist.fit.state.Record` for each iteration of the best restart.

    Examples
    --------
    >>> from emdist import BayesianGaussianMixture
    >>> X = [[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]]
    >>> weak = {"mean_precision_prior": 0.01, "covariance_prior": [[0.1]]}
    >>> found = BayesianGaussianMixture(n_components=2, random_state=0, **weak).fit(X)
    >>> sorted(found.means_.ravel().round(1).tolist())
    [0.1, 9.1]
    """

    mean_precision_ = Learned[Floats]()
    degrees_of_freedom_ = Learned[Any]()
    mean_prior_ = Learned[Floats]()
    mean_precision_prior_ = Learned[float]()
    degrees_of_freedom_prior_ = Learned[float]()
    covariance_prior_ = Learned[Any]()
    weight_concentration_ = Learned[Any]()
    weight_concentration_prior_ = Learned[float]()

    _: KW_ONLY
    n_components: int = 1  # Declared again as a keyword, as in scikit-learn.
    weight_concentration_prior_type: WeightPrior = "dirichlet_process"

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        # The estimator has no parameter for noise. Only a configuration can combine both.
        known = {VARIATIONAL + family for family in FAMILIES.values()}
        return section.name in known and section.noise is None

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        kinds = {VARIATIONAL + family: kind for kind, family in FAMILIES.items()}
        types = {weights: kind for kind, weights in _WEIGHTS.items()}
        return cls(
            n_components=section.n_components,
            covariance_type=kinds[section.name],
            weight_concentration_prior_type=types.get(section.weights_name, "dirichlet_process"),
            precision=section.precision,
            **prior_parameters(section),
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        family, kind = self._family(), self.weight_concentration_prior_type
        if not isinstance(kind, str) or kind not in _WEIGHTS:
            raise ConfigError(
                f"weight_concentration_prior_type={kind!r}; expected one of {', '.join(_WEIGHTS)}."
            )
        concentration = self.weight_concentration_prior
        if concentration is not None:
            concentration = above(concentration, "weight_concentration_prior", 0)
        options = {"reg_covar": self.reg_covar, "prior": self._prior(n_features)}
        model = self._model_section(
            VARIATIONAL + family,
            options,
            weights=_WEIGHTS[kind],
            weights_options={"concentration": concentration},
        )
        return model, self._fit_section(), self._given(model, n_features)

    def _least_degrees(self, d: int) -> int:
        return d - 1

    def _given(self, model: ModelSection, d: int) -> Given:
        if not self._is_warm(model, d):
            return fit.start.Given()
        components = self._fitted.params.components
        scales = {self._scale: np.array(self.covariances_), "counts": components.counts}
        return fit.start.Given(self.means_, self.weights_, scales)

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        family, weights = (
            composition.model.make_family(section).informed(fitted.spread),
            composition.model.make_weights(section),
        )
        assert isinstance(family, families.gaussian.variational.Variational)
        kappa, nu = family.widths(fitted.params.components)
        prior = family.numbers
        found = {
            **super()._attributes(fitted, section),
            "mean_precision_": kappa,
            "degrees_of_freedom_": float(nu[0]) if family.shape.pooled else nu,
            "mean_prior_": prior.mean + fitted.spread.origin,
            "mean_precision_prior_": prior.mean_precision,
            "degrees_of_freedom_prior_": prior.degrees,
            "covariance_prior_": prior.scale if prior.scale.ndim else float(prior.scale),
        }
        if isinstance(weights, models.weights.Posterior):
            counts = fitted.params.counts
            own = weights.concentrations(counts)
            found["weight_concentration_"] = own if own.ndim == 1 else tuple(own)
            found["weight_concentration_prior_"] = weights.prior(counts)
        return found

    @classmethod
    def from_parameters(
        cls,
        *,
        means: Any,
        covariances: Any,
        mean_precision: Any,
        weight_concentration: Any = None,
        degrees_of_freedom: Any = None,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """Make a fitted estimator from a known posterior, without data.

        It can predict, score, draw and label as if it had been fitted.

        Parameters
        ----------
        means : array-like of shape (n_components, n_features)
            Expected means, as `means_`. The columns of a data frame name the features.
        covariances : array-like
            Inverses of the expected precisions, as `covariances_`, in the shape that
            `covariance_type` gives ('full' by default).
        mean_precision : array-like of shape (n_components,)
            As `mean_precision_`: `mean_precision_prior` (1 by default) plus the weight of the rows
            of each component. All other widths of the posterior follow from it.
        weight_concentration : array-like or None, default=None
            As `weight_concentration_`. If given, it is only compared with the value that follows
            from `mean_precision`.
        degrees_of_freedom : array-like or None, default=None
            As `degrees_of_freedom_`. If given, it is only compared in the same way.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor: those of the prior, `covariance_type` and so on.

        Returns
        -------
        estimator : BayesianGaussianMixture
            A fitted estimator with this posterior.

        Raises
        ------
        ConfigError
            If such a model cannot have this posterior.
        """
        found = array(means, "means", ("n_components", "n_features"))
        k, d = found.shape
        prior = params.get("mean_precision_prior") or 1.0
        counts = array(mean_precision, "mean_precision", (k,)) - prior
        if (counts < 0).any():
            raise ConfigError(
                f"The smallest mean_precision is {counts.min() + prior:g}; expected at least "
                f"mean_precision_prior ({prior:g}), to which the sample weights are added."
            )
        bare = cls(**with_number(params, "n_components", k))
        weights = composition.model.make_weights(bare._sections(d)[0])
        made = cls._made(
            Parameters(
                found,
                {"means": found, "counts": counts, **covariances_of(covariances, params, k, d)},
                weights.estimate(counts),
                names_for(feature_names, means, d),
                {"counts": counts},
            ),
            **bare.get_params(deep=False),
        )
        _check_widths(made, weight_concentration, degrees_of_freedom)
        return made

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        process = self._section.weights_name == _WEIGHTS["dirichlet_process"]
        return posteriors_of(self, kind_of(self._section), process)


def _check_widths(made: BayesianGaussianMixture, concentration: Any, degrees: Any) -> None:
    """Check that values given besides `mean_precision` agree with what follows from it."""
    given = {"weight_concentration": concentration, "degrees_of_freedom": degrees}
    for name, value in given.items():
        if value is None:
            continue
        wanted = np.asarray(getattr(made, f"{name}_"))
        found = array(value, name, wanted.shape)
        if not np.allclose(found, wanted, rtol=1e-6):
            raise ConfigError(
                f"{name} begins with {found.flat[0]:.9g}, but {wanted.flat[0]:.9g} follows from "
                "mean_precision and the priors. Give the priors of the model (such as "
                f"{name}_prior), or leave {name} out."
            )


estimator = BayesianGaussianMixture
