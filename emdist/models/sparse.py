"""Sparse E-steps: responsibilities that hardly matter stay as they were, the others are computed.

Neal and Hinton 1998, section 5. The rows of a block are grouped by their most likely component
under some earlier parameters, and each group has its `active` components. For the others
responsibilities are frozen: a row keeps the mass m that they had, and shares 1 - m out among the
active ones. The objective is the bound F(q, theta) = Q + H of responsibilities so chosen, which
never falls: what is frozen is one more thing that the E-step may not change.
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
    """What a block's rows keep: a pure function of the block, parameters and `active`.

    Attributes
    ----------
    order
        (m,) the rows that count, by group.
    bounds
        (k + 1,) where each group begins in `order`.
    mass
        (m,) in `order`: responsibility that is frozen. In float32 the bound would fall by 1e-10.
    n, t
        (k,) and (k, width) sums of the frozen responsibilities.
    entropy
        Theirs, weighted: nats.
    """

    order: NDArray[np.int32]
    bounds: NDArray[np.int64]
    mass: Floats
    n: Floats
    t: Floats
    entropy: float

    @property
    def nbytes(self) -> int:
        """Twelve for a row, and the sums."""
        return self.order.nbytes + self.mass.nbytes + self.n.nbytes + self.t.nbytes


def full_step(
    mixture: Mixture[Any],
    block: Block,
    params: MixtureParams[Any],
    origin: Floats,
    numerics: Numerics,
) -> Sums:
    """The E-step's sums, and ``overlap`` (k, k): what rows of each group give to each component."""
    k = len(params.weights)
    shared = np.zeros((k, k))

    def seen(tile: Tile) -> None:
        nonlocal shared
        shared = shared + overlap(tile.score)

    sums = mixture.e_step(block, params, origin, numerics, seen)
    return Sums({**sums.fields, "overlap": shared})


def active_components(shared: Floats, threshold: float) -> Bools:
    """(k, k) whether a group's rows give a component at least `threshold` of their mass."""
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
    """What the rows of one block keep of their responsibilities under `params`."""
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
        # -sum r log r, with log r the score less log-sum-exp: what the scores add to comes below.
        entropy += float(kept @ evidence)
        n += resp.sum(axis=1, dtype=np.float64)
        t += density.gather(tile.x, tile.t, resp)
    entropy -= mixture.expected(Sums({"n": n, "t": t}), params)
    order = np.argsort(labels, kind="stable").astype(np.int32)
    bounds = np.searchsorted(labels[order], np.arange(k + 1))
    return Frozen(order, bounds, mass[order], n, t, entropy)


@dataclass(frozen=True)
class Part:
    """The active components of a group, ready for tiles.

    Attributes
    ----------
    index
        (a,) which they are.
    density, offset
        Of them alone, and (a,) what is added to their scores.
    """

    index: NDArray[np.int64]
    density: Density
    offset: Array


def parts(
    mixture: Mixture[Any], params: MixtureParams[Any], numerics: Numerics, active: Bools
) -> tuple[Part, ...]:
    """The active components of every group: the same for all blocks of a pass."""
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
    """Sums of one block, scored for each group's active components only."""
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
    """Weights, statistics and bound of `rows`, whose mass `free` goes to those of `part`."""
    density, k = part.density, len(part.index)
    n, t, objective = np.zeros(k), np.zeros((k, density.width)), 0.0
    size = tile_rows(x.shape[1] + density.width + 2 * k, np.dtype(numerics.dtype).itemsize)
    for a, b in tiles(len(rows), size):
        tile = shifted(x[rows[a:b]], origin, numerics.dtype)
        statistics = density.statistics(tile)
        resp = np.empty((k, b - a), numerics.dtype)
        density.score(tile, statistics, resp)
        given = free[a:b] if weight is None else free[a:b] * weight[rows[a:b]]
        # Of mass f shared out as f softmax(score): Q + H = f (log-sum-exp(score) - log f).
        objective += float(given @ (softmax(resp, part.offset) - np.log(free[a:b])))
        resp *= given
        n += resp.sum(axis=1, dtype=np.float64)
        t += density.gather(tile, statistics, resp)
    return n, t, objective
