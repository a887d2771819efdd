"""A fitted model as a value: all that labelling, scoring and saving need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emdist.errors import FeatureNamesError, ShapeError
from emdist.fit.assigned import assigned
from emdist.fit.observed import observed_source
from emdist.fit.passes import LabelBlock
from emdist.fit.state import Best, FitState, Record, Status
from emdist.inputs.names import Match, Names, both, match, names_of
from emdist.interfaces import Array, Assigned, Engine, Floats, Model, Numerics, Source, Spread
from emdist.store.labels.leftovers import remove_leftovers, unfinished
from emdist.store.labels.writer import LabelWriter
from emdist.sums import Sums


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    Attributes
    ----------
    params
        Relative to the spread's origin.
    spread
        Of the training data: origin, and what numerics are chosen by.
    objective
        Inertia, or log-likelihood per unit of weight in nats, of the best start.
    iterations, restart
        Of the best start.
    status
        How it stopped.
    history
        One record per iteration, all starts.
    feature_names
        Of the training data, or None where it had none.
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

    @property
    def n_components(self) -> int:
        """That are left after the collapse policy."""
        return len(self.params.weights)

    @property
    def n_columns(self) -> int:
        """Of the responsibilities: components, and noise where the model has it."""
        return len(self.params.shares)

    @property
    def n_features(self) -> int:
        """Features of a row."""
        return len(self.spread.origin)

    def numerics(self, model: Model[Any], dtype: np.dtype[Any]) -> Numerics:
        """How a pass over rows of `dtype` computes."""
        found = model.numerics(self.params, self.spread, dtype)
        if self.status is Status.GIVEN:  # Of the data nothing is known.
            found = replace(found, dtype="float64", centred=True)
        return found

    def check_features(self, source: Source) -> str:
        """A warning where it is in doubt whether `source` has the model's features, or "".

        Raises
        ------
        ShapeError
            If it has another number of features.
        FeatureNamesError
            If they have other names, or another order.
        """
        if source.shape[1] != self.n_features:
            raise ShapeError(
                f"The data has {source.shape[1]} feature(s) and the model was fitted to "
                f"{self.n_features}. Label data with the same features in the same order."
            )
        known, found = self.feature_names, names_of(source)
        how = match(known, found)
        if how.refused:
            remedy = (
                "Ingest the data with its columns in the model's order (`emdist ingest --column`)."
                if how is Match.OTHER_ORDER
                else "Label data with the model's features. If they are the same, write the "
                "model's names to the attribute feature_names of the Zarr array."
            )
            raise FeatureNamesError(
                f"The data's features are not the model's: {how.value}. {both(known, found)} "
                f"{remedy}"
            )
        if how is Match.SAME:
            return ""
        return (
            f"Feature names cannot be compared: {how.value}. {both(known, found)} The "
            "columns are taken in their order."
        )

    def label(
        self,
        model: Model[Any],
        source: Source,
        engine: Engine,
        writer: LabelWriter | None = None,
        done: Any = None,
    ) -> Sums:
        """One pass that labels all rows: ``count`` (c,), ``score`` and ``weight`` summed.

        Parameters
        ----------
        model
            That was fitted.
        source, engine
            What to label, and where.
        writer
            Stores the labels; None only sums.
        done
            Called with the number of blocks finished.
        """
        self.check_features(source)
        task = LabelBlock(
            observed_source(source, model), model, self.params, self.spread.origin,
            self.numerics(model, source.dtype), writer,
        )  # fmt: skip
        left = unfinished(writer.location) if writer is not None else {}
        sums = engine.map_reduce(task, range(len(source)), done)
        remove_leftovers(left)
        return sums


def result(
    best: Best, spread: Spread, history: tuple[Record, ...], feature_names: Names = None
) -> Fitted:
    """The best start of a finished fit, with what is needed to use it."""
    return Fitted(
        best.params,
        spread,
        best.objective,
        best.iterations,
        best.restart,
        best.status,
        history,
        feature_names,
    )


def leading(state: FitState, minimises: bool) -> Best | None:
    """The best start of a fit, whether or not it has stopped; None before the first iteration."""
    sign = -1 if minimises else 1
    found = [state.best] if state.best is not None else []
    found += [_so_far(one) for one in state.starts or (state,) if one.iteration]
    # Of equal ones the first, as where starts are compared at the end.
    return max(found, key=lambda best: sign * best.objective, default=None)


def _so_far(state: FitState) -> Best:
    if state.best is not None:
        return state.best
    known = [r for r in state.history if r.restart == state.restart and not r.rejected]
    return Best(state.params, known[-1].objective, state.iteration, state.restart, state.status)


@dataclass(frozen=True)
class Collected:
    """Labels, scores and responsibilities of consecutive rows, in memory; adds by joining.

    Pieces are kept as they are until one array is asked for, so that no more than it and they
    are held.
    """

    pieces: tuple[Assigned, ...]

    def __add__(self, other: Collected) -> Collected:
        return Collected(self.pieces + other.pieces)

    @property
    def labels(self) -> NDArray[np.int32]:
        """(n,)."""
        return _joined([piece.labels for piece in self.pieces])

    @property
    def score(self) -> Floats:
        """(n,), or none if only labels were asked for."""
        return _joined([piece.score for piece in self.pieces])

    @property
    def resp(self) -> Array | None:
        """(n, k), on request."""
        found = [piece.resp for piece in self.pieces if piece.resp is not None]
        return _joined(found) if found else None


def _joined(pieces: list[Array]) -> Array:
    """One array of several; one as it is, without a copy."""
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


@dataclass(frozen=True)
class Rows:
    """Consecutive rows; adds by joining."""

    x: Floats

    def __add__(self, other: Rows) -> Rows:
        return Rows(np.concatenate([self.x, other.x]))


@dataclass(frozen=True)
class Collect:
    """Assignments of one block as a value: for `predict` on data whose labels fit in memory."""

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
