"""The figures of a profile, from the sums of its pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Floats
from emdist.quality.profiles.sums import FirstRows, ProfileSums

#: The quantiles of every feature.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
#: The most different whole numbers of a feature whose shares are told one by one.
_VALUES = 32


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Quantiles of each cluster and feature, from histograms with the extremes of every bin.

    Attributes
    ----------
    values
        (k, d, q) the quantiles; NaN without values.
    errors
        (k, d, q) how far at most they are from the quantile that a sorted list gives
        (``numpy.quantile(..., method="inverted_cdf")``).
    """

    values: Floats
    errors: Floats


@dataclass(frozen=True, eq=False)
class ValueShares:
    """How often a feature of few different whole numbers has each of them.

    Attributes
    ----------
    feature
        The number of the feature.
    values
        (v,) the numbers.
    shares
        (k, v) the share of the rows of each cluster, by weight; NaN without values.
    """

    feature: int
    values: Floats
    shares: Floats


@dataclass(frozen=True, eq=False)
class Figures:
    """What the rows of each of k clusters have, noise last; features are those of the data.

    Attributes
    ----------
    rows, weight
        (k,) the number of rows with each label (those of weight 0 do not count), and their weight.
    means, deviations, low, high
        (k, d) moments and extremes of the values; NaN without values.
    observed
        (k, d) the weight of the rows that have a value.
    differences
        (k, d) the mean of the cluster minus that of all other rows, in standard deviations of all
        rows; NaN without values.
    separations
        (k, d) how differently the values are distributed in the cluster and in all other rows:
        Kuiper's distance of the distributions, 0 to 1; None without histograms.
    quantiles
        None without histograms.
    values
        The features of few different whole numbers.
    shared
        (k, k) the mean responsibilities of the rows with each label; None without any.
    entropy
        (k,) the mean entropy of these responsibilities in nats; None likewise.
    nearest, doubtful
        Representative rows.
    """

    rows: Floats
    weight: Floats
    means: Floats
    deviations: Floats
    low: Floats
    high: Floats
    observed: Floats
    differences: Floats
    separations: Floats | None
    quantiles: Quantiles | None
    values: tuple[ValueShares, ...]
    shared: Floats | None
    entropy: Floats | None
    nearest: FirstRows
    doubtful: FirstRows

    def ranked(self, cluster: int) -> NDArray[np.int64]:
        """Return the features of a cluster, those first that set it apart most."""
        found = self.separations if self.separations is not None else np.abs(self.differences)
        key = np.nan_to_num(found[cluster], nan=-1.0)
        # Where distributions do not overlap at all, the means that are further apart come first.
        tie = np.nan_to_num(np.abs(self.differences[cluster]), nan=-1.0)
        return np.lexsort((-tie, -np.round(key, 3)))


def figures(found: ProfileSums) -> Figures:
    """Return the figures of a profile."""
    moments, sums = found.moments, found.sums
    none = moments.total == 0
    bins = least = most = None
    if "bins" in sums:
        bins, least, most = (sums[name].swapaxes(0, 1) for name in ("bins", "min.bins", "max.bins"))
    weight = sums["weight"]
    with np.errstate(divide="ignore", invalid="ignore"):
        deviations = np.sqrt(moments.squares / moments.total)
        shared = sums["shared"] / weight[:, None] if "shared" in sums else None
        entropy = sums["entropy"] / weight if "entropy" in sums else None
    nan = np.nan
    return Figures(
        sums["rows"], weight,
        np.where(none, nan, moments.mean), deviations,
        np.where(none, nan, sums["min.x"]), np.where(none, nan, sums["max.x"]),
        moments.total, _differences(found),
        None if bins is None else _separations(bins),
        None if bins is None or least is None or most is None else _quantiles(bins, least, most),
        () if bins is None or least is None or most is None else _value_shares(bins, least, most),
        shared, entropy, found.nearest, found.doubtful,
    )  # fmt: skip


def _differences(found: ProfileSums) -> Floats:
    """Return means less those of the other rows, in standard deviations of all rows: (k, d)."""
    moments = found.moments
    total, mean = moments.total, moments.mean
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = total.sum(axis=0)
        centre = (total * mean).sum(axis=0) / whole
        squares = moments.squares.sum(axis=0) + (total * (mean - centre) ** 2).sum(axis=0)
        scale = np.sqrt(squares / whole)
        # mean - others = (mean - centre) * whole / (whole - total), without cancellation.
        away = (mean - centre) * whole / (whole - total)
        out: Floats = np.where(scale > 0, away / np.where(scale > 0, scale, 1.0), 0.0)
    out[(total == 0) | (total >= whole)] = np.nan
    return out


def _separations(bins: Floats) -> Floats:
    """Return Kuiper's distance between each cluster and the other rows: (k, d)."""
    total = bins.sum(axis=-1)
    whole = bins.sum(axis=0)
    out = np.full(total.shape, np.nan)
    for c in range(len(bins)):
        rest = whole - bins[c]
        other = rest.sum(axis=-1)
        some = (total[c] > 0) & (other > 0)
        own = np.cumsum(bins[c][some], axis=-1) / total[c][some, None]
        away = own - np.cumsum(rest[some], axis=-1) / other[some, None]
        high, low = away.max(axis=-1, initial=0.0), away.min(axis=-1, initial=0.0)
        out[c, some] = np.clip(high - low, 0.0, 1.0)
    return out


def _quantiles(bins: Floats, least: Floats, most: Floats) -> Quantiles:
    """Return quantiles from the weights and extremes of bins, (k, d, bins) each."""
    upto = np.cumsum(bins, axis=-1)
    total = upto[..., -1]
    values, errors = np.full((2, *total.shape, len(LEVELS)), np.nan)
    some = total > 0
    for q, level in enumerate(LEVELS):
        goal = level * total
        at = np.argmax(upto >= goal[..., None], axis=-1)[..., None]
        low, high, inside, end = (
            np.take_along_axis(one, at, axis=-1)[..., 0] for one in (least, most, bins, upto)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.clip(1.0 - (end - goal) / inside, 0.0, 1.0)
            value = low + (high - low) * part
            error = np.maximum(value - low, high - value)
        values[some, q], errors[some, q] = value[some], error[some]
    return Quantiles(values, errors)


def _value_shares(bins: Floats, least: Floats, most: Floats) -> tuple[ValueShares, ...]:
    """Return the shares of the values of features of few whole numbers, each in its own bin."""
    found = []
    for j in range(bins.shape[1]):
        used = np.flatnonzero(bins[:, j].sum(axis=0) > 0)
        if not 1 < len(used) <= _VALUES:
            continue
        low, high = least[:, j, used].min(axis=0), most[:, j, used].max(axis=0)
        if (low != high).any() or (low != np.rint(low)).any():
            continue
        own = bins[:, j, used]
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(ValueShares(j, low, own / own.sum(axis=1, keepdims=True)))
    return tuple(found)
