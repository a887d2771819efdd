"""`Chart`, the interface of a figure, and `plot`, which draws one by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emdist.errors import ConfigError
from emdist.inputs.plugins import nearest, plugins
from emdist.inputs.quoting import shown
from emdist.plot.findings import Findings
from emdist.runtime.extras import need

_PACKAGE = "emdist.plot.figures"
#: What matplotlib does not take for mathematics: names of features may hold dollars.
PLAIN = {"text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False}


@dataclass(frozen=True)
class Chart:
    """One kind of figure.

    Attributes
    ----------
    title
        What it shows, in a few words.
    draw
        Draws on axes, and returns what they show as text, for people who cannot see it. It is
        called with the axes, the findings and the options of the figure.
    lacks
        Returns what is missing for the figure, such as "rows"; "" if it can be drawn.
    size
        Width and height in inches.
    """

    title: str
    draw: Callable[..., str]
    lacks: Callable[[Findings], str]
    size: tuple[float, float] = (6.4, 4.0)


def charts() -> dict[str, Chart]:
    """Return all figures by name. A new figure is a file in `emdist.plot.figures`."""
    return plugins(_PACKAGE, "CHART")


def chart(kind: str) -> Chart:
    """Return the figure called `kind`; ConfigError if there is none."""
    known = charts()
    if not isinstance(kind, str):
        raise ConfigError(
            f"kind={shown(kind)}; expected the name of a figure: {', '.join(sorted(known))}. Rows "
            "come after it, as in plot('scatter', X)."
        )
    if kind not in known:
        raise ConfigError(
            f"There is no figure {kind!r}{nearest(str(kind), known)}; expected one of "
            f"{', '.join(sorted(known))}."
        )
    return known[kind]


def plot(findings: Findings, kind: str, ax: Any = None, **options: Any) -> Any:
    """Draw a figure, and return its axes.

    Parameters
    ----------
    findings
        What is drawn.
    kind
        The name of the figure.
    ax
        matplotlib axes to draw on; None for a new figure.
    **options
        Options of the figure.

    Raises
    ------
    ConfigError
        If matplotlib is not installed, or if there is nothing to draw.
    """
    one = chart(kind)
    if lacks := one.lacks(findings):
        raise ConfigError(f"The figure {kind!r} cannot be drawn: {lacks}")
    matplotlib: Any = need("matplotlib", "Drawing a figure")
    with matplotlib.rc_context(PLAIN):
        if ax is None:
            pyplot: Any = need("matplotlib.pyplot", "Drawing a figure")
            _, ax = pyplot.subplots(figsize=one.size, layout="constrained")
        try:
            one.draw(ax, findings, **options)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            raise ConfigError(f"plot({kind!r}): {error}.") from None
    return ax
