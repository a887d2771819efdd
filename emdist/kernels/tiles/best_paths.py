"""The most probable paths through a hidden Markov chain: Viterbi's recursion, and its messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]


@jit
def carry_best(score: Array, log_transitions: Array, rows: Array) -> None:
    """Advance a message (k, k) by the rows of a tile: log-probabilities of the best paths."""
    k, m = score.shape
    new = np.empty(k)
    for t in range(m):
        for r in range(len(rows)):
            for j in range(k):
                best = -np.inf
                for i in range(k):
                    best = max(best, rows[r, i] + log_transitions[i, j])
                new[j] = best + score[j, t]
            rows[r] = new


@jit
def best_paths(
    score: Array, a: int, starts: Array, log_start: Array, log_transitions: Array, carry: Array,
    come: Array, best: Array, scale: Array,
) -> None:  # fmt: skip
    """Advance the log-probabilities `carry` (k,) of the best paths by the rows of a tile.

    `come` (m, k) is the state before each state on its best path, `best` (m,) the best state of
    each row, and `scale` (m,) what was subtracted to make its log-probability 0.
    """
    k, m = score.shape
    s = np.searchsorted(starts, a)
    new = np.empty(k)
    for t in range(m):
        if s < len(starts) and starts[s] == a + t:
            s += 1
            for j in range(k):
                new[j] = log_start[j] + score[j, t]
                come[t, j] = -1
        else:
            for j in range(k):
                top, who = -np.inf, 0
                for i in range(k):
                    value = carry[i] + log_transitions[i, j]
                    if value > top:  # ties go to the lowest state
                        top, who = value, i
                new[j] = top + score[j, t]
                come[t, j] = who
        who = 0
        for j in range(1, k):
            if new[j] > new[who]:
                who = j
        best[t], scale[t] = who, new[who]
        for j in range(k):
            carry[j] = new[j] - scale[t]


@jit
def trace_back(
    come: Array, best: Array, weight: Array, state: int, path: Array, initial: Array, pairs: Array
) -> int:
    """Fill `path` (m,) from the last row to the first, and count its starts and transitions.

    `state` is that of the last row, or -1 for its best one. Returns that of the row before.
    """
    for t in range(len(path) - 1, -1, -1):
        if state < 0:
            state = best[t]
        path[t] = state
        w = weight[t] if len(weight) else 1.0
        before = come[t, state]
        if before < 0:
            initial[state] += w
        else:
            pairs[before, state] += w
        state = before
    return state
