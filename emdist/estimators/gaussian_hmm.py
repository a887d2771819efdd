"""`GaussianHMM`: a hidden Markov model whose states emit Gaussian rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from emdist.errors import ConfigError
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import array
from emdist.estimators.gaussian import FAMILIES, covariances_of, kind_of
from emdist.estimators.hidden_markov import HiddenMarkovEstimator
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.inputs.quoting import shown
from emdist.interfaces import Floats
from emdist.parameters.choices import CovarianceType

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.settings.config import ModelSection

#: The family's name of its covariances, by covariance type.
_SCALES = {"full": "covariances", "tied": "covariance", "diag": "variances",
           "spherical": "variances"}  # fmt: skip


@parameters("covariance_type")
class GaussianHMM(HiddenMarkovEstimator):
    """Hidden Markov model with Gaussian emissions by EM: exact, for sequences of any length.

    Parameters
    ----------
    n_components : int, default=1
        Number of states. Compare several by `bic`.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='diag'
        Shape of the covariance matrices. Simpler shapes need fewer rows and less time.

        - 'full': One matrix for each component.
        - 'tied': One matrix for all components.
        - 'diag': Variances of the features for each component; 'diagonal' is the same.
        - 'spherical': One variance for each component.

    reg_covar : float, default=1e-06
        Value added to the diagonal of the covariance matrices, which keeps them positive definite
        (squared units of the data). Raise it if components collapse; lower it if features vary by
        less than 1e-3.
    means_init : array-like of shape (n_components, n_features) or None, default=None
        Starting means.
    covars_init : array-like or None, default=None
        Starting covariances, in the shape that `covariance_type` gives: (n_components, n_features,
        n_features) for 'full', (n_features, n_features) for 'tied', (n_components, n_features) for
        'diag', (n_components,) for 'spherical'.
    start : {'free', 'uniform', 'stationary'}, default='free'
        Probabilities of the state in which a sequence begins.

        - 'free': Estimated.
        - 'uniform': All states are equally probable.
        - 'stationary': The distribution that the transitions leave unchanged, as if the sequence
          had begun long ago. Transitions are estimated under this condition.

    startprob_prior : float, default=1.0
        Concentration of a symmetric Dirichlet prior of the start probabilities, at least 1. It adds
        (value - 1) to the count of each; probabilities that are 0 stay 0.
    transmat_prior : float, default=1.0
        Concentration of a symmetric Dirichlet prior of the transitions, at least 1. It adds (value
        - 1) to the count of each; probabilities that are 0 stay 0. Raise it if a state is left so
        rarely that its transitions are uncertain.
    startprob_init : array-like of shape (n_components,) or None, default=None
        Starting values of `startprob_`. None are equal probabilities. A 0 stays 0.
    transmat_init : array-like of shape (n_components, n_components) or None, default=None
        Starting values of `transmat_`, whose rows sum to 1. None: states last ten rows on average.
        A transition of 0 stays 0 to the bit. Give it for a left-right model, whose states cannot go
        back.
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

    on_collapse : {'regularise', 'reseed', 'drop', 'raise'}, default='regularise'
        What to do with a component that loses its rows, or becomes too narrow to have a density.

        - 'regularise': Keep it, with the parameters that the M-step gives it. Variances of
          Gaussians contain reg_covar; if it is too small for a density, the fit stops with an
          error.
        - 'reseed': Move it to the row that the model explains worst.
        - 'drop': Remove it, and go on with fewer components.
        - 'raise': Stop with an error.

    assignment : {'soft', 'hard'}, default='soft'
        How rows are shared among the states.

        - 'soft': By smoothed posteriors, over all paths. This is ordinary EM (Baum-Welch).
        - 'hard': By the most probable path (Viterbi training). It is faster, and biased.

    precision : {'auto', 'float32', 'float64'}, default='auto'
        Floating-point type of the arithmetic within a block. Sums over rows are always float64.

        - 'auto': The type of the data where that is accurate enough.
        - 'float32': Faster, accurate to about six digits.
        - 'float64'

    decoding : {'cf', 'none'}, default='cf'
        How stored numbers of a Zarr array become values.

        - 'cf': Apply the attributes scale_factor, add_offset, _FillValue, missing_value and
          _Unsigned, as xarray does. Fill values become NaN, which non_finite decides about.
        - 'none': Use the stored numbers as they are.

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
    startprob_ : ndarray of shape (n_components,)
        Probability that a sequence begins in each state.
    transmat_ : ndarray of shape (n_components, n_components)
        Probability of each next state (column), given the state (row).
    means_ : ndarray of shape (n_components, n_features)
        Means of the components.
    covars_ : ndarray of shape (n_components, n_features, n_features)
        Covariance matrix of each state, as in hmmlearn.
    covariances_ : ndarray
        Covariances, in the shape that `covariance_type` gives in scikit-learn.
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
    >>> from emdist import GaussianHMM
    >>> X = [[0.0], [0.1], [0.2], [9.0], [9.1], [9.2], [0.1], [0.0]]
    >>> GaussianHMM(2, random_state=0).fit(X).predict(X).tolist()
    [0, 0, 0, 1, 1, 1, 0, 0]
    """

    means_ = Learned[Floats]()
    covars_ = Learned[Floats]()
    covariances_ = Learned[Floats]()

    _: KW_ONLY
    covariance_type: CovarianceType = "diag"
    reg_covar: float = 1e-6
    means_init: ArrayLike | None = None
    covars_init: ArrayLike | None = None

    @property
    def _kind(self) -> str:
        kind = self.covariance_type
        if isinstance(kind, str) and kind in ("diagonal", *FAMILIES):
            return "diag" if kind == "diagonal" else kind
        raise ConfigError(f"covariance_type={shown(kind)}; expected one of {', '.join(FAMILIES)}.")

    def _emission(self) -> tuple[str, dict[str, Any]]:
        return FAMILIES[self._kind], {"reg_covar": self.reg_covar}  # type: ignore[index]

    def _emission_start(self, k: int, d: int) -> dict[str, Floats]:
        found = {}
        if self.means_init is not None:
            found["means"] = as_floats(self.means_init, "means_init", (k, d))
        if self.covars_init is not None:
            given = {"covariance_type": self._kind}
            found |= covariances_of(self.covars_init, given, k, d, "covars_init")
        return found

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.chain is not None and section.name in FAMILIES.values()

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        own: dict[str, Any] = {"covariance_type": kind_of(section)}
        if "reg_covar" in section.options:
            own["reg_covar"] = section.options["reg_covar"]
        return cls._of_section(section, **own)

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        components, kind = fitted.params.components, kind_of(section)
        means, found = components.means, getattr(components, _SCALES[kind])
        k, d = means.shape
        whole = found
        if kind == "tied":
            whole = np.repeat(found[None], k, axis=0)
        elif kind != "full":
            whole = found.reshape(k, -1, 1) * np.eye(d)
        return {
            **super()._attributes(fitted, section),
            "means_": means + fitted.spread.origin,
            "covariances_": found,
            "covars_": whole,
        }

    @classmethod
    def from_parameters(
        cls,
        *,
        startprob: Any,
        transmat: Any,
        means: Any,
        covariances: Any,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """Make a fitted estimator from known parameters, without data.

        Parameters
        ----------
        startprob : array-like of shape (n_components,)
            Probability that a sequence begins in each state.
        transmat : array-like of shape (n_components, n_components)
            Probability of each next state; rows sum to 1.
        means : array-like of shape (n_components, n_features)
            Means of the states.
        covariances : array-like
            Covariances, in the shape of `covariances_`.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor, such as `covariance_type`.

        Returns
        -------
        estimator : GaussianHMM
            A fitted estimator with these parameters.
        """
        found = array(means, "means", ("n_components", "n_features"))
        k, d = found.shape
        kinds = {"covariance_type": "diag", **params}
        arrays = {"means": found, **covariances_of(covariances, kinds, k, d)}
        return cls._of_parameters(
            startprob, transmat, found, arrays, (means, feature_names), params
        )


estimator = GaussianHMM
