"""The choice of the cheapest arithmetic of a pass that is accurate enough."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from emdist.errors import ConfigError
from emdist.interfaces import Numerics, Spread
from emdist.models.ready import READY

#: float32 tiles are accurate enough if rounding errors in the score of a feature grow at most by
#: this factor: 100 * 2^-24 = 6e-6 nats.
FLOAT32_LIMIT = 100.0
#: Beyond this factor, the expansion about the origin loses too much in float64 too: more than
#: 1e5 * 2^-53 = 1e-11 nats.
EXPANDED_LIMIT = 1e5

#: The most accurate arithmetic, for the few passes where accuracy matters more than speed.
CAREFUL = Numerics("float64", centred=True)

Precision = Literal["auto", "float32", "float64"]


def cheapest(growth: float, precision: Precision, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
    """Return the cheapest arithmetic for scores in which rounding errors grow by `growth`.

    Parameters
    ----------
    growth
        The factor by which rounding errors grow in the expanded score of a feature, at least 1.
        It is infinite or NaN if an expansion leaves no correct digit.
    precision
        The precision that the user chose. "auto" is that of the data, if it is accurate enough.
    spread, dtype
        The spread and the type of the data.
    """
    if not growth <= EXPANDED_LIMIT:
        return Numerics("float64", centred=True)
    if precision != "auto":
        return Numerics(precision)
    narrow = dtype.itemsize < 4 or dtype == np.float32
    enough = narrow and growth <= FLOAT32_LIMIT and _fits_float32(spread)
    return Numerics("float32" if enough else "float64")


def _fits_float32(spread: Spread) -> bool:
    """Return `_squares_fit_float32` from the cache, which has it once for each spread."""
    return READY.once(spread, _squares_fit_float32, None, lambda: _squares_fit_float32(spread))


def _squares_fit_float32(spread: Spread) -> bool:
    """Return whether no sum of squares in a tile leaves the normal range of float32."""
    reach = np.maximum(np.abs(spread.low), np.abs(spread.high))
    return bool(((reach < 1e15) & ((reach > 1e-15) | (reach == 0))).all())


def check_squares_fit(owner: Any, numerics: Numerics, spread: Spread, whitening: Any) -> None:
    """Raise a ConfigError if `numerics` is float32 and it cannot hold squared distances.

    This is for models that compare rows by squares without dividing them by a scale. Only a user
    who chose float32 gets the error: "auto" has changed to float64 by then.

    Parameters
    ----------
    owner
        The object to which `whitening` belongs. The check is made once for it and `spread`.
    numerics, spread
        The arithmetic of a pass, and the spread of the data.
    whitening
        A function that returns the matrix (d, d) by which rows are multiplied before they are
        squared, or None.
    """
    if numerics.dtype == "float32":
        READY.once(spread, owner, check_squares_fit, lambda: _refuse_squares(spread, whitening))


def _refuse_squares(spread: Spread, whitening: Any) -> None:
    """Raise a ConfigError if squared distances overflow or underflow in float32."""
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
        f"The squares of the features do not fit float32 (model.precision): feature {worst} is "
        f"up to {reach[worst]:g} from the data's mean, and squared distances "
        f"{'overflow' if large else 'are too small for the digits of float32'}. Set "
        "model.precision to 'auto' or 'float64', or scale the features."
    )
