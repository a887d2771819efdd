"""`Callbacks`, a mixin: functions and callbacks of scikit-learn that watch a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from emdist import fit
from emdist.errors import ConfigError
from emdist.estimators.verbose import listener
from emdist.inputs.quoting import shown

if TYPE_CHECKING:
    from emdist.fit.events import Event, Listener

#: The methods of a callback of scikit-learn (`sklearn.callback.FitCallback`, since 1.9).
_HOOKS = ("setup", "teardown", "on_fit_task_begin", "on_fit_task_end")


class Callbacks:
    """Mixin of estimators whose fits can be watched.

    Callbacks are kept where scikit-learn keeps them, so that `sklearn.base.clone` and its
    meta-estimators hand them on.
    """

    verbose: Any

    def set_callbacks(self, *callbacks: Callable[[Event], Any] | Any) -> Self:
        """Set what watches later fits. Callbacks never change a result.

        Parameters
        ----------
        *callbacks : callable or sklearn.callback.FitCallback
            Functions that are called with each event of a fit: the objects of
            `emdist.fit.events`, such as ``Iterated`` with the objective after each iteration. Or
            callbacks of scikit-learn (1.9 or later), such as its ``ProgressBar``, for which an
            iteration is a task. They replace those that were set before; none removes them.

        Returns
        -------
        self : estimator
            The estimator itself.

        Raises
        ------
        ConfigError
            If one of them is neither.
        """
        for one in callbacks:
            if isinstance(one, type) or not (_is_of_sklearn(one) or callable(one)):
                raise ConfigError(
                    f"callback {shown(one)}; expected a function of one event, or an instance of "
                    "a callback of scikit-learn."
                )
        self._skl_callbacks = list(callbacks)
        return self

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy with the same parameters and callbacks."""
        found: Self = super().__sklearn_clone__()  # type: ignore[misc]
        # scikit-learn hands callbacks on since 1.9.
        if "_skl_callbacks" in self.__dict__:
            found._skl_callbacks = self._skl_callbacks
        return found

    def _listener(self) -> Listener:
        """Return the function that hears the events of a fit."""
        return heard(self.verbose, self)

    @contextmanager
    def _watched(self, X: Any) -> Iterator[Listener]:
        """Yield the listener of a fit to `X`, during which callbacks of scikit-learn are called."""
        theirs = [one for one in self.__dict__.get("_skl_callbacks", ()) if _is_of_sklearn(one)]
        if not theirs and "_parent_callback_ctx" not in self.__dict__:
            yield self._listener()
            return
        from sklearn.callback import AutoPropagatedCallback, CallbackContext

        context = CallbackContext._from_estimator(
            self, task_name="fit", task_id=0, max_subtasks=None, sequential_subtasks=True
        )
        context._callbacks = theirs
        outer = "_parent_callback_ctx" in self.__dict__
        own = [one for one in theirs if not (outer and isinstance(one, AutoPropagatedCallback))]
        started: list[Any] = []
        rest = self._listener()

        def hear(event: Event) -> None:
            rest(event)
            if isinstance(event, fit.events.Iterated):
                task = context.subcontext(task_name="iteration")
                task.call_on_fit_task_begin(estimator=self, X=X)
                task.call_on_fit_task_end(estimator=self, X=X)

        try:
            for one in own:
                started.append(one)
                one.setup(estimator=self, context=context)
            context.call_on_fit_task_begin(estimator=self, X=X)
            yield hear
            context.call_on_fit_task_end(estimator=self, X=X)
        finally:
            for one in started:
                one.teardown(estimator=self, context=context)


def heard(verbose: Any, estimator: Any) -> Listener:
    """Return a function that prints as `verbose` says, and calls the functions of `estimator`."""
    first = listener(verbose)
    found = vars(estimator).get("_skl_callbacks", ())
    told = [one for one in found if not _is_of_sklearn(one)]
    if not told:
        return first

    def hear(event: Event) -> None:
        first(event)
        for one in told:
            one(event)

    return hear


def _is_of_sklearn(one: Any) -> bool:
    return all(callable(getattr(one, name, None)) for name in _HOOKS)
