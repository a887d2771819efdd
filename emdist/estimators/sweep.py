"""`Sweep`: fits one estimator with many parameters, with shared reads, and chooses the best."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid

from emdist import composition, fit, inputs, jobs, quality
from emdist.errors import ConfigError, DegenerateWarning
from emdist.estimators.base import Estimator, warn_of_reading
from emdist.estimators.best_model import BestModel
from emdist.estimators.callbacks import heard
from emdist.estimators.in_sequence import InSequence
from emdist.estimators.inputs import make_engine
from emdist.estimators.verbose import listener
from emdist.inputs.quoting import shown
from emdist.inputs.renamed import told_of_name
from emdist.interfaces import Array
from emdist.parameters.choices import Criterion
from emdist.wording import worded

if TYPE_CHECKING:
    from emdist.composition.recipe import Recipe
    from emdist.quality.doubts import Doubt
    from emdist.quality.ranking import Row

#: Default of `sums_memory`: the limit for the sums of all models of one block.
_SUMS_MEMORY = "256 MiB"
#: Parameters that all models of a sweep share, because they share the reads of the data.
_SHARED = ("engine", "block_size", "missing_chunks", "corrupt_chunks", "non_finite", "decode",
           "prepare", "cache")  # fmt: skip

#: Parameters that set the number of components.
_SIZES = ("n_components", "n_clusters")
_CATEGORIES: Mapping[str, type[Warning]] = {
    "floor": DegenerateWarning,
    "unfinished": ConvergenceWarning,
    "edge": UserWarning,
    "heuristic": UserWarning,
    "weights": DegenerateWarning,
}


class Sweep(BestModel):
    """Fit one estimator with many parameters, with shared reads, and choose the best model.

    This is like `sklearn.model_selection.GridSearchCV` without cross-validation: every combination
    of the parameters is fitted to all rows, and an information criterion chooses. Warnings give
    reasons to doubt the choice: components on the variance floor, a best number of components that
    is the largest or smallest tried, and fits that have not converged. Each fit is bit-identical to
    the fit of that model alone.

    Parameters
    ----------
    estimator : estimator
        A `KMeans`, `GaussianMixture` or other estimator of emdist; it is cloned.
    param_grid : dict or list of dict
        Parameters and the values to compare, as for GridSearchCV. `engine` and the parameters about
        reading data are those of the estimator.
    criterion : {'bic', 'aic', 'icl', 'bound', 'calinski_harabasz', 'silhouette', 'davies_bouldin',
        'elbow'} or None, default=None
        How the best model is chosen. None: 'bic' for mixtures, 'bound' for variational models,
        'icl' for K-means and K-medians.

        - 'bic': Bayesian information criterion.
        - 'aic': Akaike information criterion.
        - 'icl': Integrated completed likelihood.
        - 'bound': Evidence lower bound.
        - 'calinski_harabasz': Variance between clusters by variance within.
        - 'silhouette': Mean silhouette, for squared Euclidean distances: a heuristic.
        - 'davies_bouldin': Davies-Bouldin index: a heuristic.
        - 'elbow': Where the objective bends: a heuristic.

    allow_degenerate : bool, default=False
        Whether a model whose components lie on the variance floor may be the best. Its likelihood
        depends on the floor alone.
    sums_memory : str, default='256 MiB'
        Memory for the sums of all models of one block. If they need more, a pass takes more than
        one read of the data.
    verbose : int, default=0
        Print one line per iteration of each model.
    memory : str or None, default=None
        Deprecated: the old name of `sums_memory`.

    Attributes
    ----------
    results_ : dict of ndarray
        One entry per model, in the order of ``ParameterGrid``: 'params', 'param_<name>',
        'objective', 'score', every criterion that is known, 'n_iter', 'converged', 'degenerate'
        (whether components lie on the variance floor) and 'rank' (1 is the best).
    estimators_ : list of estimator
        The fitted estimators, in the same order.
    best_index_ : int
        Index of the best model.
    best_params_ : dict
        Parameters of the best model.
    best_estimator_ : estimator
        The best model.
    best_score_ : float
        Value of the criterion for the best model.
    criterion_ : str
        The criterion that was used.

    Examples
    --------
    >>> import numpy as np
    >>> from emdist import GaussianMixture, Sweep
    >>> x = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0], [9], [20]], 100, 0)
    >>> sweep = Sweep(GaussianMixture(random_state=0), {"n_components": [1, 2, 3, 4]}).fit(x)
    >>> sweep.best_params_
    {'n_components': 3}
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        criterion: Criterion | None = None,
        allow_degenerate: bool = False,
        sums_memory: str = _SUMS_MEMORY,
        verbose: int = 0,
        memory: str | None = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.criterion = criterion
        self.allow_degenerate = allow_degenerate
        self.sums_memory = sums_memory
        self.verbose = verbose
        self.memory = memory

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        lengths: Any = None,
        groups: Any = None,
    ) -> Self:
        """Fit every model to the rows of `X`, and choose the best.

        Parameters
        ----------
        {X}
        y : None
            Ignored. scikit-learn's pipelines pass it.
        {sample_weight}
        lengths, groups
            The sequences of the rows, for hidden Markov models only, as in `GaussianHMM.fit`.

        Returns
        -------
        self : Sweep
            The fitted sweep.

        Raises
        ------
        ConfigError
            If the grid cannot be swept, or the criterion does not suit its models.
        EmdistError
            For the same reasons as the estimator's `fit`.
        """
        grid, estimators = self._estimators()
        if estimators[0].sequential:
            X = InSequence(X, lengths, groups)
        elif lengths is not None or groups is not None:
            raise ConfigError(
                f"lengths and groups are only for hidden Markov models, and estimator is a "
                f"{type(estimators[0]).__name__}, which does not look at the order of rows."
            )
        engine = make_engine(self.estimator.engine)
        rows = estimators[0]._source(X, sample_weight, engine)
        warn_of_reading(rows, stacklevel=4)
        before = fit.data_changes.stamps(rows)
        with estimators[0]._kept(rows, engine) as kept:
            source, preparation = estimators[0]._prepared(kept, engine)
            planned = [one._planned(source) for one in estimators]
            recipes = [recipe for recipe, _ in planned]
            models = [one.section for one in recipes]
            composition.memory.checked_memory(recipes, source, engine)
            jobs.warming.share_kernels(recipes, source, engine)
            criterion = self._criterion(recipes)
            budget, told = self._budget(), heard(self.verbose, self.estimator)
            plans = [
                composition.make.make_plan(
                    replace(recipe, name=f"model {index}"), source, engine, given, told
                )
                for index, (recipe, given) in enumerate(planned)
            ]
            fits, states = zip(*fit.unsaved.completed(plans, budget), strict=True)
            entropy = criterion == "icl" and not fits[0].model.minimises
            scores = fit.together.sweep.scored_together(fits, states, entropy, listener(0), budget)
            separations = (
                quality.separation.separated_together(fits, states, listener(0))
                if criterion in fit.criteria.OF_LABELS
                else ()
            )
        fit.data_changes.check_unwritten(rows, before)
        for one, made, model, found in zip(estimators, fits, models, states, strict=True):
            one._end(found, made.survey.spread, model, source, preparation)
            one._remember(fit.prepared_blocks.uncached(source), engine, X, before)
        table = quality.ranking.rows_of(
            [_named(params) for params in grid],
            models,
            [one._fitted for one in estimators],
            scores,
            quality.ranking.shown_criteria(criterion, models),
            fits[0].survey.moments,
            separations,
        )
        self._publish(
            grid,
            estimators,
            table,
            criterion,
            quality.ranking.doubts_about_weights(scores[0], criterion),
        )
        return self

    def _estimators(self) -> tuple[list[dict[str, Any]], list[Estimator]]:
        if not isinstance(self.estimator, Estimator):
            raise ConfigError(
                f"estimator={shown(self.estimator)}; expected an estimator of emdist, such as "
                "emdist.GaussianMixture(). For others there is sklearn's GridSearchCV."
            )
        try:
            grid = list(ParameterGrid(self.param_grid))
            named = sorted({name for params in grid for name in params})
            if shared := [name for name in named if name in _SHARED]:
                raise ConfigError(
                    f"param_grid varies {', '.join(shared)}, which all models of a sweep share. "
                    "Set it on the estimator instead."
                )
            return grid, [clone(self.estimator).set_params(**params) for params in grid]
        except (TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"param_grid: {error}") from None

    def _criterion(self, recipes: Sequence[Recipe]) -> str:
        if self.criterion is not None and self.criterion not in tuple(fit.criteria.CRITERIA):
            raise ConfigError(
                f"criterion={shown(self.criterion)}; expected one of "
                f"{', '.join(fit.criteria.CRITERIA)}, or None."
            )
        return composition.sweep_config.criterion_of(recipes, self.criterion)

    def _budget(self) -> int:
        name = "sums_memory"
        if self.memory is not None:
            name = "memory"
            told_of_name(name, "sums_memory", self.sums_memory != _SUMS_MEMORY, stacklevel=4)
        try:
            return inputs.validation.parse_bytes(getattr(self, name))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name}: {error}.") from None

    def _publish(
        self,
        grid: Sequence[Mapping[str, Any]],
        estimators: list[Estimator],
        rows: Sequence[Row],
        criterion: str,
        weighed: tuple[Doubt, ...],
    ) -> None:
        best = quality.ranking.best_of(rows, criterion, self.allow_degenerate)
        values = np.array([row.criteria[criterion] for row in rows])
        ranks = _ranks(values if fit.criteria.CRITERIA[criterion].lower else -values, best)
        found, chosen = _columns(grid, rows), estimators[best]
        names = getattr(chosen, "feature_names_in_", None)
        self._forget()
        self._rows = tuple(rows)
        self._learn(
            criterion_=criterion,
            results_=found | {"rank": ranks},
            estimators_=estimators,
            best_index_=best,
            best_params_=dict(grid[best]),
            best_estimator_=chosen,
            best_score_=float(values[best]),
            n_features_in_=chosen.n_features_in_,
            **({} if names is None else {"feature_names_in_": names}),
        )
        naming = quality.ranking.Naming("param_grid", "allow_degenerate=True", "max_iter", "tol")
        groups = [_named({k: v for k, v in params.items() if k not in _SIZES}) for params in grid]
        for doubt in (
            *quality.ranking.doubts_about(rows, best, criterion, naming, groups),
            *weighed,
        ):
            warnings.warn(
                worded(doubt.message, "parameters"), _CATEGORIES[doubt.kind], stacklevel=4
            )


def _named(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


def _columns(grid: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> dict[str, Any]:
    names = sorted({name for params in grid for name in params})
    varied = {f"param_{name}": _values([params.get(name) for params in grid]) for name in names}
    criteria = {name: np.array([row.criteria[name] for row in rows]) for name in rows[0].criteria}
    return {
        "params": [dict(params) for params in grid],
        **varied,
        "objective": np.array([row.objective for row in rows]),
        "score": np.array([row.score for row in rows]),
        **criteria,
        "n_iter": np.array([row.iterations for row in rows]),
        "converged": np.array([row.converged for row in rows]),
        "degenerate": np.array([bool(row.degenerate) for row in rows]),
    }


def _values(values: list[Any]) -> Array:
    """Make a column of objects, one for each value, even if the values are sequences."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _ranks(values: Array, best: int) -> NDArray[np.int64]:
    """Rank values from 1, the lowest; NaN ranks last, and the index `best` always ranks first."""
    order = sorted(
        range(len(values)),
        key=lambda i: (i != best, math.inf if math.isnan(values[i]) else values[i]),
    )
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(1, len(values) + 1)
    return ranks
