"""`IsotropicMixture`: Gaussians that all have one given variance, for data of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from emdist import composition, fit
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import Parameters, array, names_for, weights_of, with_number
from emdist.estimators.mixture import Criteria
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.estimators.to_sklearn import gaussians_of
from emdist.interfaces import Floats

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.fit.start import Given
    from emdist.settings.config import FitSection, ModelSection


@parameters()
class IsotropicMixture(Criteria):
    """Mixture of Gaussians ``N(mean_k, variance I)`` with a given variance: soft K-means.

    As `variance` goes to 0, or with ``assignment="hard"`` and ``uniform_weights=True``, the means
    become the centres of K-means (Bishop 2006, 9.3.2).

    Parameters
    ----------
    n_components : int, default=1
        Number of mixture components. Compare several with `Sweep`.
    variance : float, default=1.0
        Variance of every feature in every component (squared units of the data).
    means_init : array-like of shape (n_components, n_features) or None, default=None
        Starting means.
    weights_init : array-like of shape (n_components,) or None, default=None
        Starting weights. Parameters that are not given are estimated from the rows nearest to the
        means.
    uniform_weights : bool, default=False
        Keep all mixture weights at 1 / n_components.
    tol : float, default=0.001
        Stop when the lower bound per row improves by less than this in an iteration (in nats).
        Lower it for more exact parameters, at the cost of more iterations.
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

    warm_start : bool, default=False
        Start from the parameters of the previous fit of this estimator.
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

    random_state : int, RandomState instance or None, default=None
        Random seed. The same integer gives bit-identical results with any number of threads or
        workers; None draws a new seed. Pass an integer for results that can be repeated.
    verbose : int, default=0
        Print one line per iteration if it is not 0.
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
        Mixture weights.
    means_ : ndarray of shape (n_components, n_features)
        Means of the components.
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
    """

    means_ = Learned[Floats]()

    _: KW_ONLY
    variance: float = 1.0
    means_init: ArrayLike | None = None

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name == "isotropic"

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        return cls(
            section.n_components,
            variance=section.options.get("variance", 0.5),
            precision=section.precision,
            uniform_weights=section.weights_name == "uniform",
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        options = {"variance": self.variance}
        model = self._model_section("isotropic", options, self.uniform_weights)
        composition.model.make_family(model)  # Checks the variance before any row is read.
        return model, self._fit_section(), self._given(model, n_features)

    def _given(self, model: ModelSection, d: int) -> Given:
        if self._is_warm(model, d):
            return fit.start.Given(self.means_, self.weights_)
        k, means, weights = model.n_components, self.means_init, self.weights_init
        return fit.start.Given(
            None if means is None else as_floats(means, "means_init", (k, d)),
            None if weights is None else as_floats(weights, "weights_init", (k,)),
        )

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        means = fitted.params.components.means + fitted.spread.origin
        return {**super()._attributes(fitted, section), "means_": means}

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        means: Any,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """Make a fitted estimator from known parameters, without data.

        It can predict, score, draw, save and label as if it had been fitted.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Mixture weights >= 0 that sum to 1.
        means : array-like of shape (n_components, n_features)
            Means, in the units of the data. The columns of a data frame name the features.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor. Give the `variance`. `n_components` follows from the
            means.

        Returns
        -------
        estimator : IsotropicMixture
            A fitted estimator with these parameters.

        Raises
        ------
        ConfigError
            If such a mixture cannot have these parameters.
        """
        found = array(means, "means", ("n_components", "n_features"))
        names = names_for(feature_names, means, found.shape[1])
        params = with_number(params, "n_components", len(found))
        own = weights_of(weights, len(found), params)
        return cls._made(Parameters(found, {"means": found}, own, names), **params)

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        variances = np.full(len(self.means_), float(self._section.options["variance"]))
        return gaussians_of(self, "spherical", variances)


estimator = IsotropicMixture
