"""`MixtureEstimator`, base class of mixtures: responsibilities, likelihoods, criteria, sampling."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from emdist import composition, estimators, fit, inputs, mixtures, quality, settings
from emdist.errors import ConfigError, DegenerateWarning, StartError
from emdist.estimators.collecting import gathered
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.inputs import make_engine
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import seeder
from emdist.estimators.streams import Streaming
from emdist.inputs.names import names_of
from emdist.interfaces import Array, Floats, Source
from emdist.parameters.choices import Assignment, MixtureInit, OnCollapse, Precision, Schedule
from emdist.wording import worded

if TYPE_CHECKING:
    from emdist.composition.recipe import Recipe
    from emdist.fit.completion import Completed
    from emdist.fit.fitted import Fitted
    from emdist.fit.online import Fold
    from emdist.fit.start import Earlier, Given
    from emdist.mixtures.distribution import MixtureDistribution
    from emdist.prepare.preparation import Preparation
    from emdist.settings.config import FitSection, ModelSection

#: scikit-learn's name of an initialisation method -> ours, where they differ.
_INIT = {"random_from_data": "random"}


@parameters()
class MixtureEstimator(DensityMixin, Streaming):  # type: ignore[misc]
    """Base class of the mixtures."""

    weights_ = Learned[Floats]()
    noise_weight_ = Learned[float]()
    lower_bound_ = Learned[float]()
    lower_bounds_ = Learned[list[float]]()

    n_components: int = 1
    _: KW_ONLY
    tol: float = 1e-3
    max_iter: int = 100
    n_init: int = 1
    init_params: MixtureInit = "kmeans"
    warm_start: bool = False
    on_collapse: OnCollapse = "regularise"
    assignment: Assignment = "soft"
    assignment_options: Mapping[str, Any] | None = None
    schedule: Schedule = "batch"
    schedule_options: Mapping[str, Any] | None = None
    precision: Precision = "auto"

    def _model_section(
        self, family: str, options: Mapping[str, Any], uniform: bool = False, **more: Any
    ) -> ModelSection:
        return self._checked(
            settings.config.ModelSection,
            {"noise.weight": "noise", "noise.volume": "noise_volume"},
            name=family,
            n_components=self.n_components,
            precision=self.precision,
            uniform_weights=uniform,
            missing=self.non_finite == "missing",
            assignment=self.assignment,
            assignment_options=self._options_of("assignment_options", "{'start': 2.0}"),
            options=dict(options),
            **more,
        )

    def _fit_section(self) -> FitSection:
        init = seeder(self.init_params, "init_params", get_args(MixtureInit))
        return self._checked(
            settings.config.FitSection,
            {"seed": "random_state"},
            seed=self._seed(),
            init=_INIT.get(init, init),
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            on_collapse=self.on_collapse,
            **self._schedule(),
        )

    def _fold(self, recipe: Recipe) -> Callable[[float], Fold]:
        schedule = recipe.schedule
        alpha = (
            schedule.alpha
            if isinstance(schedule, fit.schedules.stepwise.Stepwise)
            else fit.schedules.stepwise.Stepwise().alpha
        )
        return partial(fit.schedules.stepwise.Averaged, alpha=alpha)

    def _is_warm(self, model: ModelSection, d: int) -> bool:
        """Return whether to start from the previous fit; StartError if its shape differs."""
        if not (self.warm_start and hasattr(self, "_fitted")):
            return False
        before = (self._section.name, self._fitted.n_components, self._fitted.n_features)
        now = (model.name, model.n_components, d)
        if before != now:
            raise StartError(
                f"warm_start: the previous fit was {before[0]} with {before[1]} components and "
                f"{before[2]} features, but this one is {now[0]} with {now[1]} and {now[2]}. "
                "Set warm_start=False to start from scratch."
            )
        return True

    def _planned(self, source: Source) -> tuple[Recipe, Given]:
        recipe, given = super()._planned(source)
        if self._is_warm(recipe.section, source.shape[1]):
            given = replace(given, earlier=self._earlier(recipe.section))
        return recipe, given

    def _earlier(self, model: ModelSection) -> Earlier:
        """Return the previous fit, without its objective if that of `model` differs from it."""
        fitted, reached = self._fitted, fit.start.Reached()
        kept = [record for record in fitted.history if not record.rejected]
        # Only whole passes with responsibilities have an expected log-likelihood (Q). Online
        # passes of a stream report no bound.
        if kept and self._section == model and math.isfinite(kept[-1].expected):
            reached = fit.start.Reached(kept[-1].objective, kept[-1].change)
        return fit.start.Earlier(reached, fitted.spread, fitted.params)

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        k = fitted.n_components
        found = {
            "weights_": fitted.params.shares[:k],
            "lower_bound_": fitted.objective,
            "lower_bounds_": [r.objective for r in fitted.history if not r.rejected],
        }
        if fitted.n_columns > k:
            found["noise_weight_"] = float(fitted.params.noise)
        return found

    def predict_proba(self, X: Any) -> Array:
        """Compute the responsibilities of the components for each row.

        Parameters
        ----------
        {X as fitted}

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components)
            Responsibilities, in memory; each row sums to 1. With noise there is one more column,
            the last, for the noise component.
            {on the grid: NaN}
        """
        found = self._collect(X, resp=True)
        values: Array = found.value.resp
        columns = ("component", np.arange(values.shape[1]))
        told = self._told_of("responsibilities")
        resp: Array = found.shaped(values, "responsibilities", np.nan, columns, told)
        return resp

    def score_samples(self, X: Any) -> Floats:
        """Compute the log-likelihood of each row.

        Parameters
        ----------
        {X as fitted}

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float64
            Log-likelihoods in nats, in memory.
            {on the grid: NaN}
        """
        found = self._collect(X)
        told = {"long_name": "log-likelihood of each row", "units": "nat"}
        score: Floats = found.shaped(found.value.score, "log_likelihood", np.nan, attributes=told)
        return score

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the mean log-likelihood of the rows, without storing a value per row.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        score : float
            Log-likelihood per unit of sample weight, in nats. Higher is better.
        """
        sums = self._labelled(X, sample_weight)
        return float(sums["score"]) / float(sums["weight"])

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.int32]:
        """Fit, and return the labels of the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            Index of the component of each row that was not left out. With noise, -1 is noise.
            {on the grid: -1, or -2 in a mixture with noise}
        """
        return self.fit(X, y, sample_weight).predict(X)

    def distribution(self, prepared: bool = False) -> MixtureDistribution:
        """Return the fitted mixture as a distribution, in the units of the data.

        Parameters
        ----------
        prepared : bool, default=False
            Whether to return the distribution of prepared rows if the model prepares rows
            (`prepare`). Its methods then take prepared rows. Without it, such a model is refused,
            because nothing tells prepared rows from those of the data.

        Returns
        -------
        MixtureDistribution
            An object that computes densities, random draws, moments, marginals, conditionals and
            sums of variables. Its methods for rows accept what `predict` accepts.

        Raises
        ------
        ConfigError
            If the model prepares rows and `prepared` is False, or if it has a noise component.
        """
        check_is_fitted(self)
        return estimators.distribution.fitted_distribution(
            self._section, self._fitted, self._reading(), prepared
        )

    def complete(self, X: Any, return_std: bool = False) -> Floats | tuple[Floats, Floats]:
        """Replace every NaN in `X` by its expected value given the observed values of its row.

        The observed values of a row give the responsibilities of the components, and each component
        predicts the missing values:
        ``E[x_missing | x_observed] = sum_k p(k | x_observed) E[x_missing | x_observed, k]``.
        For binary data this is the probability of 1, for counts the expected count. For category
        codes the most probable code is used instead. The computation is exact and goes block by
        block. Every row is completed, whatever `non_finite` is, and the model may have been fitted
        to rows without NaN. If it prepares rows by steps that change each value by itself, the
        result is in the units of the data: ``standardise`` changes nothing, after ``log1p`` the
        expected logarithm is moved back, ``exp(E[log(1 + x)]) - 1``, and after ``clip`` the values
        are those of clipped rows.

        Parameters
        ----------
        {X as fitted}
        return_std : bool, default=False
            Whether to return standard deviations as well. Only Gaussians have them.

        Returns
        -------
        completed : ndarray of shape (n_samples, n_features), float64
            The rows without NaN, in memory.
            {on the grid: completed too}
        std : ndarray of shape (n_samples, n_features), float64
            Standard deviations of the values that were filled in; 0 where a value was observed.
            Returned only if `return_std` is True.

        Raises
        ------
        DomainError
            If an observed value cannot come from the family.
        ConfigError
            If the family has no density of incomplete rows, such as multinomial, or has no standard
            deviations and `return_std` is True, or is a binomial with ``n_trials="cell"``. Also if
            the model prepares rows by ``pca`` or ``normalise``, which mix the features of a row, or
            if `return_std` is True and it prepares them by ``log1p`` or ``clip``.
        """
        check_is_fitted(self)
        made = self._fitted.preparation
        if made is not None:
            _check_steps(made, return_std)
        engine = make_engine(self.engine)
        source = self._matching(X, None, engine)
        model = composition.model.make_mixture(self._section).with_missing()
        # Responsibilities cost little beside the rest and decide the result: use float64.
        dtype = source.dtype if made is None else made.dtype(source.dtype)
        numerics = replace(self._fitted.numerics(model, dtype), dtype="float64")
        params, origin = self._fitted.params, self._fitted.spread.origin
        found = gathered(
            engine,
            source,
            lambda one: fit.completion.Complete(
                one, model, params, origin, numerics, made, return_std
            ),
            self._as_fitted(X),
            columns="feature",
        )
        done: Completed = found.value
        columns = ("feature", np.array(names_of(source) or range(done.x.shape[1])))
        completed: Floats = found.shaped(done.x, "completed", np.nan, columns)
        if done.variance is None:
            return completed
        return completed, found.shaped(np.sqrt(done.variance), "std", np.nan, columns)

    def sample(self, n_samples: int = 1) -> tuple[Floats, NDArray[np.int64]]:
        """Draw rows from the fitted mixture.

        Noise is drawn uniformly from the bounding box of the fitted data. If the model prepares
        rows (`prepare`), these are prepared rows; ``preparation_.inverse`` moves them back.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows to draw, at least 1.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float64
            The rows, ordered by component. Noise comes last.
        labels : ndarray of shape (n_samples,), int64
            Index of the component of each row; -1 is noise.
        """
        check_is_fitted(self)
        n_samples = inputs.validation.whole_number(n_samples, "n_samples", 1)
        mixtures.draws.check_draws(n_samples, self._fitted.n_features, "n_samples")
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        rng = np.random.default_rng(seed)
        fitted = self._fitted
        shares = fitted.params.shares
        counts = rng.multinomial(n_samples, shares / shares.sum())
        family, components, spread = (
            composition.model.make_family(self._section),
            fitted.params.components,
            fitted.spread,
        )
        known = range(fitted.n_components)
        drawn = [family.sample(components, k, int(counts[k]), rng) for k in known]
        if fitted.n_columns > fitted.n_components:
            drawn.append(rng.uniform(spread.low, spread.high, (counts[-1], fitted.n_features)))
        labels = np.array([*known, -1])[: len(counts)]
        return np.concatenate(drawn) + spread.origin, np.repeat(labels, counts)


def _check_steps(made: Preparation, return_std: bool) -> None:
    """Raise ConfigError if rows that `made` prepares cannot be completed."""
    if name := made.mixing:
        raise ConfigError(
            f"complete cannot undo the step {name} of prepare: it mixes the features of a row, so "
            f"a missing value is no missing value afterwards. Fit a model without {name}."
        )
    if return_std and made.scale is None:
        names = ", ".join(step.name for step in made.steps if step.name != "standardise")
        raise ConfigError(
            f"return_std=True is not available after {names} in prepare: a standard deviation has "
            "no constant factor there. Leave return_std out, or fit a model without that step."
        )


@parameters()
class Criteria(MixtureEstimator):
    """Base class of the mixtures whose free parameters can be counted, as BIC and AIC need."""

    _: KW_ONLY
    weights_init: ArrayLike | None = None
    uniform_weights: bool = False

    def _free(self) -> int:
        return composition.model.free_parameters(
            self._section, len(self.weights_), self._fitted.n_features
        )

    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Compute the Bayesian information criterion (BIC) on `X`.

        Parameters
        ----------
        {X as fitted}
        {weights of a criterion}

        Returns
        -------
        bic : float
            -2 log-likelihood + (number of free parameters) log(rows). Lower is better.
        """
        total, weight = self._judged(X, sample_weight, "BIC")
        return -2 * total + self._free() * float(np.log(weight))

    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Compute the Akaike information criterion (AIC) on `X`.

        Parameters
        ----------
        {X as fitted}
        {weights of a criterion}

        Returns
        -------
        aic : float
            -2 log-likelihood + 2 (number of free parameters). Lower is better.
        """
        total, _ = self._judged(X, sample_weight, "AIC")
        return -2 * total + 2 * self._free()

    def _judged(self, X: Any, sample_weight: Any, title: str) -> tuple[float, float]:
        """Return log-likelihood and weight of all rows; warn of weights of another scale."""
        sums = self._labelled(X, sample_weight)
        total, weight = float(sums["score"]), float(sums["weight"])
        for doubt in quality.doubts.weighed(int(sums["rows"]), weight, title):
            warnings.warn(worded(doubt.message, "parameters"), DegenerateWarning, stacklevel=4)
        return total, weight
