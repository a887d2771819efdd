"""Steps that prepare rows as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emdist.errors import ConfigError
from emdist.exports.graph import Graph
from emdist.prepare.base import Affine, PrepareStep
from emdist.prepare.clip import ClipStep
from emdist.prepare.log1p import LogStep
from emdist.prepare.normalise import NormaliseStep
from emdist.prepare.preparation import Preparation


def prepared(graph: Graph, x: str, made: Preparation) -> str:
    """Add the steps of a preparation to rows `x`.

    Raises
    ------
    ConfigError
        If a step has no form that ONNX operators can compute.
    """
    for step, learned in zip(made.steps, made.learned, strict=True):
        affine = step.affine(learned)
        maker = _MAKERS.get(type(step))
        if affine is not None:
            x = _affine(graph, x, affine)
        elif maker is not None:
            x = maker(graph, x, step)
        else:
            raise ConfigError(
                f"There is no ONNX form of the step {step.name} in prepare. Prepare the rows "
                "before the fit, or export parameters as .npz or .parquet."
            )
    return x


def _affine(graph: Graph, x: str, affine: Affine) -> str:
    x = graph.add("Sub", x, graph.constant(affine.shift))
    scaled = "Mul" if affine.factor.ndim == 1 else "MatMul"
    x = graph.add(scaled, x, graph.constant(affine.factor))
    return x if affine.offset is None else graph.add("Add", x, graph.constant(affine.offset))


def _log1p(graph: Graph, x: str, step: PrepareStep) -> str:
    # As in C libraries: log1p(x) = log(u) x / (u - 1) with u = 1 + x, and x where u is 1.
    one = graph.constant(1.0)
    u = graph.add("Add", x, one)
    rest = graph.add("Sub", u, one)
    same = graph.add("Equal", rest, graph.constant(0.0))
    safe = graph.add("Where", same, one, rest)
    found = graph.add("Div", graph.add("Mul", graph.add("Log", u), x), safe)
    return graph.add("Where", same, x, found)


def _clip(graph: Graph, x: str, step: PrepareStep) -> str:
    assert isinstance(step, ClipStep)
    ends = [-np.inf if step.low is None else step.low, np.inf if step.high is None else step.high]
    return graph.add("Min", graph.add("Max", x, graph.constant(ends[0])), graph.constant(ends[1]))


def _normalise(graph: Graph, x: str, step: PrepareStep) -> str:
    assert isinstance(step, NormaliseStep)
    if step.total is not None or step.norm == "l1":
        sizes = graph.add("ReduceL1", x, axes=[1], keepdims=1)
    elif step.norm == "l2":
        sizes = graph.add("ReduceL2", x, axes=[1], keepdims=1)
    else:
        sizes = graph.add("ReduceMax", graph.add("Abs", x), axes=[1], keepdims=1)
    if step.total is not None:
        sizes = graph.add("Div", sizes, graph.constant(step.total))
    empty = graph.add("Equal", sizes, graph.constant(0.0))
    return graph.add("Div", x, graph.add("Where", empty, graph.constant(1.0), sizes))


_MAKERS: dict[type[PrepareStep], Callable[[Graph, str, PrepareStep], str]] = {
    ClipStep: _clip,
    LogStep: _log1p,
    NormaliseStep: _normalise,
}
