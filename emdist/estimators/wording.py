"""Wording of estimators' errors: Python parameters, not options or configuration keys."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from emdist.errors import EmdistError
from emdist.estimators.docstrings import with_pieces
from emdist.estimators.prepared_rows import PreparedRows

F = TypeVar("F", bound=Callable[..., Any])


def in_parameters(function: F) -> F:
    """Return `function` with errors that name settings as Python parameters."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except EmdistError as error:
            error.layer = "parameters"
            error.options = getattr(args[0], "_option_names", {}) if args else {}
            if any(isinstance(one, PreparedRows) for one in args[1:]):
                # In a pipeline, several steps have the parameter, and one of them failed.
                own = {"data.non_finite": f"non_finite of {type(args[0]).__name__}"}
                error.options = {**error.options, **own}
            raise

    return call  # type: ignore[return-value]


def level_of_caller() -> int:
    """Return the ``stacklevel`` of a warning that the calling function gives about user code."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("emdist."):
        level, frame = level + 1, frame.f_back
    return level


class Speaking:
    """Mixin of the estimators: the errors of all public methods name Python parameters.

    Shared pieces are put into their docstrings.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in list(vars(cls).items()):
            if name.startswith("_"):
                continue
            with_pieces(value)
            if inspect.isfunction(value):
                setattr(cls, name, in_parameters(value))
            elif isinstance(value, classmethod):
                setattr(cls, name, classmethod(in_parameters(value.__func__)))
