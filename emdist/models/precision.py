"""Which arithmetic keeps the promised digits."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from emdist.errors import ConfigError
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


def check_squares_fit(owner: Any, numerics: Numerics, spread: Spread, whitening: Any) -> None:
    """ConfigError if `numerics` takes squared distances in float32, which cannot hold them.

    For models whose rows are compared by squares that no scale divides. "auto" never comes here:
    it leaves float32 before.

    Parameters
    ----------
    owner
        Of the `whitening`: the check is made once for it and `spread`.
    numerics, spread
        Of the data.
    whitening
        (d, d) that rows are multiplied by before they are squared, or None.
    """
    if numerics.dtype == "float32":
        READY.once(spread, owner, check_squares_fit, lambda: _refuse_squares(spread, whitening))


def _refuse_squares(spread: Spread, whitening: Any) -> None:
    reach = np.maximum(np.abs(spread.low), np.abs(spread.high))
    white = reach if whitening is None else reach @ np.abs(whitening())
    float32 = np.finfo(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        square = float((white**2).sum())
    # Two rows are at most twice as far apart as either is from the origin.
    large = not 4 * square < float(float32.max)
    if not large and (square >= float(float32.tiny) / float(float32.eps) or not white.any()):
        return
    worst = int(np.argmax(reach))
    raise ConfigError(
        "The squares of the features do not fit float32 (model.precision): feature "
        f"{worst} reaches {reach[worst]:g} from the data's mean, and squared distances "
        f"{'overflow' if large else 'fall below what float32 has digits for'}. Set "
        "model.precision to auto or float64, or scale the features."
    )
