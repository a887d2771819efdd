"""Streams: `partial_fit` fits a model to chunks of rows, of which each is read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from emdist import composition, fit, prepare
from emdist.estimators.base import Estimator
from emdist.estimators.inputs import make_engine
from emdist.estimators.preparing import fixed
from emdist.estimators.stream_shape import check_shape
from emdist.inputs.frames import check_given
from emdist.inputs.names import Names, names_of
from emdist.interfaces import Engine, Source

if TYPE_CHECKING:
    from emdist.composition.recipe import Recipe
    from emdist.fit.events import Listener
    from emdist.fit.fit import Fit
    from emdist.fit.fitted import Fitted
    from emdist.fit.online import Fold
    from emdist.fit.start import Given
    from emdist.fit.state import FitState
    from emdist.fit.survey import Survey

#: Records of the history that are kept: those of the last chunks.
_KEPT = 100


@dataclass(frozen=True)
class Stream:
    """The state of a stream, to which the next chunk is added.

    Attributes
    ----------
    survey
        The survey of the first chunk. It decides the origin and the arithmetic of all chunks.
    state
        The parameters, the accumulated sums, and the history of the last hundred chunks.
    """

    survey: Survey
    state: FitState

    def fitted(self, names: Names) -> Fitted:
        """Return the parameters so far, with the last chunk's objective before it was used."""
        state = self.state
        return fit.fitted.Fitted(
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
    """Return `stream` after one more chunk: the sums of its rows are added, and an M-step follows.

    Parameters
    ----------
    stream
        The stream so far. None starts a new one: its first chunk is surveyed, and it starts from
        `before`, or from starting values that a seeder chooses from that chunk.
    before
        An earlier fit to continue, or None.
    recipe, given
        The model and fit, and starting values that the user gave.
    chunk
        The rows, and the engine that computes.
    fold_of
        Given the total weight of the first chunk, returns how to combine the sums of chunks.
    """
    source, engine = chunk
    survey = engine.map_reduce(composition.make.make_survey(source, recipe), range(len(source)))
    if stream is None:
        survey.check(source)
        begun = before is not None
        made = composition.make.make_fit(recipe, source, engine, survey, given, listen, begun)
        stream = Stream(survey, _first(made, recipe.fit.seed, before))
    elif not survey.moments.weight > 0:
        return stream  # All rows have weight 0 or are left out.
    else:
        fit.survey.check_total(survey.moments.weight)
        made = composition.make.make_fit(
            recipe, source, engine, stream.survey, fit.start.Given(), listen, True
        )
        fit.domain.check_spread(made.model.domain, survey.spread)
    fold = fold_of(stream.survey.spread.weight)
    state = fit.online.sweep(made, stream.state, [range(len(source))], fold)
    return replace(stream, state=replace(state, history=state.history[-_KEPT:]))


def _first(made: Fit, seed: int, before: Fitted | None) -> FitState:
    if before is None:
        return fit.loop.seeded(made, fit.state.FitState(seed))
    moved: Any = made.model.translate(before.params, before.spread.origin - made.origin)
    return fit.state.FitState(seed, params=moved)


class Streaming(Estimator):
    """Base class of the estimators with `partial_fit`."""

    def _fold(self, recipe: Recipe) -> Callable[[float], Fold]:
        """Return a function of the first chunk's weight that says how to combine sums of chunks."""
        raise NotImplementedError

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Update the model with one more chunk of a stream, which is read once and not kept.

        The first chunk decides where the fit starts and which arithmetic suits the data. It should
        have more rows than there are components, drawn from all data that will come. After `fit`,
        or for a loaded estimator, the stream starts from the fitted model. `history_` holds the
        last hundred chunks; `n_iter_` counts all of them. The objective is that of the last chunk
        under the parameters before that chunk.

        Parameters
        ----------
        {X}
            These are the rows of the chunk.
        y : None
            Ignored. scikit-learn's pipelines pass it.
        sample_weight : array-like of shape (n_samples,), zarr.Array, str or path-like, default=None
            Sample weights of the chunk, as in `fit`.

        Returns
        -------
        self : estimator
            The estimator, with the parameters after this chunk.

        Raises
        ------
        ConfigError
            If a parameter that decides the model's shape, such as `n_components`, was changed.
        """
        engine = make_engine(self.engine)
        before = self._fitted if self.__sklearn_is_fitted__() else None
        if before is None:
            source = self._source(X, sample_weight, engine)
            preparation = fixed(self.prepare, source.shape[1], "partial_fit")
            source = prepare.source.prepared(source, preparation)
        else:
            X = self._as_fitted(X)
            source, preparation = self._known(X, sample_weight, engine), before.preparation
        model, section, given = self._sections(source.shape[1])
        check_given(
            self.get_params(deep=False), None if preparation is not None else names_of(source)
        )
        if before is not None:
            number = "n_clusters" if hasattr(self, "n_clusters") else "n_components"
            streaming = self._stream is not None
            check_shape(self._section, model, type(self).__name__, number, streaming)
        recipe = composition.recipe.Recipe(model, section)
        given.check(recipe.model, recipe.k, source.shape[1])
        composition.memory.checked_memory([recipe], source, engine)
        fold, listen = self._fold(recipe), self._listener()
        read = fit.data_changes.stamps(source)
        stream = fed(self._stream, before, recipe, given, (source, engine), fold, listen)
        fit.data_changes.check_unwritten(source, read)
        names = names_of(source) if before is None else before.feature_names
        self._adopt(replace(stream.fitted(names), preparation=preparation), model)
        self._stream = stream
        self._remember(source, engine, X, read)
        return self
