"""`Fitted`: a fitted model as a value that has all that labelling, scoring and saving need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emdist.errors import FeatureNamesError, ShapeError
from emdist.fit.assigned import assigned
from emdist.fit.linking import linked
from emdist.fit.observed import observed_source
from emdist.fit.passes import LabelBlock
from emdist.fit.state import Best, FitState, Record, Status
from emdist.inputs.names import Match, Names, both, match, names_of, naming
from emdist.interfaces import Array, Assigned, Engine, Floats, Model, Numerics, Source, Spread
from emdist.prepare.preparation import Preparation
from emdist.prepare.source import PreparedSource, prepared
from emdist.store.labels.leftovers import remove_leftovers, unfinished
from emdist.store.labels.writer import LabelWriter
from emdist.sums import Sums


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    Attributes
    ----------
    params
        The parameters, relative to the spread's origin.
    spread
        The spread of the training data: the origin, and the values by which numerics are chosen.
    objective
        The objective of the best restart: inertia, or log-likelihood per unit of weight in nats.
    iterations, restart
        The number of iterations of the best restart, and its number from 0.
    status
        How the best restart stopped.
    history
        One record for each iteration of all restarts.
    feature_names
        The feature names of the training data, or None if they had none.
    preparation
        How rows are prepared before the model sees them, or None. It is stored beside the model.
        Parameters and spread are those of prepared rows.
    """

    schema: ClassVar[int] = 2

    params: Any
    spread: Spread
    objective: float
    iterations: int
    restart: int
    status: Status
    history: tuple[Record, ...]
    feature_names: Names = None
    preparation: Preparation | None = field(default=None, metadata={"stored": False})

    @property
    def n_components(self) -> int:
        """The number of components that are left after the collapse policy."""
        return len(self.params.weights)

    @property
    def n_columns(self) -> int:
        """The number of columns of responsibilities: components, and noise if there is any."""
        return len(self.params.shares)

    @property
    def n_features(self) -> int:
        """The number of features of a row, once it is prepared."""
        return len(self.spread.origin)

    @property
    def n_features_in(self) -> int:
        """The number of features of the data."""
        return self.n_features if self.preparation is None else self.preparation.n_features_in

    @property
    def prepared_names(self) -> Names:
        """The names of the features of prepared rows; None if they have none."""
        if self.preparation is None:
            return self.feature_names
        return self.preparation.names_out(self.feature_names)

    def prepared(self, source: Source) -> Source:
        """Return `source` with its rows prepared as the model needs them.

        Raises
        ------
        ShapeError
            If the source has another number of features.
        FeatureNamesError
            If its features have other names, or another order.
        """
        if self.preparation is not None:
            self.check_features(source)
        return prepared(source, self.preparation)

    def numerics(self, model: Model[Any], dtype: np.dtype[Any]) -> Numerics:
        """Return how a pass over rows of `dtype` computes."""
        found = model.numerics(self.params, self.spread, dtype)
        if self.status is Status.GIVEN:  # Nothing is known about the data.
            found = replace(found, dtype="float64", centred=True)
        return found

    def check_features(self, source: Source) -> str:
        """Check that `source` has the model's features; return a warning if in doubt, or "".

        Raises
        ------
        ShapeError
            If the source has another number of features.
        FeatureNamesError
            If its features have other names, or another order.
        """
        # Rows that others have prepared, in a pipeline, are the data of this model.
        own = self.preparation is not None
        found = source.source if own and isinstance(source, PreparedSource) else source
        if found.shape[1] != self.n_features_in:
            raise ShapeError(
                f"The model was fitted to {self.n_features_in} features, but the data have "
                f"{found.shape[1]}. Label data with the same features in the same order."
            )
        known, named = self.feature_names, names_of(source)
        how = match(known, named)
        if how.refused:
            remedy = (
                "Ingest the data with the columns in the order of the model (`emdist ingest "
                "--column`)."
                if how is Match.OTHER_ORDER
                else "Label data with the features of the model. If they are the same features, "
                "write the names of the model to the attribute feature_names of the Zarr array."
            )
            raise FeatureNamesError(
                f"The features of the data are not those of the model: {how.value}. "
                f"{both(known, named)} {remedy}"
            )
        if how is Match.SAME:
            return ""
        return (
            f"Feature names cannot be compared: {how.value}. {both(known, named)} emdist assumes "
            "that the columns are in the same order."
        )

    def linked(self, model: Model[Any], source: Source, engine: Engine) -> Any:
        """Return the parameters for a pass that labels `source`, where blocks may cut sequences."""
        numerics = model.shown(self.params, self.numerics(model, source.dtype))
        return linked(
            source, model, self.params, self.spread.origin, numerics, engine.map_reduce, True
        )

    def label(
        self,
        model: Model[Any],
        source: Source,
        engine: Engine,
        writer: LabelWriter | None = None,
        done: Any = None,
        blocks: Sequence[int] | None = None,
    ) -> Sums:
        """Label all rows in one pass; return the sums ``count`` (c,), ``score`` and ``weight``.

        Parameters
        ----------
        model
            The model that was fitted.
        source, engine
            The rows to label, prepared, and the engine that runs the pass.
        writer
            Stores the labels; with None, they are only summed.
        done
            Called with the number of finished blocks.
        blocks
            The blocks to label, at least one; None for all.
        """
        self.check_features(source)
        seen = observed_source(source, model)
        task = LabelBlock(
            seen, model, self.linked(model, seen, engine), self.spread.origin,
            self.numerics(model, source.dtype), writer,
        )  # fmt: skip
        left = unfinished(writer.location) if writer is not None else {}
        with naming(source):
            sums = engine.map_reduce(task, blocks or range(len(source)), done)
        remove_leftovers(left)
        return sums


def result(
    best: Best,
    spread: Spread,
    history: tuple[Record, ...],
    feature_names: Names = None,
    preparation: Preparation | None = None,
) -> Fitted:
    """Return the best restart of a finished fit, with what is needed to use it."""
    return Fitted(
        best.params,
        spread,
        best.objective,
        best.iterations,
        best.restart,
        best.status,
        history,
        feature_names,
        preparation,
    )


def leading(state: FitState, minimises: bool) -> Best | None:
    """Return the best restart of a fit that may still run; None before the first iteration."""
    sign = -1 if minimises else 1
    found = [state.best] if state.best is not None else []
    found += [_so_far(one) for one in state.starts or (state,) if one.iteration]
    # Among equals, the first, which also wins when restarts are compared at the end.
    return max(found, key=lambda best: sign * best.objective, default=None)


def _so_far(state: FitState) -> Best:
    """Return the best result of one restart, which may still run."""
    if state.best is not None:
        return state.best
    known = [r for r in state.history if r.restart == state.restart and not r.rejected]
    return Best(state.params, known[-1].objective, state.iteration, state.restart, state.status)


@dataclass(frozen=True)
class Collected:
    """Labels, scores and responsibilities of consecutive rows, in memory; adds by joining.

    Pieces stay separate until one array is requested, so that memory holds no more than the pieces
    and that one array.
    """

    pieces: tuple[Assigned, ...]

    def __add__(self, other: Collected) -> Collected:
        return Collected(self.pieces + other.pieces)

    @property
    def labels(self) -> NDArray[np.int32]:
        """The labels (n,)."""
        return _joined([piece.labels for piece in self.pieces])

    @property
    def score(self) -> Floats:
        """The scores (n,), or an empty array if only labels were requested."""
        return _joined([piece.score for piece in self.pieces])

    @property
    def resp(self) -> Array | None:
        """The responsibilities (n, k), or None if they were not requested."""
        found = [piece.resp for piece in self.pieces if piece.resp is not None]
        return _joined(found) if found else None


def _joined(pieces: list[Array]) -> Array:
    """Join several arrays into one; return a single one as it is, without a copy."""
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


@dataclass(frozen=True)
class RowNumbers:
    """Task that returns the numbers of the rows of one block, without those that are left out.

    Attributes
    ----------
    source
        The source of the blocks.
    whole
        Whether to return the numbers of all rows.
    """

    source: Source
    whole: bool = False

    def __call__(self, i: int) -> RowValues:
        block = self.source.read(i)
        return RowValues((replace(block, mask=None) if self.whole else block).rows())


@dataclass(frozen=True)
class RowValues:
    """Consecutive rows; two of them are added by joining."""

    x: Array

    def __add__(self, other: RowValues) -> RowValues:
        return RowValues(np.concatenate([self.x, other.x]))


@dataclass(frozen=True)
class Collect:
    """Assign the rows of one block, for `predict` on data whose labels fit into memory."""

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    resp: bool = False
    only_labels: bool = False

    def __call__(self, i: int) -> Collected:
        block = self.source.read(i)
        found = assigned(self.model, block, self.params, self.origin, self.numerics, self.resp)
        if self.only_labels:
            found = replace(found, score=np.empty(0))
        return Collected((found,))
