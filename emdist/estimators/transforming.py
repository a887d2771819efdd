"""`Transforming`, base class of the transformers: fit, transform and back, also of stored data."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from emdist import engines, fit, prepare
from emdist.errors import ShapeError
from emdist.estimators.inputs import (
    is_in_memory,
    is_query,
    make_engine,
)
from emdist.estimators.parameters import parameters
from emdist.estimators.prepared_rows import PreparedRows
from emdist.estimators.preparing import warn_of
from emdist.estimators.reading import Reading
from emdist.estimators.settings import Settings
from emdist.estimators.wording import Speaking
from emdist.inputs.frames import check_names
from emdist.inputs.index_columns import without_index
from emdist.inputs.names import Names, names_of
from emdist.interfaces import Array, Engine, Source
from emdist.parameters.choices import CorruptChunks, Decode, MissingChunks, NonFinite
from emdist.sums import Sums

if TYPE_CHECKING:
    from emdist.fit.fitted import RowValues
    from emdist.prepare.base import PrepareStep
    from emdist.prepare.preparation import Preparation
    from emdist.settings.config import ReadingSection


@parameters()
class Transforming(Settings, Speaking, Reading, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base class of the transformers, which are one step of preparing rows each.

    Data in memory become NumPy arrays, and other data become `PreparedRows`, which every estimator
    and transformer of emdist reads in blocks.
    """

    #: Whether NaN is always accepted and left out, as in the scikit-learn class of the same name.
    _accepts_missing: ClassVar[bool] = False

    _: KW_ONLY
    engine: Any = None
    block_size: str | None = None
    missing_chunks: MissingChunks = "raise"
    corrupt_chunks: CorruptChunks = "raise"
    non_finite: NonFinite = "raise"
    decode: Decode = "cf"

    _preparation: ClassVar[Preparation]
    _names: ClassVar[Names]

    def _prepare_step(self) -> PrepareStep:
        """Return the step that the parameters describe; ConfigError if they are wrong."""
        raise NotImplementedError

    def _adopt(self, preparation: Preparation) -> None:
        """Set the fitted attributes from what the step has learned."""

    def __sklearn_is_fitted__(self) -> bool:
        return "_preparation" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._accepts_missing or self.non_finite != "raise"
        return tags

    def _reading(self) -> ReadingSection:
        """Return how rows are read."""
        found = super()._reading()
        if self._accepts_missing and found.non_finite == "raise":
            return found.model_copy(update={"non_finite": "missing"})
        return found

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the step from the rows of `X`, in one pass.

        Parameters
        ----------
        {X}
            Rows that another transformer has prepared are accepted, too.
        y : None
            Ignored. scikit-learn's pipelines pass it.
        {sample_weight}

        Returns
        -------
        self : transformer
            The fitted transformer.
        """
        step, engine = self._prepare_step(), make_engine(self.engine)
        source = self._source(X, sample_weight, engine)
        missing = self._reading().non_finite == "missing"
        made = prepare.learning.learn([step], source, engine, missing)
        if is_in_memory(X) and not step.need(source.shape[1]):
            found = engine.map_reduce(_Check(source, made, missing), range(len(source)))
            fit.survey.check_total(float(found["weight"]))
        warn_of(made, stacklevel=3)
        self._preparation = made  # type: ignore[misc]
        self._names = names_of(source)  # type: ignore[misc]
        self._note_layout(X)
        self.n_features_in_ = made.n_features_in
        self.__dict__.pop("feature_names_in_", None)
        if self._names is not None:
            self.feature_names_in_ = np.array(self._names, object)
        self._adopt(made)
        return self

    def transform(self, X: Any) -> Any:
        """Prepare the rows of `X`.

        Parameters
        ----------
        {X as fitted}

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), or PreparedRows
            An array for data in memory. For other data, rows that every estimator and transformer
            of emdist takes as `X`, and reads in blocks.
        """
        check_is_fitted(self)
        return self._applied(X, self._preparation, check=True)

    def inverse_transform(self, X: Any) -> Any:
        """Return rows from which `transform` makes the rows of `X`, as far as it keeps them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out), dask array, zarr.Array or path
            Prepared rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features), or PreparedRows
            As in `transform`.
        """
        check_is_fitted(self)
        return self._applied(X, prepare.inverse.inverse_of(self._preparation), check=False)

    def _applied(self, X: Any, made: Preparation, check: bool) -> Any:
        """Return the rows of `X` after the steps of `made`; `check` that they suit the fit."""
        engine = make_engine(self.engine)
        source = (self._source_as_fitted if check else self._source)(X, None, engine)
        if source.shape[1] != made.n_features_in:
            raise ShapeError(
                f"X has {source.shape[1]} features, but {type(self).__name__} is expecting "
                f"{made.n_features_in} features as input."
            )
        if check:
            check_names(self._names, names_of(source), type(self).__name__)
            X = self._as_fitted(X)
        if isinstance(X, PreparedRows):
            return X.then(made)
        if not is_in_memory(X) or is_query(X):
            return PreparedRows(without_index(X), made)
        return collected(prepare.source.prepared(source, made), engine)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the names of the prepared features.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features of the data, if they had none in `fit`.

        Returns
        -------
        ndarray of str objects
            The names.
        """
        check_is_fitted(self)
        names = self._names
        if input_features is not None:
            given = tuple(str(one) for one in input_features)
            if names is not None and given != names:
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(given) != self.n_features_in_:
                raise ValueError(
                    "input_features should have length equal to number of features "
                    f"({self.n_features_in_}), got {len(given)}"
                )
            names = given
        return np.array(self._preparation.names_out(names), object)


@dataclass(frozen=True, eq=False)
class _Check:
    """The task that prepares the rows of one block, to see whether they can be prepared."""

    source: Source
    preparation: Preparation
    missing: bool

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        prepare.learning.check_weights(block)
        total = 0.0
        for x, weight in self.preparation.counted(block, self.missing):
            total += len(x) if weight is None else float(weight.sum())
        return Sums({"weight": np.array(total)})


@dataclass(frozen=True, eq=False)
class _Fill:
    """The task that writes the rows of one block into an array of this process."""

    source: Source
    out: Array

    def __call__(self, i: int) -> Sums:
        a, b = self.source.bounds[i], self.source.bounds[i + 1]
        self.out[a:b] = self.source.read(i).x
        return Sums({})


@dataclass(frozen=True)
class _Read:
    """The task that returns the rows of one block."""

    source: Source

    def __call__(self, i: int) -> RowValues:
        return fit.fitted.RowValues(self.source.read(i).x)


def collected(source: Source, engine: Engine | None = None) -> Array:
    """Return all rows of `source` as one array in memory."""
    engine = engine or engines.threads.LocalEngine()
    blocks = range(len(source))
    if not isinstance(engine, engines.threads.LocalEngine):
        found: Array = engine.map_reduce(_Read(source), blocks).x
        return found
    out = np.empty(source.shape, source.dtype)
    engine.map_reduce(_Fill(source, out), blocks)
    return out
