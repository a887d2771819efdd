"""Planes in which rows are shown: two features, principal components, discriminants."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emdist.families.closures import HasMoments, Marginals
from emdist.interfaces import Floats
from emdist.mixtures.distribution import MixtureDistribution
from emdist.plot.findings import DrawnRows, Findings


@dataclass(frozen=True, eq=False)
class Plane:
    """Rows in a plane.

    Attributes
    ----------
    points
        (m, 2) the coordinates of the rows; NaN where a value is missing.
    names
        What the two axes are.
    marginal
        The mixture in this plane, from which ellipses follow; None to take them from the rows.
    """

    points: Floats
    names: tuple[str, str]
    marginal: MixtureDistribution | None = field(default=None)

    def moments(self, rows: DrawnRows, i: int) -> tuple[Floats, Floats] | None:
        """Return mean and covariance of component `i` in the plane; None if it has none."""
        own = self.marginal
        if own is not None and isinstance(own.family, HasMoments):
            alone = np.zeros(own.n_components)
            alone[i] = 1.0
            mean = own.family.component_means(own.components)[i]
            return mean, own.family.within(own.components, alone)
        weight = (rows.labels == i).astype(float) if rows.resp is None else rows.resp[:, i]
        seen = np.isfinite(self.points).all(axis=1) & (weight > 0)
        if weight[seen].sum() < 3:
            return None
        x, w = self.points[seen], weight[seen] / weight[seen].sum()
        mean = w @ x
        return mean, (x - mean).T @ ((x - mean) * w[:, None])


def feature_plane(findings: Findings, rows: DrawnRows, features: list[int]) -> Plane:
    """Return the plane of two features of the data."""
    names = (findings.names[features[0]], findings.names[features[1]])
    known, marginal = findings.distribution, None
    if known is not None and has_marginals(known):
        marginal = known.marginal(features)
    return Plane(rows.x[:, features], names, marginal)


def has_marginals(one: MixtureDistribution) -> bool:
    """Return whether a mixture has marginal distributions and moments."""
    return isinstance(one.family, Marginals) and isinstance(one.family, HasMoments)


def pca_plane(rows: DrawnRows) -> Plane:
    """Return the plane of the first two principal components of the rows, each feature scaled."""
    x = _filled(rows.x)
    scale = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    _, s, vt = np.linalg.svd(z, full_matrices=False)
    share = s**2 / max(float((s**2).sum()), 1e-300)
    names = [
        f"principal component {i + 1} ({100 * share[i]:.0f} % of the variance)" for i in (0, 1)
    ]
    return Plane(z @ _signed(vt[:2]).T, (names[0], names[1]))


def discriminant_plane(rows: DrawnRows, k: int) -> Plane:
    """Return the plane in which the clusters are the furthest apart, relative to their widths."""
    x = _filled(rows.x)
    scale = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    d = z.shape[1]
    within, between = 1e-9 * np.eye(d), np.zeros((d, d))
    for i in range(k):
        own = z[rows.labels == i]
        if len(own):
            mean = own.mean(axis=0)
            within += (own - mean).T @ (own - mean) / len(z)
            between += len(own) / len(z) * np.outer(mean, mean)
    value, vector = np.linalg.eigh(within)
    half = vector / np.sqrt(np.maximum(value, 1e-9 * value[-1]))
    _, found = np.linalg.eigh(half.T @ between @ half)
    axes = _signed((half @ found[:, ::-1][:, :2]).T)
    return Plane(z @ axes.T, ("discriminant 1", "discriminant 2"))


def _filled(x: Floats) -> Floats:
    """Return rows with the mean of a feature in place of values that are missing."""
    seen = np.isfinite(x)
    mean = np.where(seen, x, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return np.where(seen, x, mean)


def _signed(axes: Floats) -> Floats:
    """Return axes (2, d) whose largest entries are positive, so that pictures do not flip."""
    if len(axes) < 2:
        axes = np.vstack([axes, np.zeros_like(axes)])
    largest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
    return np.where(largest < 0, -1.0, 1.0)[:, None] * axes
