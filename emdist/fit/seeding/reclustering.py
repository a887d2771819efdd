"""Weighted Lloyd iterations in memory, to cluster candidates and samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.dissimilarities.squared_euclidean import SquaredEuclidean
from emdist.fit.passes import EStep
from emdist.fit.seeding.geometry import Euclidean, Geometry
from emdist.interfaces import Engine, Floats, Spread
from emdist.kernels.tiles.distances import nearest
from emdist.models.kcentroids import KCentroidsModel
from emdist.store.sources.arrays import ArraySource
from emdist.sums import Sums

#: The number of parts of the rows, one task each, so that many threads have something to do.
_PARTS = 32
#: The smallest number of rows of a part.
_PART_ROWS = 2048
#: Stop when an iteration improves the objective by a smaller share. More iterations change the
#: starting values and hardly the result.
_TOL = 1e-5
#: The least number of products of a feature and a centre for which K-means' kernels are worth
#: compiling, if the model of the fit does not need them itself.
_WORTH_COMPILING = 10**7


def lloyd(
    geometry: Geometry,
    x: Floats,
    weight: Floats,
    centres: Floats,
    iterations: int,
    engine: Engine,
    dtype: np.dtype[Any],
    told: Callable[[int, int], None],
) -> Floats:
    """Iterate Lloyd's algorithm: (m, d), (m,), (k, d) -> centres (k, d).

    A centre that loses all its rows stays where it is.

    Parameters
    ----------
    geometry
        The geometry of rows and centres.
    x, weight
        The rows, without missing values, and their weights.
    centres
        The centres to start from.
    iterations
        The largest number of iterations.
    engine
        The engine that makes the passes over `x`, in this process.
    dtype
        The data type of the rows as stored, on which the precision of the passes depends.
    told
        Called with the number of iterations done and the largest possible number.
    """
    bounds = _bounds(len(x))
    plain = isinstance(geometry, Euclidean) and x.size * len(centres) >= _WORTH_COMPILING
    advance = (
        _plain(x, weight, centres, bounds, engine, dtype)
        if plain
        else _any(geometry, x, weight, bounds, engine)
    )
    before = np.inf
    for done in range(iterations):
        told(done, iterations)
        objective, centres = advance(centres)
        if not before - objective > _TOL * objective:
            break
        before = objective
    return centres


#: Makes one iteration: centres -> their objective, and new centres.
_Advance = Callable[[Floats], tuple[float, Floats]]


def _bounds(rows: int) -> list[int]:
    """Return where the parts of so many rows begin, then the number of rows."""
    size = max(_PART_ROWS, -(-rows // _PARTS))
    return [*range(0, rows, size), rows]


def _plain(
    x: Floats,
    weight: Floats,
    centres: Floats,
    bounds: list[int],
    engine: Engine,
    dtype: np.dtype[Any],
) -> _Advance:
    """Iterate K-means with its compiled kernels."""
    model, zero = KCentroidsModel(SquaredEuclidean()), np.zeros(x.shape[1])
    spread = _spread_of(x, weight)
    numerics = model.numerics(model.start(centres, spread), spread, dtype)
    equal = bool((weight == weight[0]).all())
    source = ArraySource(x.astype(numerics.dtype), None if equal else weight, bounds)

    def advance(centres: Floats) -> tuple[float, Floats]:
        params = model.start(centres, spread)
        task = EStep(source, model, params, zero, numerics)
        sums = engine.map_reduce(task, range(len(source)))
        new = model.locations(model.m_step(sums, params, numerics))
        return model.objective(sums, params, numerics), new

    return advance


def _spread_of(x: Floats, weight: Floats) -> Spread:
    """Return the spread of rows in memory, about the origin 0."""
    d, total = x.shape[1], float(weight.sum())
    mean = weight @ x / total
    variance = np.maximum(weight @ x**2 / total - mean**2, 0.0)
    return Spread(
        np.zeros(d), mean, variance, x.min(axis=0), x.max(axis=0), np.zeros(d, bool), total
    )


@dataclass(frozen=True)
class _Nearest:
    """Label the rows of a part by their nearest centres; return the sum of the dissimilarities."""

    geometry: Geometry
    x: Floats
    weight: Floats
    centres: Floats
    bounds: list[int]
    labels: Any

    def __call__(self, i: int) -> Sums:
        own = slice(self.bounds[i], self.bounds[i + 1])
        self.labels[own], distance = nearest(self.x[own], self.centres, self.geometry.between)
        return Sums({"objective": np.array(self.weight[own] @ distance)})


def _any(
    geometry: Geometry, x: Floats, weight: Floats, bounds: list[int], engine: Engine
) -> _Advance:
    """Iterate with the dissimilarities and centres of any geometry."""

    def advance(centres: Floats) -> tuple[float, Floats]:
        labels = np.empty(len(x), np.int32)
        task = _Nearest(geometry, x, weight, centres, bounds, labels)
        sums = engine.map_reduce(task, range(len(bounds) - 1))
        return float(sums["objective"]), geometry.centres(x, weight, labels, centres)

    return advance
