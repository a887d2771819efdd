"""`HiddenMarkovModel`: a hidden Markov model with emissions of any family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from emdist import composition, models
from emdist.errors import ConfigError, StartError
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import unit_spread, with_number
from emdist.estimators.hidden_markov import HiddenMarkovEstimator
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.inputs.quoting import shown
from emdist.interfaces import Floats

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.settings.config import ModelSection


@parameters("emission")
class HiddenMarkovModel(HiddenMarkovEstimator):
    """Hidden Markov model with emissions of any family, by EM: exact, for any length.

    Parameters
    ----------
    n_components : int, default=1
        Number of states. Compare several by `bic`.
    emission : str, default='diagonal'
        Family of the emissions, by its name in a configuration: 'full', 'tied', 'diagonal',
        'spherical', 'isotropic', 'bernoulli', 'binomial', 'poisson', 'multinomial', 'categorical'
        or 'product'.
    emission_options : dict or None, default=None
        Options of the family, such as {'smoothing': 1.0}.
    emission_init : dict or None, default=None
        Starting values of the family's arrays by name, in the shapes of `emission_`, such as
        {'means': ..., 'variances': ...}.
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
    emission_ : dict of ndarray
        The arrays of the emissions' family by name.
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

    emission_ = Learned[dict[str, Floats]]()
    _option_names: ClassVar[Mapping[str, str]] = {}

    _: KW_ONLY
    emission: str = "diagonal"
    emission_options: Mapping[str, Any] | None = None
    emission_init: Mapping[str, Any] | None = None

    def _emission(self) -> tuple[str, dict[str, Any]]:
        if not isinstance(self.emission, str):
            raise ConfigError(
                f"emission={shown(self.emission)}; expected the name of a family, such as "
                "'poisson'."
            )
        return self.emission, self._options_of("emission_options", "{'smoothing': 1.0}")

    def _emission_start(self, k: int, d: int) -> dict[str, Floats]:
        given = self._options_of("emission_init", "{'means': [[0.0], [1.0]]}")
        found = {}
        for name, value in given.items():
            values = as_floats(value, f"emission_init[{name!r}]", np.shape(value))
            if values.shape[:1] != (k,) and name.rpartition(".")[2] != "covariance":
                raise StartError(
                    f"emission_init[{name!r}] has shape {values.shape}; expected {k} states first."
                )
            found[name] = values
        return found

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        options = dict(section.options) or None
        return cls._of_section(section, emission=section.name, emission_options=options)

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        model = self._made_model(section)
        moved = model.translate(fitted.params, fitted.spread.origin)
        emission = dict(models.arrays.arrays_of(moved.components))
        return {**super()._attributes(fitted, section), "emission_": emission}

    @classmethod
    def from_parameters(
        cls,
        *,
        startprob: Any,
        transmat: Any,
        emission_arrays: Mapping[str, Any],
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
        emission_arrays : dict
            The family's arrays by name, as in `emission_`.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor: `emission`, and its options.

        Returns
        -------
        estimator : HiddenMarkovModel
            A fitted estimator with these parameters.
        """
        arrays = {
            name: as_floats(value, name, np.shape(value)) for name, value in emission_arrays.items()
        }
        k = len(np.asarray(startprob))
        params = with_number(params, "n_components", k)
        family: Any = composition.model.make_family(cls(**params)._sections(0)[0])
        d = _features(family, arrays, k)
        template = models.arrays.arrays_of(family.start(np.zeros((k, d)), unit_spread(d)))
        if missing := sorted(template.keys() ^ arrays.keys()):
            raise ConfigError(
                f"emission_arrays and the emission do not match in {', '.join(missing[:6])}; "
                f"expected {', '.join(template)}."
            )
        places = np.zeros((k, d))
        if "means" in arrays:
            places = as_floats(arrays["means"], "emission_arrays['means']", (k, d))
        return cls._of_parameters(
            startprob, transmat, places, arrays, (None, feature_names), params
        )


def _features(family: Any, arrays: Mapping[str, Floats], k: int) -> int:
    """Return the number of features of emissions with these arrays; ConfigError if unknown."""
    found: int | None = getattr(family, "n_features", None)
    wide = [one.shape[1] for one in arrays.values() if one.ndim > 1 and len(one) == k]
    if found is None and not wide:
        raise ConfigError(
            "emission_arrays has no array with one row for each state; expected the arrays of "
            "the family, such as {'means': ..., 'variances': ...}."
        )
    return wide[0] if found is None else found


estimator = HiddenMarkovModel
