"""Checks that a stored model, survey or checkpoint is usable: consistent shapes, and no NaN.

The codec ensures that a checkpoint has the fields of its class. It cannot know whether they fit
together. Compiled kernels do not check this: they would read past the end of an array.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from emdist.errors import CheckpointError
from emdist.fit.state import FitState
from emdist.fit.survey import Survey
from emdist.interfaces import Array, Block, Model, Spread

#: Arrays that parameters may have or lack; if they have them, the shape is (k,).
_OPTIONAL = ("counts",)


def check_params(model: Model[Any], params: Any, d: int, what: str = "the model") -> None:
    """Raise CheckpointError unless `params` fit `model` and rows of `d` features, for any k."""
    weights = getattr(params, "weights", None)
    if not isinstance(weights, np.ndarray) or weights.ndim != 1 or not len(weights):
        raise _unsound(what, "it has no mixture weights")
    try:
        zeros, ones = np.zeros(d), np.ones(d)
        unit = Spread(zeros, zeros, ones, zeros, ones, ones > 0, 1.0)
        template = model.start(np.zeros((len(weights), d)), unit)
    except (ValueError, ArithmeticError, MemoryError) as error:
        raise _unsound(what, f"{len(weights)} components, {d} features: {error}") from None
    for problem in _differences(params, template, "", len(weights)):
        raise _unsound(what, problem)


def check_spread(spread: Spread, what: str = "the model") -> None:
    """Raise CheckpointError unless all arrays of a spread have the same number of features."""
    d = spread.origin.size
    for field in fields(Spread):
        value = getattr(spread, field.name)
        if isinstance(value, np.ndarray):
            wanted = (d, d) if field.name == "covariance" else (d,)
            _check_shape(value, wanted, f"spread.{field.name}", what)
    if not np.isfinite(spread.origin).all():
        raise _unsound(what, "its origin is NaN or infinite")


def check_survey(survey: Survey, d: int) -> None:
    """Raise CheckpointError unless a survey is about rows of `d` features."""
    what = "the stored survey"
    for field in fields(survey.moments):
        value = getattr(survey.moments, field.name)
        if isinstance(value, np.ndarray):
            wanted = (d, d) if field.name == "products" else (d,)
            _check_shape(value, wanted, f"moments.{field.name}", what)
    sample, m = survey.sample, survey.sample.row.size
    for name in ("priority", "row", "weight"):
        _check_shape(getattr(sample, name), (m,), f"sample.{name}", what)
    _check_shape(sample.x, (m, d), "sample.x", what)
    _check_shape(survey.distinct, (survey.distinct.size,), "distinct", what)
    if isinstance(survey.shifted, np.ndarray) and survey.shifted.shape not in ((), (d,)):
        raise _unsound(what, f"shifted has shape {survey.shifted.shape}, expected () or {(d,)}")


def check_state(model: Model[Any], state: FitState, d: int) -> None:
    """Raise CheckpointError unless a fit of `model` can go on from `state` (`d` features)."""
    what = "the checkpoint"
    if state.params is not None:
        check_params(model, state.params, d, what)
    if state.best is not None:
        check_params(model, state.best.params, d, what)
        if not math.isfinite(state.best.objective):
            raise _unsound(what, f"the objective of its best restart is {state.best.objective}")
    if state.shared is not None:
        one = Block(0, 0, np.zeros((1, d)))
        wanted = model.shared_step(one, np.zeros(d)).fields
        shapes = {name: value.shape for name, value in wanted.items()}
        if {name: value.shape for name, value in state.shared.items()} != shapes:
            raise _unsound(what, f"its shared sums do not have the shapes {shapes}")
    for start in state.starts:
        check_state(model, start, d)
    if state.starts and not state.finished:
        return  # The other fields only summarise those of the restarts.
    begun = state.iteration > 0 or state.sums is not None
    if (
        (state.restart < 0 or state.iteration < 0)
        or (state.finished and state.best is None)
        or (begun and not any(r.restart == state.restart for r in state.history))
        or (state.sums is not None and all(r.rejected for r in state.history))
    ):
        raise _unsound(what, "its counters contradict each other")


def _differences(value: Any, like: Any, path: str, k: int) -> Iterator[str]:
    """Yield where `value` has other types or shapes than `like`, or holds NaN."""
    name = path.rpartition(".")[2]
    if name in _OPTIONAL and (value is None or like is None):
        if value is not None and value.shape != (k,):
            yield f"{path} has shape {value.shape}, expected ({k},)"
    elif isinstance(like, np.ndarray):
        yield from _array_differences(value, like, path)
    elif isinstance(like, tuple):
        if not isinstance(value, tuple) or len(value) != len(like):
            yield f"{path} is not a tuple of {len(like)}"
            return
        for i, (one, other) in enumerate(zip(value, like, strict=True)):
            yield from _differences(one, other, f"{path}.{i}", k)
    elif is_dataclass(like):
        if type(value) is not type(like):
            yield f"{path or 'it'} is {type(value).__name__}, expected {type(like).__name__}"
            return
        for field in fields(like):
            below = f"{path}.{field.name}" if path else field.name
            yield from _differences(getattr(value, field.name), getattr(like, field.name), below, k)


def _array_differences(value: Any, like: Array, path: str) -> Iterator[str]:
    if not isinstance(value, np.ndarray) or value.shape != like.shape:
        yield f"{path} has shape {getattr(value, 'shape', None)}, expected {like.shape}"
    elif value.dtype.kind != like.dtype.kind or value.dtype.itemsize < like.dtype.itemsize:
        yield f"{path} has dtype {value.dtype}, expected {like.dtype}"
    elif value.dtype.kind == "f" and np.isnan(value).any():
        yield f"{path} contains NaN"


def _check_shape(value: Array, wanted: tuple[int, ...], name: str, what: str) -> None:
    if value.shape != wanted:
        raise _unsound(what, f"{name} has shape {value.shape}, expected {wanted}")


def _unsound(what: str, problem: str) -> CheckpointError:
    return CheckpointError(
        f"{what} is not consistent: {problem}. It was edited, or belongs to other data or "
        "another version of emdist. Restore it from a copy, or fit again."
    )
