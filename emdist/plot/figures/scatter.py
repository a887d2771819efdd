"""Rows in a plane, with ellipses: two features, principal components or discriminants."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.errors import ConfigError
from emdist.interfaces import Floats
from emdist.plot.chart import Chart
from emdist.plot.colours import NOBODY, brief, colours
from emdist.plot.findings import DrawnRows, Findings
from emdist.plot.planes import Plane, discriminant_plane, feature_plane, pca_plane

#: Radius of an ellipse in deviations: it holds 86 % of a Gaussian component in two dimensions.
RADIUS = 2.0
#: From so many rows on, they are drawn as a picture within the figure.
_VECTORS = 400


def _lacks(findings: Findings) -> str:
    if findings.rows is None or not len(findings.rows):
        return "it needs rows. Pass X."
    if findings.n_features < 2:
        return "the data have one feature. Draw 'density' instead."
    return ""


def _draw(axes: Any, findings: Findings, plane: str = "features", features: Any = None) -> str:
    rows = findings.rows
    assert rows is not None
    if features is not None and len(features) != 2:
        raise ConfigError(f"features={features!r}; expected the names or numbers of two features.")
    chosen = _plane(findings, rows, plane, features)
    points, palette = chosen.points, colours(findings.k)
    shade = [palette[i] if i >= 0 else NOBODY for i in rows.labels]
    size = 14 if len(rows) < 1000 else 5
    axes.scatter(points[:, 0], points[:, 1], s=size, c=shade, linewidths=0, alpha=0.75,
                 rasterized=len(rows) > _VECTORS)  # fmt: skip
    for i in range(findings.k):
        _ellipse(axes, chosen, rows, i, palette[i])
    axes.set_xlabel(brief(chosen.names[0], 60))
    axes.set_ylabel(brief(chosen.names[1], 60))
    return (
        f"Scatter plot of {rows.told}, {chosen.names[0]} against {chosen.names[1]}, coloured by "
        f"{findings.word}. {_centres(chosen, rows, findings.k)}"
    )


def _plane(findings: Findings, rows: DrawnRows, plane: str, features: Any) -> Plane:
    if features is not None or plane == "features":
        named = features if features is not None else findings.telling(2)
        return feature_plane(findings, rows, [findings.feature(one) for one in named])
    if plane == "pca":
        return pca_plane(rows)
    if plane == "discriminant":
        return discriminant_plane(rows, findings.k)
    raise ConfigError(
        f"plane={plane!r}; expected 'features', 'pca' or 'discriminant' (or features=[..., ...])."
    )


def _ellipse(axes: Any, plane: Plane, rows: DrawnRows, i: int, colour: str) -> None:
    from matplotlib.patches import Ellipse

    found = plane.moments(rows, i)
    if found is None:
        return
    mean, covariance = found
    value, vector = np.linalg.eigh(covariance)
    width, height = 2 * RADIUS * np.sqrt(np.maximum(value[::-1], 0.0))
    angle = float(np.degrees(np.arctan2(vector[1, 1], vector[0, 1])))
    axes.add_patch(
        Ellipse(
            tuple(mean), width, height, angle=angle, fill=False, edgecolor=colour, linewidth=1.8
        )
    )
    badge = {"boxstyle": "circle,pad=0.25", "fc": colour, "ec": "white"}
    axes.annotate(
        str(i), tuple(mean), ha="center", va="center", fontsize="small", color="white", bbox=badge
    )


def _centres(plane: Plane, rows: DrawnRows, k: int) -> str:
    told = []
    for i in range(min(k, 12)):
        found: tuple[Floats, Floats] | None = plane.moments(rows, i)
        if found is not None:
            told.append(f"{i} at ({found[0][0]:.4g}, {found[0][1]:.4g})")
    return f"Centres: {', '.join(told)}." if told else ""


CHART = Chart("Rows in the plane of two features", _draw, _lacks, (6.4, 4.8))
