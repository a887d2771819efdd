"""Mixture of binomials, for data of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar, Self

import numpy as np

from emdist.errors import ConfigError, DomainError, DtypeError, ShapeError
from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.parameters import parameters
from emdist.inputs.arrays import real_array
from emdist.interfaces import Floats
from emdist.settings.config import ModelSection

#: The family of binomials with trials for each cell.
_PAIRS = "binomial_pairs"


@parameters()
class BinomialMixture(DiscreteMixture):
    """Mixture of independent binomials, successes out of `n_trials`, by EM, exact and out of core.

    Parameters
    ----------
    n_components
        Components.
    n_trials
        Trials behind each number, or a list of one for each feature; the data lies in
        0..n_trials. "cell": each cell of each row has its own, and X holds the successes and then
        the failures, (n, 2 d), as `pairs` makes them; a cell without trials is a missing one.
    tol
        Of the bound per row: nats.
    max_iter, n_init
        Iterations of one start at most, and starts.
    init_params
        "kmeans", "k-means++", "k-means||", "random_from_data" or "random": see
        `GaussianMixture`.
    weights_init, probabilities_init
        A start: (k,) and (k, d), a probability for each cell; what is not given is estimated from
        the rows nearest.
    uniform_weights
        Keep all weights at 1 / n_components.
    smoothing
        Pseudo-observations of either outcome, as in scikit-learn's naive Bayes: 1 is Laplace's.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start, on_collapse, assignment, assignment_options, schedule, schedule_options
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, probabilities_
        (k,) and (k, d).
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood, and log-prior if `smoothing` is not 0,
        per unit of weight: nats.
    n_features_in_, history_
        As in `GaussianMixture`.

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
    probabilities_init: Any = None

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
        """``X`` for ``n_trials="cell"``: successes beside failures, (n, d), (n, d) -> (n, 2 d).

        Raises
        ------
        ShapeError
            If the two are not of one shape, or not of two dimensions.
        DomainError
            If a cell has more successes than trials.
        """
        done = real_array(successes, "successes", DtypeError, "an array (n, d)")
        tried = real_array(trials, "trials", DtypeError, "an array (n, d)")
        if done.shape != tried.shape or done.ndim != 2:
            raise ShapeError(
                f"successes have shape {done.shape} and trials {tried.shape}; wanted (n, d) of "
                "both."
            )
        above = np.argwhere(done > tried)
        if len(above):
            row, cell = above[0]
            raise DomainError(
                f"{len(above)} cell(s) have more successes than trials: row {row}, feature {cell} "
                f"has {done[row, cell]:g} of {tried[row, cell]:g}. Are the two swapped?"
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
                f"n_trials is given for {trials.size} features, and the probabilities are of "
                f"{start.shape[1]}. Give one number for all, or one for each."
            )
        return start * trials

    def _told_as(self, values: Floats, section: ModelSection) -> Floats:
        if section.name == _PAIRS:
            successes, failures = np.split(values, 2, axis=1)
            return successes / (successes + failures)
        return np.asarray(values / np.asarray(section.options["trials"]), np.float64)


estimator = BinomialMixture
