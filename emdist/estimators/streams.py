"""Fitting to a stream: chunks of rows as they come, each seen once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

from emdist.composition.make import make_fit, make_survey
from emdist.composition.memory import checked_memory
from emdist.composition.recipe import Recipe
from emdist.estimators.base import Estimator
from emdist.estimators.inputs import make_engine
from emdist.estimators.stream_shape import check_shape
from emdist.estimators.verbose import listener
from emdist.fit.domain import check_spread
from emdist.fit.events import Listener
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted
from emdist.fit.loop import seeded
from emdist.fit.online import Fold, sweep
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.fit.survey import Survey, check_total
from emdist.inputs.frames import check_given
from emdist.inputs.names import Names, names_of
from emdist.interfaces import Engine, Source

#: Records of chunks that are kept.
_KEPT = 100


@dataclass(frozen=True)
class Stream:
    """What the next chunk is added to.

    Attributes
    ----------
    survey
        Of the first chunk: origin, and what arithmetic is chosen by.
    state
        Parameters, folded sums, and the history of the last hundred chunks.
    """

    survey: Survey
    state: FitState

    def fitted(self, names: Names) -> Fitted:
        """The parameters so far; their objective is that of the last chunk before it was seen."""
        state = self.state
        return Fitted(
            state.params,
            self.survey.spread,
            state.history[-1].objective,
            state.iteration,
            0,
            state.status,
            state.history,
            names,
        )


def fed(
    stream: Stream | None,
    before: Fitted | None,
    recipe: Recipe,
    given: Given,
    chunk: tuple[Source, Engine],
    fold_of: Callable[[float], Fold],
    listen: Listener,
) -> Stream:
    """`stream` after one more chunk: its rows' sums folded in, and an M-step.

    Parameters
    ----------
    stream
        None for a new one, which is surveyed by its first chunk and begins at what was fitted
        `before`, or at seeds from that chunk.
    recipe, given
        What is fitted, and a start that was given.
    chunk
        Rows, and where to compute.
    fold_of
        How sums of chunks become one, given the weight of the first chunk.
    """
    source, engine = chunk
    survey = engine.map_reduce(make_survey(source, recipe), range(len(source)))
    if stream is None:
        survey.check()
        begun = before is not None
        fit = make_fit(recipe, source, engine, survey, given, listen, begun)
        stream = Stream(survey, _first(fit, recipe.fit.seed, before))
    elif not survey.moments.weight > 0:
        return stream  # Rows that count for nothing.
    else:
        check_total(survey.moments.weight)
        fit = make_fit(recipe, source, engine, stream.survey, Given(), listen, True)
        check_spread(fit.model.domain, survey.spread)
    fold = fold_of(stream.survey.spread.weight)
    state = sweep(fit, stream.state, [range(len(source))], fold)
    return replace(stream, state=replace(state, history=state.history[-_KEPT:]))


def _first(fit: Fit, seed: int, before: Fitted | None) -> FitState:
    if before is None:
        return seeded(fit, FitState(seed))
    moved: Any = fit.model.translate(before.params, before.spread.origin - fit.origin)
    return FitState(seed, params=moved)


class Streaming(Estimator):
    """Base of the estimators with `partial_fit`. It has state as every estimator has."""

    def _fold(self, recipe: Recipe) -> Callable[[float], Fold]:
        """How sums of chunks become one, given the weight of the first chunk."""
        raise NotImplementedError

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Go on with one more chunk of a stream, which is read once and not kept.

        The first chunk decides where the fit starts and what arithmetic suits the data: give it
        more rows than components, drawn from all that is to come. After `fit`, or for a loaded
        estimator, the stream starts from what was fitted. `history_` holds the last hundred
        chunks, `n_iter_` counts all of them; the objective is that of the last chunk under the
        parameters before it.

        Parameters
        ----------
        X, sample_weight
            A chunk, as in `fit`.
        y
            Ignored, for scikit-learn's pipelines.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        ConfigError
            If a parameter that decides the model's shape, such as `n_components`, was changed.
        """
        engine = make_engine(self.engine)
        before = self._fitted if self.__sklearn_is_fitted__() else None
        known = self._source if before is None else self._known
        source = known(X, sample_weight, engine)
        model, section, given = self._sections(source.shape[1])
        check_given(self.get_params(deep=False), names_of(source))
        if before is not None:
            number = "n_clusters" if hasattr(self, "n_clusters") else "n_components"
            streaming = self._stream is not None
            check_shape(self._section, model, type(self).__name__, number, streaming)
        recipe = Recipe(model, section)
        given.check(recipe.model, recipe.k, source.shape[1])
        checked_memory([recipe], source, engine)
        fold, listen = self._fold(recipe), listener(self.verbose)
        stream = fed(self._stream, before, recipe, given, (source, engine), fold, listen)
        names = names_of(source) if before is None else before.feature_names
        self._adopt(stream.fitted(names), model)
        self._stream = stream
        self._remember(source, engine, X)
        return self
