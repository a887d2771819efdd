"""`BinomialMixture`: clusters numbers of successes out of known numbers of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from emdist.errors import ConfigError, DomainError, DtypeError, ShapeError
from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.parameters import parameters
from emdist.inputs.arrays import real_array
from emdist.interfaces import Floats

if TYPE_CHECKING:
    from emdist.settings.config import ModelSection

#: The family of binomials whose number of trials differs from cell to cell.
_PAIRS = "binomial_pairs"


@parameters()
class BinomialMixture(DiscreteMixture):
    """Mixture of independent binomials by EM: exact, for data of any size.

    Values are numbers of successes out of `n_trials`.

    Parameters
    ----------
    n_components : int, default=1
        Number of mixture components. Compare several with `Sweep`.
    n_trials : int, sequence of int or 'cell', default=1
        Number of trials behind each value, for all features or for each. 'cell': every cell has its
        own, and X holds successes and then failures, of shape (n_samples, 2 n_features), as `pairs`
        makes them; a cell without trials is a missing value.
    probabilities_init : array-like of shape (n_components, n_features) or None, default=None
        Starting probabilities.
    smoothing : float, default=0.0
        Pseudo-count added to each outcome, as in scikit-learn's naive Bayes. The value 1 is Laplace
        smoothing. Raise it if probabilities of exactly 0 or 1 make new rows impossible.
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
    probabilities_ : ndarray of shape (n_components, n_features)
        Probability of each feature in each component.
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
    >>> from emdist import BinomialMixture
    >>> heads = [[5], [9], [8], [4], [7]]
    >>> coins = BinomialMixture(2, n_trials=10, uniform_weights=True, weights_init=[0.5, 0.5],
    ...                         probabilities_init=[[0.6], [0.5]], tol=1e-6).fit(heads)
    >>> coins.probabilities_.ravel().round(2).tolist()
    [0.8, 0.52]
    """

    family = "binomial"
    _options: ClassVar[Mapping[str, str]] = {"smoothing": "smoothing", "trials": "n_trials"}
    _option_names: ClassVar[Mapping[str, str]] = _options

    probabilities_ = Learned[Floats]()

    _: KW_ONLY
    n_trials: int | Sequence[int] | str = 1
    probabilities_init: ArrayLike | None = None

    @property
    def _cells(self) -> bool:
        return isinstance(self.n_trials, str) and self.n_trials == "cell"

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name in (cls.family, _PAIRS)

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        made = super()._from_section(section)
        return made.set_params(n_trials="cell") if section.name == _PAIRS else made

    @staticmethod
    def pairs(successes: Any, trials: Any) -> Floats:
        """Make ``X`` for ``n_trials="cell"``: the columns of successes, then those of failures.

        Parameters
        ----------
        successes : array-like of shape (n_samples, n_features)
            Number of successes of each cell.
        trials : array-like of shape (n_samples, n_features)
            Number of trials of each cell.

        Returns
        -------
        X : ndarray of shape (n_samples, 2 * n_features), float64
            Successes, then failures (trials minus successes).

        Raises
        ------
        ShapeError
            If the two arrays differ in shape, or do not have two dimensions.
        DomainError
            If a cell has more successes than trials.
        """
        done = real_array(successes, "successes", DtypeError, "an array (n, d)")
        tried = real_array(trials, "trials", DtypeError, "an array (n, d)")
        if done.shape != tried.shape or done.ndim != 2:
            raise ShapeError(
                f"successes have shape {done.shape} and trials {tried.shape}; expected (n, d) "
                "for both."
            )
        above = np.argwhere(done > tried)
        if len(above):
            row, cell = above[0]
            raise DomainError(
                f"{len(above)} cell(s) have more successes than trials: row {row}, feature "
                f"{cell} has {done[row, cell]:g} successes in {tried[row, cell]:g} trials. Are "
                "the two arguments swapped?"
            )
        return np.concatenate([done, tried - done], axis=1)

    def _named(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if not self._cells:
            return self.family, options
        return _PAIRS, {name: value for name, value in options.items() if name != "trials"}

    def _shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d // 2 if self._cells else d)

    def _scaled(self, start: Floats) -> Floats:
        if self._cells:
            return np.concatenate([start, 1 - start], axis=1)
        trials = real_array(self.n_trials, "n_trials", ConfigError, "whole numbers")
        if trials.ndim and trials.shape != start.shape[1:]:
            raise ConfigError(
                f"n_trials has {trials.size} values, but the probabilities have "
                f"{start.shape[1]} features. Give one number for all features, or one for each."
            )
        return start * trials

    def _told_as(self, values: Floats, section: ModelSection) -> Floats:
        if section.name == _PAIRS:
            successes, failures = np.split(values, 2, axis=1)
            return successes / (successes + failures)
        return np.asarray(values / np.asarray(section.options["trials"]), np.float64)


estimator = BinomialMixture
