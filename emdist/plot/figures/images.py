"""The means of the components as images, where features are pixels or colours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from emdist.errors import ConfigError
from emdist.plot.chart import Chart
from emdist.plot.findings import Findings

_SHOWN = 64
_COLOURS = ("red", "green", "blue")


def _lacks(findings: Findings) -> str:
    if is_colour(findings) or _side(findings) is not None:
        return ""
    return "features are no pixels. Pass shape=(height, width), or use 'profiles'."


def is_colour(findings: Findings) -> bool:
    """Return whether the features are the red, green and blue of a pixel."""
    return findings.names == _COLOURS


def _side(findings: Findings) -> int | None:
    """Return the side of a square image that features without names make; None for none."""
    side = math.isqrt(findings.n_features)
    named = findings.fitted.feature_names is not None
    pixels = all(name.lower().startswith(("pixel", "px")) for name in findings.names)
    if side * side == findings.n_features and side >= 6 and (not named or pixels):
        return side
    return None


def _draw(axes: Any, findings: Findings, shape: tuple[int, int] | None = None) -> str:
    order = [int(i) for i in np.argsort(-findings.shares, kind="stable")[:_SHOWN]]
    if is_colour(findings) and shape is None:
        return _palette(axes, findings, order)
    side = _side(findings) or 0
    height, width = shape or (side, side)
    if height * width != findings.n_features:
        raise ConfigError(
            f"shape={shape!r} has {height * width} pixels; expected {findings.n_features}, the "
            "number of features."
        )
    columns = math.ceil(math.sqrt(len(order)))
    lines = math.ceil(len(order) / columns)
    sheet = np.full((lines * (height + 1), columns * (width + 1)), np.nan)
    for at, i in enumerate(order):
        a, b = at // columns * (height + 1), at % columns * (width + 1)
        sheet[a : a + height, b : b + width] = findings.means[i].reshape(height, width)
        axes.text(b + 0.3, a + 0.3, str(i), fontsize="x-small", va="top", color="#e07b00")
    axes.imshow(sheet, cmap="gray", interpolation="nearest")
    axes.set_axis_off()
    return f"The means of {len(order)} {findings.word}s as images of {height} x {width} pixels."


def _palette(axes: Any, findings: Findings, order: list[int]) -> str:
    shares, start = findings.shares, 0.0
    for i in order:
        colour = findings.shades([""] * findings.k)[i]
        axes.barh(0, 100 * shares[i], left=100 * start, color=colour, height=0.8, linewidth=0)
        if shares[i] > 0.03:
            red, green, blue = (int(colour[j : j + 2], 16) for j in (1, 3, 5))
            ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 128 else "white"
            axes.text(100 * (start + shares[i] / 2), 0, str(i), ha="center", va="center", color=ink)
        start += float(shares[i])
    axes.set_yticks([])
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the rows, %")
    told = ", ".join(f"{i}: {findings.shades([''] * findings.k)[i]}" for i in order[:24])
    return f"The colours of the {findings.word}s, the most frequent first: {told}."


CHART = Chart("The clusters as images", _draw, _lacks, (6.4, 2.4))
