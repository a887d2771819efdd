"""Colours of clusters, which are legible on white and on dark paper, and on prints."""

from __future__ import annotations

import colorsys
from typing import Any

#: Okabe and Ito's colours for people with any colour vision, some darker or lighter for contrast.
_FEW = (
    "#0f7cc0",
    "#e07b00",
    "#0a9e73",
    "#cf4f9b",
    "#a08a00",
    "#7b61d1",
    "#d1452f",
    "#3fa7d6",
    "#7f8c3f",
    "#9b6a4a",
)
#: The colour of noise and of rows without a label.
NOBODY = "#9a9a9a"


def colours(k: int) -> list[Any]:
    """Return `k` colours, one for each cluster."""
    if k <= len(_FEW):
        return list(_FEW[:k])
    golden = 0.61803398875
    more = []
    for i in range(k - len(_FEW)):
        r, g, b = colorsys.hls_to_rgb((0.07 + i * golden) % 1.0, 0.42 + 0.16 * (i % 2), 0.6)
        more.append(f"#{round(r * 255):02x}{round(g * 255):02x}{round(b * 255):02x}")
    return [*_FEW, *more]


def brief(name: str, width: int = 24) -> str:
    """Return a name for an axis, cut off if it is long."""
    return name if len(name) <= width else f"{name[: width - 3]}..."
