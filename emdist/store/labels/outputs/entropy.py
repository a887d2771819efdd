"""The entropy of the posterior probabilities of each row: how undecided its label is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Assigned
from emdist.store.labels.outputs.base import LabelOutput, posterior

#: How many numbers are in hand at a time.
_AT_ONCE = 1 << 18


def _entropy(found: Assigned, _: NDArray[np.int64]) -> Array:
    """Return -sum r log r over the components of each row, in nats: (m,)."""
    resp = posterior(found)
    entropy = np.empty(len(resp))
    step = max(1, _AT_ONCE // resp.shape[1])
    for a in range(0, len(resp), step):
        part = resp[a : a + step].astype(np.float64)
        # 0 log 0 is 0. A component that rounding put above 1 has none either.
        logs = np.log(part, out=np.zeros_like(part), where=part > 0)
        entropy[a : a + step] = np.maximum(-(part * logs).sum(axis=1), 0.0)
    return entropy


output = LabelOutput(
    5,
    "float32",
    "entropy of the posterior probabilities in nats",
    _entropy,
    from_posterior=True,
    of_mixtures=True,
)
