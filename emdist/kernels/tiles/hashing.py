"""Random numbers and hashes that belong to a row, whatever block it is read in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, part

Array = NDArray[Any]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


@part
def _splitmix(z: Any) -> Any:
    """Mix the bits of a 64-bit number."""
    # The finaliser of SplitMix64: Steele, Lea and Flood 2014.
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


@jit
def _uniform(rows: Array, key: Any, out: Array) -> None:
    for i in range(rows.shape[0]):
        z = _splitmix(np.uint64(rows[i]) * _GOLDEN + key)
        z = _splitmix(z ^ key)
        # 52 bits plus half a step, so that it is never 0 and never 1.
        out[i] = (np.float64(z >> np.uint64(12)) + 0.5) * 2.0**-52


def uniform_of_rows(rows: NDArray[np.int64], *key: int) -> NDArray[np.float64]:
    """Return one uniform number in (0, 1) for each global row index: (m,) -> (m,).

    The same row and key give the same number with any chunking, on any worker.

    Parameters
    ----------
    rows
        Global row indices.
    key
        Integers that identify the random stream: seed, restart, purpose, round.
    """
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    out = np.empty(len(rows))
    _uniform(rows, state, out)
    return out


@jit
def _hash_rows(bits: Array, out: Array) -> None:
    for i in range(bits.shape[0]):
        h = np.uint64(1469598103934665603)
        for j in range(bits.shape[1]):
            h = _splitmix((h ^ np.uint64(bits[i, j])) + _GOLDEN)
        out[i] = h


def hash_of_rows(x: Array) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each row's values: (m, d) -> (m,). -0.0 equals 0.0."""
    values = np.ascontiguousarray(x, np.float64) + 0.0
    out = np.empty(len(x), np.uint64)
    _hash_rows(values.view(np.uint64), out)
    return out
