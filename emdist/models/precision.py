"""Which arithmetic keeps the promised digits."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from emdist.interfaces import Numerics, Spread
from emdist.models.ready import READY

#: float32 tiles are good enough while rounding grows at most so often in a feature's score:
#: 100 * 2^-24 = 6e-6 nats.
FLOAT32_LIMIT = 100.0
#: Beyond this the expansion about the origin loses too much in float64 as well: 1e-11 nats.
EXPANDED_LIMIT = 1e5

#: For the few passes where accuracy is all that counts.
CAREFUL = Numerics("float64", centred=True)

Precision = Literal["auto", "float32", "float64"]


def cheapest(growth: float, precision: Precision, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
    """The cheapest arithmetic where rounding errors grow `growth` times in an expanded score.

    Parameters
    ----------
    growth
        Per feature, at least 1; infinite or NaN where nothing is left of a difference.
    precision
        Asked for; "auto" takes the data's own while that is enough.
    spread, dtype
        Of the data.
    """
    if not growth <= EXPANDED_LIMIT:
        return Numerics("float64", centred=True)
    if precision != "auto":
        return Numerics(precision)
    narrow = dtype.itemsize < 4 or dtype == np.float32
    enough = narrow and growth <= FLOAT32_LIMIT and _fits_float32(spread)
    return Numerics("float32" if enough else "float64")


def _fits_float32(spread: Spread) -> bool:
    return READY.once(spread, _squares_fit_float32, None, lambda: _squares_fit_float32(spread))


def _squares_fit_float32(spread: Spread) -> bool:
    """Whether no sum of squares in a tile overflows float32, or falls below its normal range."""
    reach = np.maximum(np.abs(spread.low), np.abs(spread.high))
    return bool(((reach < 1e15) & ((reach > 1e-15) | (reach == 0))).all())
