"""Sparse E-steps: only the larger responsibilities are computed, and the others stay frozen.

Source: Neal and Hinton 1998, section 5. The rows of a block are grouped by their most likely
component under some earlier parameters. Each group has `active` components, whose responsibilities
are computed. Those of the other components are frozen: if they sum to m for a row, the active
components share 1 - m of that row. The objective is the lower bound F(q, theta) = Q + H of these
responsibilities. It never falls, because freezing only restricts what the E-step can change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density
from emdist.interfaces import Array, Block, Floats, Numerics
from emdist.kernels.tiles.assign import hard_labels, keep_frozen, overlap, softmax
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.models.assignments import Tile
from emdist.models.mixture import Mixture
from emdist.models.params import MixtureParams
from emdist.sums import Sums

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Frozen:
    """The frozen responsibilities of a block, which follow from block, parameters and `active`.

    Attributes
    ----------
    order
        The rows that count, ordered by group: (m,).
    bounds
        The index in `order` at which each group begins, then the number of rows: (k + 1,).
    mass
        The sum of the frozen responsibilities of each row, in the order of `order`: (m,). It is
        float64, because in float32 the lower bound could fall by 1e-10.
    n, t
        The sums of the frozen responsibilities, (k,), and of statistics with them, (k, width).
    entropy
        The weighted entropy of the frozen responsibilities in nats.
    """

    order: NDArray[np.int32]
    bounds: NDArray[np.int64]
    mass: Floats
    n: Floats
    t: Floats
    entropy: float

    @property
    def nbytes(self) -> int:
        """Size in bytes: twelve for each row, and the sums."""
        return self.order.nbytes + self.mass.nbytes + self.n.nbytes + self.t.nbytes


def full_step(
    mixture: Mixture[Any],
    block: Block,
    params: MixtureParams[Any],
    origin: Floats,
    numerics: Numerics,
) -> Sums:
    """Return the sums of a full E-step, with ``overlap`` as a further field.

    ``overlap`` (k, k) is the mass that the rows of each group give to each component.
    """
    k = len(params.weights)
    shared = np.zeros((k, k))

    def seen(tile: Tile) -> None:
        nonlocal shared
        shared = shared + overlap(tile.score)

    sums = mixture.e_step(block, params, origin, numerics, seen)
    return Sums({**sums.fields, "overlap": shared})


def active_components(shared: Floats, threshold: float) -> Bools:
    """Return which components are active in each group: (k, k).

    These are the components to which the rows of the group give at least `threshold` of their
    mass in `shared` (k, k), and the group's own component.
    """
    mass = shared.sum(axis=1, keepdims=True)
    active = shared >= threshold * mass
    np.fill_diagonal(active, True)
    return np.asarray(active)


def freeze(
    mixture: Mixture[Any],
    block: Block,
    params: MixtureParams[Any],
    origin: Floats,
    numerics: Numerics,
    active: Bools,
) -> Frozen:
    """Return the responsibilities of a block under `params` that are to be frozen."""
    x, _ = block.valid()
    density = mixture.family.density(params.components, numerics)
    k = density.n_components
    labels, mass = np.empty(len(x), np.int32), np.empty(len(x))
    n, t, entropy = np.zeros(k), np.zeros((k, density.width)), 0.0
    active_of = np.ascontiguousarray(active.T)
    for at, tile in mixture.scored(density, block, params, origin, numerics):
        resp = tile.score
        evidence = softmax(resp, tile.offset)
        labels[at], _ = hard_labels(resp, np.zeros(k, resp.dtype))
        keep_frozen(resp, labels[at], active_of, mass[at])
        kept = mass[at]
        if tile.weight is not None:
            resp *= tile.weight
            kept = kept * tile.weight
        # The entropy is -sum r log r, and log r is the score minus log-sum-exp. This adds the part
        # of log-sum-exp. The part of the scores follows from n and t below.
        entropy += float(kept @ evidence)
        n += resp.sum(axis=1, dtype=np.float64)
        t += density.gather(tile.x, tile.t, resp)
    entropy -= mixture.expected(Sums({"n": n, "t": t}), params)
    order = np.argsort(labels, kind="stable").astype(np.int32)
    bounds = np.searchsorted(labels[order], np.arange(k + 1))
    return Frozen(order, bounds, mass[order], n, t, entropy)


@dataclass(frozen=True)
class Part:
    """The active components of a group, prepared to score tiles.

    Attributes
    ----------
    index
        The indices of the components, (a,).
    density, offset
        The density of these components, and the offsets that are added to its scores, (a,).
    """

    index: NDArray[np.int64]
    density: Density
    offset: Array


def parts(
    mixture: Mixture[Any], params: MixtureParams[Any], numerics: Numerics, active: Bools
) -> tuple[Part, ...]:
    """Return the active components of every group. They are the same for all blocks of a pass."""
    log_weight, found = mixture.weights.logarithms(params), []
    for group in active:
        index = np.flatnonzero(group)
        density = mixture.family.density(mixture.family.take(params.components, index), numerics)
        offset = (density.offset + log_weight[index]).astype(numerics.dtype)
        found.append(Part(index, density, offset))
    return tuple(found)


def sparse_step(
    mixture: Mixture[Any],
    block: Block,
    params: MixtureParams[Any],
    origin: Floats,
    numerics: Numerics,
    scored: tuple[Part, ...],
    frozen: Frozen,
) -> Sums:
    """Return the sums of one block, where each group is scored for its active components only."""
    x, weight = block.valid()
    n, t = frozen.n.copy(), frozen.t.copy()
    objective = frozen.entropy + mixture.expected(Sums({"n": n, "t": t}), params)
    for group in np.flatnonzero(np.diff(frozen.bounds)):
        at = slice(frozen.bounds[group], frozen.bounds[group + 1])
        rows, free = frozen.order[at], 1.0 - frozen.mass[at]
        index = scored[group].index
        found = _group(scored[group], x, weight, rows, free, origin, numerics)
        n[index] += found[0]
        t[index] += found[1]
        objective += found[2]
    total = float(len(x)) if weight is None else float(weight.sum())
    return Sums(
        {"n": n, "t": t, "objective": np.array(objective), "weight": np.array(total)}
    )  # fmt: skip


def _group(
    part: Part,
    x: NDArray[Any],
    weight: Floats | None,
    rows: NDArray[np.int32],
    free: Floats,
    origin: Floats,
    numerics: Numerics,
) -> tuple[Floats, Floats, float]:
    """Return weights, statistics and lower bound of `rows`, for the components of `part` alone.

    These share the mass `free` of each row, which is not frozen.
    """
    density, k = part.density, len(part.index)
    n, t, objective = np.zeros(k), np.zeros((k, density.width)), 0.0
    size = tile_rows(x.shape[1] + density.width + 2 * k, np.dtype(numerics.dtype).itemsize)
    for a, b in tiles(len(rows), size):
        tile = shifted(x[rows[a:b]], origin, numerics.dtype)
        statistics = density.statistics(tile)
        resp = np.empty((k, b - a), numerics.dtype)
        density.score(tile, statistics, resp)
        given = free[a:b] if weight is None else free[a:b] * weight[rows[a:b]]
        # A mass f that is divided as f softmax(score) has Q + H = f (log-sum-exp(score) - log f).
        objective += float(given @ (softmax(resp, part.offset) - np.log(free[a:b])))
        resp *= given
        n += resp.sum(axis=1, dtype=np.float64)
        t += density.gather(tile, statistics, resp)
    return n, t, objective
