"""The distribution of one or two features: the rows, each component, and the mixture."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.errors import ConfigError
from emdist.interfaces import Floats
from emdist.plot.chart import Chart
from emdist.plot.colours import brief, colours
from emdist.plot.findings import DrawnRows, Findings
from emdist.plot.planes import has_marginals

_BINS, _GRID, _PLANE = 40, 300, 120
#: Shares of the rows that lie outside the contours.
_OUTSIDE = (0.05, 0.25, 0.5, 0.75, 0.95)
#: The largest number of components with a curve of their own.
_CURVES = 12


def _lacks(findings: Findings) -> str:
    return "" if findings.rows is not None and len(findings.rows) else "it needs rows. Pass X."


def _draw(axes: Any, findings: Findings, features: Any = None) -> str:
    rows = findings.rows
    assert rows is not None
    given = findings.telling(1) if features is None else features
    if isinstance(given, str | int):
        given = [given]
    named = [findings.feature(one) for one in given]
    if len(named) == 1:
        return _one(axes, findings, rows, named[0])
    if len(named) == 2:
        return _two(axes, findings, rows, named)
    raise ConfigError(f"features={features!r}; expected one or two features.")


def _one(axes: Any, findings: Findings, rows: DrawnRows, feature: int) -> str:
    x = rows.x[:, feature]
    seen = np.isfinite(x)
    if not seen.any():
        return f"No row has a value of {findings.names[feature]}."
    values, labels = x[seen], rows.labels[seen]
    bins, palette = _edges(values), colours(findings.k)
    if findings.k <= _CURVES:
        parts = [values[labels == i] for i in range(findings.k)]
        weights = [np.full(len(p), 1 / (len(values) * (bins[1] - bins[0]))) for p in parts]
        axes.hist(parts, bins=bins, weights=weights, stacked=True, color=palette, alpha=0.45,
                  label=[f"{findings.word} {i}" for i in range(findings.k)])  # fmt: skip
    else:
        axes.hist(values, bins=bins, density=True, color="#9a9a9a", alpha=0.45)
    own = findings.distribution
    curves = own is not None and has_marginals(own) and own.family.domain is None
    if curves and own is not None:
        at = np.linspace(bins[0], bins[-1], _GRID)
        marginal = own.marginal([feature])
        log = marginal.log_density(at[:, None])
        if findings.k <= _CURVES:
            part = marginal.responsibilities(at[:, None]) * np.exp(log)[:, None]
            for i in range(findings.k):
                axes.plot(at, part[:, i], color=palette[i], linewidth=1.6)
        axes.plot(at, np.exp(log), color="#808080", linestyle="--", label="mixture")
    if findings.k <= _CURVES:
        axes.legend(frameon=False, fontsize="small")
    axes.set_xlabel(brief(findings.names[feature], 60))
    axes.set_ylabel("density")
    curve = ", with the densities of the model as curves" if curves else ""
    return (
        f"Histogram of {findings.names[feature]} for {rows.told}, from {values.min():.4g} to "
        f"{values.max():.4g}, coloured by {findings.word}{curve}."
    )


def _two(axes: Any, findings: Findings, rows: DrawnRows, features: list[int]) -> str:
    x = rows.x[:, features]
    x = x[np.isfinite(x).all(axis=1)]
    names = [findings.names[f] for f in features]
    own = findings.distribution
    axes.hist2d(x[:, 0], x[:, 1], bins=_BINS, cmap="Greys", density=True)
    if own is not None and has_marginals(own) and own.family.domain is None:
        sides = [_side(x[:, i]) for i in (0, 1)]
        a, b = np.meshgrid(*sides)
        flat: Floats = np.column_stack([a.ravel(), b.ravel()])
        density = own.marginal(features).density(flat).reshape(a.shape)
        # Each contour holds a stated share of the rows, so that narrow components hide no wide one.
        levels = np.unique(np.quantile(own.marginal(features).density(x), _OUTSIDE))
        axes.contour(a, b, density, levels=levels, cmap="viridis", linewidths=1.2)
    axes.set_xlabel(brief(names[0], 60))
    axes.set_ylabel(brief(names[1], 60))
    return (
        f"Density of {names[0]} and {names[1]} for {rows.told}, with contours of the model that "
        "hold 95, 75, 50, 25 and 5 % of the rows."
    )


def _side(values: Floats) -> Floats:
    low, high = float(values.min()), float(values.max())
    room = 0.1 * (high - low) or 0.5
    return np.linspace(low - room, high + room, _PLANE)


def _edges(values: Floats) -> Floats:
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    whole = bool((values == np.trunc(values)).all())
    if whole and high - low <= 2 * _BINS:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.0)
    return np.linspace(low, high, _BINS + 1)


CHART = Chart("The distribution of a feature in each cluster", _draw, _lacks, (6.4, 3.6))
