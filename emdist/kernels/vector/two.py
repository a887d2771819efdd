"""The two nearest centres of each row of a panel: the scoring kernel that `bounds` needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit
from emdist.kernels.vector.lanes import COMPONENTS
from emdist.kernels.vector.scoring import two_best_of_panel

Array = NDArray[Any]


@jit
def nearest_two(panel: Array, eta: Array, offset: Array, start: Any, stop: Any,
                labels: Array, best: Array, second: Array) -> None:  # fmt: skip
    """Find the highest and second highest ``eta x + offset`` among centres start..stop-1.

    Parameters
    ----------
    panel
        (d, rows), scored as plain K-means scores it: the scores have the same bits in any group.
    eta, offset
        (p / 6, d, 6) and (p,): see `pack_components`. `start` and `stop` are multiples of 6.
    labels, best, second
        (rows,) filled with the index of the nearest centre, its score, and the second score.
    """
    best[:] = -np.inf
    second[:] = -np.inf
    labels[:] = 0
    group = eta[start // COMPONENTS : stop // COMPONENTS]
    two_best_of_panel(panel, group, offset[start:stop], best, second, labels)
    for i in range(labels.shape[0]):
        labels[i] += start
