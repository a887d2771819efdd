"""`Uncertain`, a mixin of the estimators: says how sure a fitted model is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist import composition, fit, inputs, jobs, prepare, report
from emdist.errors import ConfigError
from emdist.estimators.inputs import make_engine
from emdist.estimators.verbose import listener
from emdist.estimators.wording import Speaking
from emdist.inputs.quoting import shown
from emdist.wording import worded

if TYPE_CHECKING:
    from emdist.jobs.uncertainty import Subject
    from emdist.report.combining import CombinedComponents
    from emdist.report.uncertainty import ComponentTest, LabelStability, StandardErrors


class Uncertain(Speaking):
    """Mixin of the estimators with the methods that say how sure a model is."""

    engine: Any
    verbose: Any
    _fitted: Any
    #: The fitted section; the rows, checked against the fitted features; decoded blocks, kept.
    _told: Any
    _matching: Any
    _kept: Any
    _sections: Any

    def standard_errors(
        self,
        X: Any,
        sample_weight: Any = None,
        *,
        method: Literal["information", "bootstrap"] = "information",
        n_replicates: int = 100,
        level: float = 0.95,
        random_state: int = 0,
    ) -> StandardErrors:
        """Return the parameters of the model with standard errors and confidence intervals.

        Parameters
        ----------
        {X as fitted}
        {sample_weight}
        method : {'information', 'bootstrap'}, default='information'
            'information' takes one pass: it inverts the empirical Fisher information, the sum of
            the outer products of the scores of all rows. It needs soft assignment, and holds for
            many rows, if the rows follow the model. 'bootstrap' fits the model again to resampled
            rows, all replicates in the same passes. It holds for every model but hidden Markov
            models, and if rows do not follow the model. With `verbose`, it prints its cost first.
        n_replicates : int, default=100
            Number of replicates of the bootstrap. Percentile intervals need 1,000.
        level : float, default=0.95
            Confidence level of the intervals, between 0 and 1.
        random_state : int, default=0
            Random seed of the bootstrap.

        Returns
        -------
        errors : StandardErrors
            The parameters of the rows that the model sees: prepared ones, if it prepares rows. As
            a data frame (`to_frame`), Markdown (`to_markdown`), JSON values (`to_dict`) or arrays
            (`estimates`).

        Raises
        ------
        ConfigError
            If the method does not suit the model.
        DataError
            If the rows do not suit the model, or do not determine its parameters.
        """
        number = inputs.validation.whole_number(n_replicates, "n_replicates", 2)
        with self._subject(X, sample_weight) as subject:
            return jobs.uncertainty.standard_errors(
                subject, method, number, _level(level), _seed(random_state)
            )

    def label_stability(
        self,
        X: Any,
        sample_weight: Any = None,
        *,
        over: Literal["starts", "bootstrap", "halves"] = "starts",
        n_replicates: int = 20,
        level: float = 0.95,
        random_state: int = 0,
    ) -> LabelStability:
        """Return how stable the labels are: how well other fits of the model agree with it.

        All fits share their passes, and one more pass compares their labels of all rows.

        Parameters
        ----------
        {X as fitted}
        {sample_weight}
        over : {'starts', 'bootstrap', 'halves'}, default='starts'
            'starts': other random starting values. 'bootstrap': rows drawn with replacement.
            'halves': two random halves of the rows, which are compared with each other. The last
            two start from the fitted model.
        n_replicates : int, default=20
            Number of other fits, or of pairs of halves.
        level : float, default=0.95
            Share of the fits between the ends of the interval, between 0 and 1.
        random_state : int, default=0
            Random seed.

        Returns
        -------
        stability : LabelStability
            The adjusted Rand index of each fit with its interval, and for each component how much
            of it other fits find (the Jaccard index; Hennig 2007).

        Raises
        ------
        ConfigError
            If the rows of the model depend on one another.
        """
        number = inputs.validation.whole_number(n_replicates, "n_replicates", 2)
        with self._subject(X, sample_weight) as subject:
            return jobs.uncertainty.label_stability(
                subject, over, number, _level(level), _seed(random_state)
            )

    def component_test(
        self, X: Any, *, n_replicates: int = 99, n_init: int = 5, random_state: int = 0
    ) -> ComponentTest:
        """Test the components of a mixture against one component more, by a bootstrap.

        The distribution of the likelihood ratio is that of samples drawn from the model. k and
        k + 1 components are fitted to each of them (McLachlan 1987), which takes long.

        Parameters
        ----------
        {X as fitted}
        n_replicates : int, default=99
            Number of samples.
        n_init : int, default=5
            Number of restarts of k + 1 components, for the rows and each sample. With few, the test
            depends on local maxima.
        random_state : int, default=0
            Random seed.

        Returns
        -------
        test : ComponentTest
            The likelihood ratio (`statistic`) and `p_value`.

        Raises
        ------
        ConfigError
            If the model has no likelihood to compare, or has noise, weights or missing values.
        """
        number = inputs.validation.whole_number(n_replicates, "n_replicates", 1)
        starts = inputs.validation.whole_number(n_init, "n_init", 1)
        with self._subject(X, None) as subject:
            return jobs.uncertainty.component_test(subject, number, starts, _seed(random_state))

    def combine_components(self, X: Any, sample_weight: Any = None) -> CombinedComponents:
        """Combine components that overlap into clusters, by the entropy of responsibilities.

        A cluster that is not of the shape of one component takes several. Each step combines the
        two that lower the entropy most (Baudry and others 2010), until one cluster is left. That
        takes a pass for each component but one.

        Parameters
        ----------
        {X as fitted}
        {sample_weight}

        Returns
        -------
        combined : CombinedComponents
            The clusters for each number of them (`clusters`), their labels and probabilities
            (`predict`, `predict_proba`, from those of the model), and the tree (`tree`, `to_frame`,
            `to_markdown`, `to_dict`).

        Raises
        ------
        ConfigError
            If the model has no responsibilities.
        """
        with self._subject(X, sample_weight) as subject:
            return jobs.combine.combined(subject)

    @contextmanager
    def _subject(self, X: Any, sample_weight: Any) -> Iterator[Subject]:
        check_is_fitted(self)
        engine = make_engine(self.engine)
        rows = self._matching(X, sample_weight, engine)
        with self._kept(rows, engine) as kept:
            source = prepare.source.prepared(kept, self._fitted.preparation)
            _, settings, _ = self._sections(source.shape[1])
            recipe = composition.recipe.Recipe(self._told(), settings)
            tell = listener(self.verbose)

            def heard(event: Any) -> None:
                tell(event)
                if self.verbose and isinstance(event, fit.events.Began) and event.note:
                    report.lines.say(worded(f"{event.stage}: {event.note}", "parameters"))

            yield jobs.uncertainty.Subject(recipe, self._fitted, source, engine, heard)


def _level(level: Any) -> float:
    if isinstance(level, bool) or not isinstance(level, float | np.floating) or not 0 < level < 1:
        raise ConfigError(f"level={shown(level)}; expected a number between 0 and 1, such as 0.95.")
    return float(level)


def _seed(seed: Any) -> int:
    return inputs.validation.whole_number(seed, "random_state", 0)
