"""`Estimator`, the base class of all estimators: fitting, predicting and saving."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from emdist import composition, fit, jobs, prepare, quality, settings, store
from emdist.errors import DegenerateWarning, ShapeError, StartError, WeightError
from emdist.estimators.callbacks import Callbacks
from emdist.estimators.collecting import Gathered, gathered
from emdist.estimators.inputs import (
    as_location,
    make_engine,
)
from emdist.estimators.label_writing import LabelWriting
from emdist.estimators.parameters import parameters
from emdist.estimators.parameters_json import to_json
from emdist.estimators.plotting import Plotting
from emdist.estimators.preparing import learned_for
from emdist.estimators.profiling import Profiling
from emdist.estimators.reading import Reading
from emdist.estimators.results import Results
from emdist.estimators.settings import Settings
from emdist.estimators.uncertain import Uncertain
from emdist.inputs.frames import check_given, check_names
from emdist.inputs.names import both, match, names_of
from emdist.inputs.quoting import shown
from emdist.interfaces import Engine, Model, Source, Spread
from emdist.parameters.choices import CorruptChunks, Decode, MissingChunks, NonFinite
from emdist.sums import Sums
from emdist.wording import worded

if TYPE_CHECKING:
    from emdist.composition.recipe import Recipe
    from emdist.fit.fitted import Collect
    from emdist.fit.start import Given
    from emdist.fit.state import FitState
    from emdist.prepare.preparation import Preparation
    from emdist.settings.config import FitSection, ModelSection, Section

S = TypeVar("S", bound="Section")


def warn_of_reading(source: Source, stacklevel: int) -> None:
    """Warn of data that are read at a higher cost than needed."""
    if doubt := getattr(source, "doubt", ""):
        warnings.warn(worded(doubt, "parameters"), UserWarning, stacklevel=stacklevel)


@parameters()
class Estimator(
    Settings,
    Callbacks,
    Results,
    LabelWriting,
    Profiling,
    Uncertain,
    Plotting,
    Reading,
    BaseEstimator,  # type: ignore[misc]
):
    """Base class of all estimators, with scikit-learn's conventions, for any source and engine.

    An estimator keeps its state as scikit-learn's do: its parameters are stored as they were given,
    and `fit` adds attributes whose names end with an underscore. These attributes are read-only.
    """

    #: Whether rows lie in sequences, as those of hidden Markov models do.
    sequential: ClassVar[bool] = False

    _: KW_ONLY
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0
    engine: Any = None
    block_size: str | None = None
    missing_chunks: MissingChunks = "raise"
    corrupt_chunks: CorruptChunks = "raise"
    non_finite: NonFinite = "raise"
    decode: Decode = "cf"
    prepare: Sequence[Any] | None = None
    cache: str = "auto"

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        """Return whether the class can represent a model with this section."""
        raise NotImplementedError

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        """Make an unfitted estimator whose parameters describe the model of `section`."""
        raise NotImplementedError

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        """Make the configuration that the parameters describe, for `n_features` features."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.non_finite in ("missing", "drop")
        tags.input_tags.positive_only = self._is_positive()
        return tags

    def _is_positive(self) -> bool:
        """Return whether features must be >= 0, for scikit-learn's tags."""
        return False

    def __sklearn_is_fitted__(self) -> bool:
        return "_fitted" in self.__dict__

    def _kept(self, rows: Source, engine: Engine) -> AbstractContextManager[Source]:
        """Keep decoded blocks of `rows` in memory between the passes of a fit."""
        section = self._checked(settings.config.ClusterSection, {}, cache=self.cache)
        return composition.caching.kept_source(section, rows, engine, listen=self._listener())

    def _known(self, X: Any, sample_weight: Any, engine: Engine) -> Source:
        """Return `X` as a source of prepared rows; check that it has the fitted features."""
        return prepare.source.prepared(
            self._matching(X, sample_weight, engine), self._fitted.preparation
        )

    def _matching(self, X: Any, sample_weight: Any, engine: Engine) -> Source:
        """Return `X` as a source of rows as they are; check that it has the fitted features."""
        source = self._source_as_fitted(X, sample_weight, engine)
        if source.shape[1] != self._fitted.n_features_in:
            raise ShapeError(
                f"X has {source.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self._fitted.n_features_in} features as input."
            )
        check_names(self._fitted.feature_names, names_of(source), type(self).__name__)
        return source

    def _prepared(self, source: Source, engine: Engine) -> tuple[Source, Preparation | None]:
        """Return the rows of a new fit, prepared, and what the steps of `prepare` have learned."""
        fitted = self._fitted if self.__sklearn_is_fitted__() else None
        before = fitted if getattr(self, "warm_start", False) else None
        missing = self.non_finite == "missing"
        steps = prepare.making.make_steps(self.prepare)
        if steps and prepare.source.has_known_width(steps):
            self._planned(
                prepare.source.planned(source, steps)
            )  # refuses what it can before rows are read
        made = learned_for(self.prepare, source, engine, missing, self.verbose, before)
        if made is None or self.cache == "off":
            return prepare.source.prepared(source, made), made
        return fit.prepared_blocks.held_prepared(source, made, engine), made

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the model to the rows of `X`.

        Parameters
        ----------
        {X}
        y : None
            Ignored. scikit-learn's pipelines pass it.
        {sample_weight}

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        EmdistError
            If the data or the parameters are wrong, or reading fails. `emdist.errors` lists the
            kinds. Those about data and parameters are also ValueErrors.
        """
        engine = make_engine(self.engine)
        rows = self._source(X, sample_weight, engine)
        warn_of_reading(rows, stacklevel=4)
        before = fit.data_changes.stamps(rows)
        with self._kept(rows, engine) as kept, self._watched(X) as listen:
            source, preparation = self._prepared(kept, engine)
            recipe, given = self._planned(source)
            composition.memory.checked_memory([recipe], source, engine)
            jobs.warming.share_kernels([recipe], source, engine)
            plan = composition.make.make_plan(recipe, source, engine, given, listen)
            ((made, state),) = fit.unsaved.completed([plan])
        fit.data_changes.check_unwritten(rows, before)
        model = recipe.section
        self._end(state, made.survey.spread, model, source, preparation)
        for doubt in quality.doubts.unfinished(self._fitted, "max_iter", "tol"):
            warnings.warn(worded(doubt.message, "parameters"), ConvergenceWarning, stacklevel=3)
        for doubt in quality.doubts.doubts_of(model, self._fitted):
            warnings.warn(worded(doubt.message, "parameters"), DegenerateWarning, stacklevel=3)
        for doubt in quality.evidence.doubts_of_evidence(model, self._fitted, state.history):
            category = DegenerateWarning if doubt.kind == "few" else UserWarning
            warnings.warn(worded(doubt.message, "parameters"), category, stacklevel=3)
        self._remember(fit.prepared_blocks.uncached(source), engine, X, before)
        return self

    def _planned(self, source: Source) -> tuple[Recipe, Given]:
        """Return what `fit` computes; refuse what does not suit `source` before reading rows."""
        model, section, given = self._sections(source.shape[1])
        # Starting values are those of prepared rows, to which the names of the data do not apply.
        names = None if self.prepare else names_of(source)
        check_given(self.get_params(deep=False), names)
        recipe, features = composition.recipe.Recipe(model, section), source.shape[1]
        if recipe.k > source.shape[0] and not given.places(recipe.model, features):
            raise StartError(
                f"n_samples={source.shape[0]} should be >= {shown(recipe.k)}, the number of "
                "clusters or components. Ask for fewer."
            )
        given.check(recipe.model, recipe.k, features)
        self._check_warm(source)
        return recipe.checked(), given

    def _check_warm(self, source: Source) -> None:
        """Check that a warm start is for the same features as the previous fit, else StartError."""
        if not (getattr(self, "warm_start", False) and self.__sklearn_is_fitted__()):
            return
        known, found = self._fitted.feature_names, names_of(source)
        if match(known, found).refused:
            raise StartError(
                f"warm_start: the previous fit had other features. {both(known, found)} Pass "
                "the same columns in the same order, or set warm_start=False to start from "
                "scratch."
            )

    def _end(
        self,
        state: FitState,
        spread: Spread,
        model: ModelSection,
        source: Source,
        preparation: Preparation | None = None,
    ) -> None:
        """Take over the best restart of a finished fit."""
        best = state.best
        assert best is not None
        history = tuple(r for r in state.history if r.restart == best.restart)
        self._stream = None
        self._adopt(fit.fitted.result(best, spread, history, names_of(source), preparation), model)

    def _schedule(self) -> dict[str, Any]:
        """Return the schedule and its options, with the names that a configuration uses."""
        options = self._options_of("schedule_options", "{'groups': 8}")
        return {"schedule": self.schedule, "schedule_options": options}

    def _remember(self, source: Source, engine: Engine, X: Any, read: Mapping[str, str]) -> None:
        """Keep what later calls and attributes need of the data just fitted.

        `read` are the stamps of the data when they were read.
        """
        self._note_layout(X)

    def _told(self) -> ModelSection:
        """Return the fitted section, where the present `non_finite` says if NaN is missing."""
        return self._section.model_copy(update={"missing": self.non_finite == "missing"})

    @property
    def preparation_(self) -> Preparation | None:
        """How the fitted model prepares rows, or None. It also moves values back to their units."""
        check_is_fitted(self)
        return self._fitted.preparation

    def _model(self) -> Model[Any]:
        return composition.model.make_model(self._told())

    def _collect(self, X: Any, resp: bool = False, only_labels: bool = False) -> Gathered:
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source = self._known(X, None, engine)
        composition.memory.check_result(source.shape[0], self._fitted.n_columns if resp else 0)
        model = self._model()

        def task(seen: Source) -> Collect:
            numerics = self._fitted.numerics(model, source.dtype)
            origin, params = self._fitted.spread.origin, self._fitted.linked(model, seen, engine)
            return fit.fitted.Collect(seen, model, params, origin, numerics, resp, only_labels)

        rows = self._as_fitted(X)
        columns = "component" if resp else ""
        return gathered(
            engine,
            source,
            task,
            rows,
            lambda one: fit.observed.observed_source(one, model),
            columns,
        )

    def _told_of(self, output: str) -> dict[str, Any]:
        """Return what results are, as attributes: those of the output of labels with that name."""
        return store.labels.array_plans.described(
            output, self._fitted.n_columns, self._section.noise is not None
        )

    @property
    def _label_of_none(self) -> int:
        """The label of rows that are left out, where results lie on a grid."""
        return -1 if self._section.noise is None else -2

    def _labelled(self, X: Any, sample_weight: Any) -> Sums:
        """Return the sums of one pass over `X`: ``score``, ``weight`` and ``count``.

        Raises
        ------
        WeightError
            If the rows that count have a total weight of 0 or of more than float64 can hold.
        """
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source = self._known(X, sample_weight, engine)
        sums = self._fitted.label(self._model(), source, engine)
        if sample_weight is None and float(sums["weight"]) == 0:
            raise ShapeError(
                f"{store.grids.nothing_left.nothing_left(source)} There is nothing to score."
            )
        fit.survey.check_total(float(sums["weight"]))
        if not np.isfinite(sums["score"]):
            raise WeightError(
                "The scores of all rows, times their sample weights, sum to more than float64 "
                "can hold (1.8e308). Divide the weights by a constant, such as the largest "
                "weight."
            )
        return sums

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Predict the cluster or component of each row.

        Rows that a policy leaves out have no label, and neither have rows without an observed
        value. The result is then shorter than `X`, unless it is on a grid. Use `label` to write
        labels that are aligned with the rows of the array.

        Parameters
        ----------
        {X as fitted}

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            Index of the cluster or component of each row. In a mixture with noise, -1 is noise.
            {on the grid: -1, or -2 in a mixture with noise}

        Raises
        ------
        DataError
            If a row is so far from all components that its scores overflow.
        """
        found = self._collect(X, only_labels=True)
        labels: NDArray[np.int32] = found.shaped(
            found.value.labels, "labels", self._label_of_none, attributes=self._told_of("labels")
        )
        return labels

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a folder, from which `emdist.load` reads it.

        Parameters
        ----------
        path : str or path-like
            A path or URL of a folder. It may be new or empty, or hold a saved model, which is then
            replaced.

        Raises
        ------
        ConfigError
            If `path` is the folder of a run, or not a path.
        """
        check_is_fitted(self)
        place = as_location(path, "a folder to save the model in")
        store.runs.model_files.check_free(place)
        params = self.get_params(deep=False)
        steps = prepare.making.steps_as_config(params.pop("prepare"))
        extra = {
            "estimator": type(self).__name__,
            "params": to_json(params | ({"prepare": steps} if steps else {})),
            # New data are read like those of the fit, unless one says otherwise.
            "reading": {**self._reading().reading(), **self._layout.to_json()},
        }
        jobs.records.save_fitted(place, self._section, self._fitted, extra)
