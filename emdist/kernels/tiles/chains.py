"""Hidden Markov chains with logarithms: sweeps over tiles of emission scores, and messages.

Scores (k, m) of a tile are relative to the best state of each row. Chains with small transitions
are computed with logarithms, because a state that is lost to underflow may be the only one that
leads on; transitions of 0 are skipped. `kernels.vector.chains` has all other chains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, part

Array = NDArray[Any]


@jit
def level(score: Array, offset: Array, top: Array) -> None:
    """Add `offset` (k,) to scores (k, m), and move the best of each row to `top` (m,)."""
    k, m = score.shape
    for t in range(m):
        top[t] = score[0, t] + offset[0]
    for j in range(1, k):
        for t in range(m):
            value = score[j, t] + offset[j]
            if value > top[t]:
                top[t] = value
    for j in range(k):
        for t in range(m):
            score[j, t] = score[j, t] + offset[j] - top[t]


@jit
def forward_log(
    score: Array, a: int, starts: Array, log_start: Array, log_transitions: Array, carry: Array,
    alpha: Array, scale: Array,
) -> None:  # fmt: skip
    """Do what `vector.chains.forward` does with logarithms, without padding: alpha (m, k).

    `carry`, `alpha` and `scale` are logarithms, and rows of `alpha` are not times their sums.
    """
    k, m = score.shape
    s = np.searchsorted(starts, a)
    for t in range(m):
        new = alpha[t]
        if s < len(starts) and starts[s] == a + t:
            s += 1
            for j in range(k):
                new[j] = log_start[j] + score[j, t]
        else:
            for j in range(k):
                new[j] = _log_dot(carry, log_transitions[:, j]) + score[j, t]
        total = _log_sum(new)
        scale[t] = total
        for j in range(k):
            new[j] -= total
            carry[j] = new[j]


@part
def _log_sum(x: Array) -> float:
    """Return the logarithm of the sum of ``exp(x)``; -inf if all are -inf."""
    best = -np.inf
    for i in range(len(x)):
        best = max(best, x[i])
    if best == -np.inf:
        return best
    total = 0.0
    for i in range(len(x)):
        if x[i] > -np.inf:
            total += np.exp(x[i] - best)
    return float(best + np.log(total))


@part
def _log_dot(x: Array, y: Array) -> float:
    """Return the logarithm of the sum of ``exp(x + y)``; -inf if all are -inf."""
    best = -np.inf
    for i in range(len(x)):
        best = max(best, x[i] + y[i])
    if best == -np.inf:
        return best
    total = 0.0
    for i in range(len(x)):
        value = x[i] + y[i]
        if value > -np.inf:
            total += np.exp(value - best)
    return float(best + np.log(total))


@jit
def backward_log(
    score: Array, a: int, starts: Array, log_transitions: Array, before: Array, alpha: Array,
    weight: Array, seen: Array, beta: Array, resp: Array, initial: Array, pairs: Array,
) -> None:  # fmt: skip
    """Do what `vector.chains.backward` does with logarithms: `before`, `alpha` and `beta` are such.

    Counts of transitions are added to `pairs` (k, k).
    """
    k, m = score.shape
    s = np.searchsorted(starts, a + m) - 1
    v, back = np.empty(k), np.empty(k)
    for t in range(m - 1, -1, -1):
        w = weight[t] if len(weight) else 1.0
        total = _log_dot(alpha[t], beta)
        shown = w if len(seen) == 0 or seen[t] else 0.0
        first = s >= 0 and starts[s] == a + t
        for j in range(k):
            share = np.exp(alpha[t, j] + beta[j] - total)
            resp[j, t] = share * shown
            if first:
                initial[j] += share * w
        if first:
            s -= 1
            beta[:] = 0.0
            continue
        old = alpha[t - 1] if t else before
        for j in range(k):
            v[j] = score[j, t] + beta[j]
        for i in range(k):
            back[i] = _log_dot(log_transitions[i], v)
        total = _log_dot(old, back)
        for i in range(k):
            for j in range(k):
                value = old[i] + log_transitions[i, j] + v[j]
                if value > -np.inf:
                    pairs[i, j] += w * np.exp(value - total)
            beta[i] = back[i] - total


@jit
def carry_message_log(score: Array, log_transitions: Array, rows: Array) -> None:
    """Advance a message (k, k) of logarithms by the rows of a tile."""
    k, m = score.shape
    new = np.empty(k)
    for t in range(m):
        for r in range(len(rows)):
            for j in range(k):
                new[j] = _log_dot(rows[r], log_transitions[:, j]) + score[j, t]
            rows[r] = new
