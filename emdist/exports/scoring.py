"""Scores of components and distances to centres as ONNX operators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from emdist.dissimilarities.base import CentreBased
from emdist.dissimilarities.cosine import Cosine
from emdist.errors import ConfigError
from emdist.exports.graph import Graph
from emdist.exports.model import ExportedModel
from emdist.families.centred import CentredDiagonal, CentredFull
from emdist.families.densities import Expanded
from emdist.families.isotropic import Isotropic
from emdist.families.products.joined import Joined
from emdist.kernels.vector.lines import NORM, Lines, features


def scores(graph: Graph, model: ExportedModel, x: str) -> str:
    """Add log p(x|k) of rows, up to a number that all columns share: (n, k) or, with noise, k + 1.

    Raises
    ------
    ConfigError
        If the components have no form that ONNX operators can compute.
    """
    density = model.density
    if density is None:
        raise _without(model)
    moved = graph.add("Sub", x, graph.constant(model.origin))
    found = _scored(graph, model, density, moved, model.fitted.n_features)
    if not model.has_noise:
        return found
    # The noise has the same density everywhere: a last column of one number.
    level = float(model.fitted.params.level)
    first = graph.add("Slice", found, graph.index(0), graph.index(1), graph.index(1))
    zeros = graph.add("Mul", first, graph.constant(0.0))
    noise = graph.add("Add", zeros, graph.constant(level - density.constant))
    return graph.add("Concat", found, noise, axis=1)


def distances(graph: Graph, model: ExportedModel, x: str) -> str | None:
    """Add what `transform` of the estimator returns for rows: (n, k); None if ONNX cannot.

    That is the Euclidean distance for K-means, the city-block distance for K-medians, and the
    dissimilarity for K-centroids.
    """
    centres = np.asarray(model.estimator.cluster_centers_)
    family = model.components
    if isinstance(family, Cosine):
        length = graph.add("ReduceL2", x, axes=[1], keepdims=1)
        none, one = graph.add("Equal", length, graph.constant(0.0)), graph.constant(1.0)
        direction = graph.add("Div", x, graph.add("Where", none, one, length))
        cosine = graph.add("MatMul", direction, graph.constant(family.bounded(centres).T))
        # A row of zeros has no direction: its dissimilarity to all centres is 0.
        return graph.add("Sub", one, graph.add("Where", none, one, cosine))
    if family is None:
        operator = "ReduceL1"
    elif isinstance(family, Isotropic):
        squared = hasattr(model.estimator, "dissimilarity")
        operator = "ReduceSumSquare" if squared else "ReduceL2"
    else:
        return None
    row = graph.add("Unsqueeze", x, graph.index(1))
    step = graph.add("Sub", row, graph.constant(centres[None]))
    return graph.add(operator, step, axes=[2], keepdims=0)


def _scored(graph: Graph, model: ExportedModel, density: Any, x: str, d: int) -> str:
    """Add the scores of a density for the columns `x` (n, d)."""
    if isinstance(density, CentredDiagonal):
        row = graph.add("Unsqueeze", x, graph.index(1))
        step = graph.add("Sub", row, graph.constant(density.means[None]))
        scaled = graph.add("Mul", step, graph.constant(np.sqrt(density.precisions)[None]))
        return _gaussian(graph, graph.add("ReduceSumSquare", scaled, axes=[2], keepdims=0), density)
    if isinstance(density, CentredFull):
        row = graph.add("Unsqueeze", x, graph.index(0))
        step = graph.add("Sub", row, graph.constant(density.means[:, None]))
        white = graph.add("MatMul", step, graph.constant(density.factors))
        squares = graph.add("ReduceSumSquare", white, axes=[2], keepdims=0)
        return _gaussian(graph, graph.add("Transpose", squares, perm=[1, 0]), density)
    if isinstance(density, Expanded) and (lines := _lines(model, density, d)) is not None:
        statistics = _statistics(graph, x, lines, d)
        product = graph.add("MatMul", statistics, graph.constant(density.eta.T))
        return graph.add("Add", product, graph.constant(density.offset))
    if isinstance(density, Joined):
        parts = [
            _scored(graph, model, part, _columns(graph, x, columns), len(columns))
            for columns, part in density.parts
        ]
        return parts[0] if len(parts) == 1 else graph.add("Sum", *parts)
    raise _without(model)


def _lines(model: ExportedModel, density: Expanded, d: int) -> Lines | None:
    """Return how T(x) follows from the features; None if it does not."""
    if density.lines is not None:
        return density.lines
    itself = getattr(type(model.components), "expand", None) is CentreBased.expand
    return features(d) if itself else None


def _gaussian(graph: Graph, squares: str, density: Any) -> str:
    half = graph.add("Mul", squares, graph.constant(-0.5))
    return graph.add("Add", half, graph.constant(density.offset))


def _statistics(graph: Graph, x: str, lines: Lines, d: int) -> str:
    """Add T(x), as `lines` define it: products of two of the features, ones and extras."""
    if lines.direct(d):
        return x
    first = _columns(graph, x, [0])
    ones = graph.add(
        "Add", graph.add("Mul", first, graph.constant(0.0)), graph.constant(np.ones((1, 1)))
    )
    parts = [x, ones]
    if (lines.extras[:, 0] == NORM).any():
        parts.append(graph.add("ReduceSumSquare", x, axes=[1], keepdims=1))
    codes = [(int(a), float(c)) for a, c in lines.extras if a != NORM]
    if codes:
        columns = _columns(graph, x, [a for a, _ in codes])
        same = graph.add("Equal", columns, graph.constant(np.array([c for _, c in codes])[None]))
        parts.append(graph.add("Cast", same, to=_double()))
    panel = graph.add("Concat", *parts, axis=1)
    left, right = (_columns(graph, panel, lines.pairs[:, side]) for side in (0, 1))
    return graph.add("Mul", left, right)


def _columns(graph: Graph, x: str, which: Iterable[int]) -> str:
    return graph.add("Gather", x, graph.index(*which), axis=1)


def _double() -> int:
    from onnx import TensorProto

    return int(TensorProto.DOUBLE)


def _without(model: ExportedModel) -> ConfigError:
    return ConfigError(
        f"There is no ONNX form of this {model.kind}: its components need more than products of "
        "features. Export its parameters as .npz or .parquet instead."
    )
