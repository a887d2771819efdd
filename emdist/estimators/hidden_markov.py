"""`HiddenMarkovEstimator`, base class of the hidden Markov models: sequences, paths, posteriors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from emdist import composition, fit, inputs, mixtures, models, settings
from emdist.errors import ConfigError, StartError
from emdist.estimators.base import Estimator
from emdist.estimators.collecting import gathered
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import Parameters, check_shares, names_for, with_number
from emdist.estimators.in_sequence import InOrder, InSequence
from emdist.estimators.inputs import make_engine
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats, seeder
from emdist.inputs.quoting import shown
from emdist.interfaces import Array, Floats, Source
from emdist.parameters.choices import (
    ChainAssignment,
    ChainStart,
    Decode,
    MixtureInit,
    OnCollapse,
    Precision,
)

if TYPE_CHECKING:
    from emdist.fit.chains import Filtered
    from emdist.fit.fitted import Fitted
    from emdist.fit.start import Given
    from emdist.models.hidden_markov import HiddenMarkov
    from emdist.report.profile import Profile
    from emdist.settings.config import FitSection, ModelSection


@parameters()
class HiddenMarkovEstimator(InOrder, DensityMixin, Estimator):  # type: ignore[misc]
    """Base class of the hidden Markov models."""

    startprob_ = Learned[Floats]()
    transmat_ = Learned[Floats]()
    lower_bound_ = Learned[float]()
    lower_bounds_ = Learned[list[float]]()

    #: Whether rows lie in sequences.
    sequential: ClassVar[bool] = True
    _option_names: ClassVar[Mapping[str, str]] = {}

    n_components: int = 1
    _: KW_ONLY
    start: ChainStart = "free"
    startprob_prior: float = 1.0
    transmat_prior: float = 1.0
    startprob_init: ArrayLike | None = None
    transmat_init: ArrayLike | None = None
    tol: float = 1e-3
    max_iter: int = 100
    n_init: int = 1
    init_params: MixtureInit = "kmeans"
    on_collapse: OnCollapse = "regularise"
    assignment: ChainAssignment = "soft"
    precision: Precision = "auto"
    decoding: Decode = "cf"
    #: A method, as in hmmlearn; `decoding` takes the place of the parameter.
    decode: ClassVar[Any]  # type: ignore[misc]
    _decoding: ClassVar[str] = "decoding"

    def _emission(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the emissions' family, and its options."""
        raise NotImplementedError

    def _emission_start(self, k: int, d: int) -> dict[str, Floats]:
        """Return starting values of the family's arrays, by their names."""
        return {}

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        family, options = self._emission()
        chain = self._checked(
            settings.config.ChainSection,
            {"start_prior": "startprob_prior", "transition_prior": "transmat_prior"},
            start=self.start,
            start_prior=self.startprob_prior,
            transition_prior=self.transmat_prior,
        )
        model = self._checked(
            settings.config.ModelSection,
            {},
            name=family,
            n_components=self.n_components,
            precision=self.precision,
            missing=self.non_finite == "missing",
            assignment=self.assignment,
            chain=chain.model_dump(),
            options=options,
        )
        composition.model.make_family(model)
        init = seeder(self.init_params, "init_params", get_args(MixtureInit))
        fit = self._checked(
            settings.config.FitSection,
            {"seed": "random_state"},
            seed=self._seed(),
            init="random" if init == "random_from_data" else init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            on_collapse=self.on_collapse,
            schedule="batch",
        )
        return model, fit, self._given(model.n_components, n_features)

    def _given(self, k: int, d: int) -> Given:
        """Return the starting values that the parameters give."""
        chain = {}
        if self.startprob_init is not None:
            found = as_floats(self.startprob_init, "startprob_init", (k,))
            chain["start"] = _probabilities(found, "startprob_init")
        if self.transmat_init is not None:
            found = as_floats(self.transmat_init, "transmat_init", (k, k))
            chain["transitions"] = _probabilities(found, "transmat_init")
        if "transitions" in chain and self.start == "stationary":
            chain["start"] = models.chains.estimates.stationary(chain["transitions"])
        arrays = self._emission_start(k, d)
        return fit.start.Given(arrays.pop("means", None), None, arrays, chain=chain)

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.chain is not None

    @classmethod
    def _of_section(cls, section: ModelSection, **own: Any) -> Self:
        """Make an unfitted estimator of the chain of `section`."""
        chain = section.chain or settings.config.ChainSection()
        return cls(
            section.n_components,
            start=chain.start,
            startprob_prior=chain.start_prior,
            transmat_prior=chain.transition_prior,
            precision=section.precision,
            **{"assignment": section.assignment, **own},
        )

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        return {
            "startprob_": fitted.params.start,
            "transmat_": fitted.params.transitions,
            "lower_bound_": fitted.objective,
            "lower_bounds_": [r.objective for r in fitted.history],
        }

    def fit(
        self, X: Any, lengths: Any = None, sample_weight: Any = None, *, groups: Any = None
    ) -> Self:
        """Fit the model to sequences of rows.

        Parameters
        ----------
        {X}
        lengths : array-like of int or None, default=None
            Number of rows of each sequence; they sum to the number of rows. None is one sequence
            of all rows.
        {sample_weight}
            All rows of a sequence have the same weight, which counts as so many sequences.
        groups : array-like of shape (n_samples,) or None, default=None
            In place of `lengths`: the id of the sequence of each row. Rows of one sequence lie one
            after another.

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        EmdistError
            If the data or the parameters are wrong, or reading fails.
        """
        return super().fit(InSequence(X, lengths, groups), None, sample_weight)

    def predict(self, X: Any, lengths: Any = None) -> NDArray[np.int32]:
        """Return the most probable path of states through each sequence (Viterbi).

        Parameters
        ----------
        {X as fitted}
        lengths
            As in `fit`.

        Returns
        -------
        states : ndarray of shape (n_samples,), int32
            State of each row. Rows that are left out, or have no value, keep their time step in
            the path, but are not in the result.
        """
        return super().predict(InSequence(X, lengths))

    def decode(  # type: ignore[no-redef]
        self, X: Any, lengths: Any = None, algorithm: str = "viterbi"
    ) -> tuple[float, NDArray[np.int32]]:
        """Return the most probable path through each sequence, and its log-probability.

        Parameters
        ----------
        {X as fitted}
        lengths
            As in `fit`.
        algorithm : {'viterbi', 'map'}, default='viterbi'
            'map' takes the most probable state of each row instead, from the smoothed posteriors.

        Returns
        -------
        log_prob : float
            Joint log-probability, in nats, of all rows and the path: the sum over the sequences.
            For 'map', the sum of the largest posteriors, as in hmmlearn.
        states : ndarray of shape (n_samples,), int32
            State of each row.
        """
        if algorithm not in ("viterbi", "map"):
            raise ConfigError(f"algorithm={shown(algorithm)}; expected 'viterbi' or 'map'.")
        rows = InSequence(X, lengths)
        if algorithm == "map":
            found = self._collect(rows, resp=True)
            resp: Array = found.value.resp
            return float(resp.max(axis=1).sum()), resp.argmax(axis=1).astype(np.int32)
        path = super().predict(rows)
        engine = make_engine(self.engine)
        source = self._known(rows, None, engine)
        return fit.chains.path_probability(self._chain_model(), self._fitted, source, engine), path

    def _chain_model(self) -> HiddenMarkov[Any]:
        return self._made_model(self._told())

    @staticmethod
    def _made_model(section: ModelSection) -> HiddenMarkov[Any]:
        model = composition.model.make_model(section)
        assert isinstance(model, models.hidden_markov.HiddenMarkov)
        return model

    def predict_proba(self, X: Any, lengths: Any = None) -> Array:
        """Return the smoothed posteriors: the probability of each state given the whole sequence.

        Parameters
        ----------
        {X as fitted}
        lengths
            As in `fit`.

        Returns
        -------
        posteriors : ndarray of shape (n_samples, n_components)
            Posteriors, in memory; each row sums to 1.
        """
        resp: Array = self._collect(InSequence(X, lengths), resp=True).value.resp
        return resp

    def filter_proba(self, X: Any, lengths: Any = None) -> Floats:
        """Return the filtered posteriors: the probability of each state given the rows so far.

        Parameters
        ----------
        {X as fitted}
        lengths
            As in `fit`.

        Returns
        -------
        posteriors : ndarray of shape (n_samples, n_components)
            Posteriors, in memory; each row sums to 1.
        """
        check_is_fitted(self)
        engine, rows = make_engine(self.engine), InSequence(X, lengths)
        source, model = self._known(rows, None, engine), self._chain_model()

        def task(seen: Source) -> Filtered:
            return fit.chains.Filtered.of(model, self._fitted, seen, engine)

        found = gathered(
            engine,
            source,
            task,
            self._as_fitted(rows),
            lambda one: fit.observed.observed_source(one, model),
        )
        values: Floats = found.value.x
        return values

    def predict_next_proba(self, X: Any, lengths: Any = None) -> Floats:
        """Return the probability of each state in the next time step, given the rows so far.

        Parameters
        ----------
        {X as fitted}
        lengths
            As in `fit`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_components)
            For each row, those of the row that follows it.
        """
        return np.asarray(self.filter_proba(X, lengths) @ self.transmat_)

    def score_samples(self, X: Any, lengths: Any = None) -> Floats:
        """Return the log-likelihood of each row given the rows before it in its sequence.

        Their sum is `score`.

        Parameters
        ----------
        {X as fitted}
        lengths
            As in `fit`.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float64
            Log-likelihoods in nats, in memory.
        """
        score: Floats = self._collect(InSequence(X, lengths)).value.score
        return score

    def profile(self, X: Any, lengths: Any = None, *, n_representatives: int = 3) -> Profile:
        """Say what the states are: what their rows have, feature by feature, from one pass.

        Each row counts for its state on the most probable path.

        Parameters
        ----------
        {X as fitted}
        lengths
            As in `fit`.
        n_representatives : int, default=3
            Number of rows to keep of each state: those of the highest density given the rows
            before and their state's posterior, and those of the smallest posterior.

        Returns
        -------
        profile : Profile
            As for mixtures: data frames (`to_frame`), Parquet (`to_parquet`), Markdown
            (`to_markdown`) or JSON values (`to_dict`).
        """
        return super().profile(InSequence(X, lengths), n_representatives=n_representatives)

    def plot(self, kind: str = "transitions", X: Any = None, lengths: Any = None, **kw: Any) -> Any:
        """Draw a figure of the fitted model by matplotlib.

        Parameters
        ----------
        kind : str, default='transitions'
            The figure: 'transitions', which state follows which, or a figure of mixtures, such as
            'profiles', 'scatter', 'density', 'sizes' or 'convergence'.
        {X as fitted}
        lengths
            As in `fit`.
        **kw
            `other`, `ax`, `max_rows` and `random_state`, as for mixtures, and options of the
            figure.

        Returns
        -------
        ax : matplotlib axes
            The axes.
        """
        return super().plot(kind, None if X is None else InSequence(X, lengths), **kw)

    def score(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Return the log-likelihood of all sequences, as in hmmlearn: a sum, and no mean.

        Parameters
        ----------
        X, lengths, sample_weight
            As in `fit`.

        Returns
        -------
        score : float
            Log-likelihood in nats.
        """
        return float(self._labelled(InSequence(X, lengths), sample_weight)["score"])

    def bic(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Compute the Bayesian information criterion (BIC) on `X`.

        Parameters
        ----------
        X, lengths, sample_weight
            As in `fit`.

        Returns
        -------
        bic : float
            -2 log-likelihood + (number of free parameters) log(rows). Lower is better.
        """
        sums = self._labelled(InSequence(X, lengths), sample_weight)
        return -2 * float(sums["score"]) + self._free() * math.log(float(sums["weight"]))

    def aic(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Compute the Akaike information criterion (AIC) on `X`.

        Parameters
        ----------
        X, lengths, sample_weight
            As in `fit`.

        Returns
        -------
        aic : float
            -2 log-likelihood + 2 (number of free parameters). Lower is better.
        """
        sums = self._labelled(InSequence(X, lengths), sample_weight)
        return -2 * float(sums["score"]) + 2 * self._free()

    def _free(self) -> int:
        """Return the number of free parameters. Probabilities of exactly 0 are not free."""
        model, params = self._chain_model(), self._fitted.params
        own = composition.model.make_family(self._section).free_parameters(
            len(params.start), self._fitted.n_features
        )
        return own + model.chain.free_parameters(params.transitions, params.start)

    def get_stationary_distribution(self) -> Floats:
        """Return the distribution of states that transitions leave unchanged: (n_components,)."""
        check_is_fitted(self)
        return models.chains.estimates.stationary(self.transmat_)

    def label(self, X: Any, out: Any, lengths: Any = None, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        """Write the path and posteriors of all rows of `X` to a Zarr group, chunk by chunk.

        Parameters
        ----------
        {X as fitted}
        out : str or path-like
            A path or URL of the group.
        lengths
            As in `fit`.
        **options
            `outputs`, `components` and `overwrite`, as in `GaussianMixture.label`. The output
            'labels' is the most probable path, 'responsibilities' are the smoothed posteriors, and
            'score' is the log-likelihood of each row given the rows before it. 'filtered' are the
            posteriors given the rows so far, and 'predicted' the probabilities of the states in the
            next time step.

        Returns
        -------
        summary : dict
            What was written.
        """
        if options.get("append"):
            raise ConfigError(
                "append is not available for hidden Markov models: new rows change the posteriors "
                "of the rows before them. Write the labels again, with overwrite=True."
            )
        return super().label(InSequence(X, lengths), out, **options)

    def sample(
        self, n_samples: int = 1, random_state: Any = None
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Draw one sequence from the fitted model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows of the sequence, at least 1.
        random_state : int, RandomState instance or None, default=None
            Random seed; None uses that of the estimator.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float64
            The rows in the order of time.
        states : ndarray of shape (n_samples,), int64
            State of each row.
        """
        check_is_fitted(self)
        n_samples = inputs.validation.whole_number(n_samples, "n_samples", 1)
        mixtures.draws.check_draws(n_samples, self._fitted.n_features, "n_samples")
        given = self.random_state if random_state is None else random_state
        rng = np.random.default_rng(check_random_state(given).randint(2**31 - 1))
        params, spread = self._fitted.params, self._fitted.spread
        states = np.empty(n_samples, np.int64)
        levels = np.cumsum(np.vstack([params.start, params.transitions]), axis=1)
        draws, at, last = rng.random(n_samples), -1, len(params.start) - 1
        for t in range(n_samples):
            at = min(int(np.searchsorted(levels[at + 1], draws[t], side="right")), last)
            states[t] = at
        family = composition.model.make_family(self._section)
        x = np.empty((n_samples, self._fitted.n_features))
        for k in range(last + 1):
            own = states == k
            x[own] = family.sample(params.components, k, int(own.sum()), rng)
        return x + spread.origin, states

    @classmethod
    def _of_parameters(
        cls,
        startprob: Any,
        transmat: Any,
        locations: Floats,
        arrays: Mapping[str, Floats],
        given: tuple[Any, Sequence[str] | None],
        params: Mapping[str, Any],
    ) -> Self:
        """Make a fitted estimator; `given` are what may name the features, and their names."""
        k, d = locations.shape
        start = check_shares(as_floats(startprob, "startprob", (k,)), "startprob")
        transitions = check_shares(as_floats(transmat, "transmat", (k, k)), "transmat")
        made = with_number(params, "n_components", k)
        own = {"start": start, "transitions": transitions}
        names = names_for(given[1], given[0], d)
        parts = Parameters(
            locations, arrays, models.chains.estimates.stationary(transitions), names, own
        )
        return cls._made(parts, **made)


def _probabilities(values: Floats, name: str) -> Floats:
    """Return starting probabilities; StartError unless they are >= 0 and sum to 1."""
    try:
        return check_shares(values, name)
    except ConfigError as error:
        raise StartError(str(error)) from None
