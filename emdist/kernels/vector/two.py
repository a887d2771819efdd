"""The two nearest centres of the rows of a panel: what `bounds` wants of any kernel that scores."""

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
    """Highest and second highest ``eta x + offset`` among centres start..stop-1.

    Parameters
    ----------
    panel
        (d, rows), to be scored as plain K-means does it: the same bits, whatever the group.
    eta, offset
        (p / 6, d, 6) and (p,): see `pack_components`. `start` and `stop` are multiples of 6.
    labels, best, second
        (rows,) filled.
    """
    best[:] = -np.inf
    second[:] = -np.inf
    labels[:] = 0
    group = eta[start // COMPONENTS : stop // COMPONENTS]
    two_best_of_panel(panel, group, offset[start:stop], best, second, labels)
    for i in range(labels.shape[0]):
        labels[i] += start
