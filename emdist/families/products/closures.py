"""Moments, marginals and conditionals of products of families, from those of their parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emdist.components import Family
from emdist.errors import ConfigError
from emdist.families.closures import Features, HasMoments, Marginals
from emdist.interfaces import Floats

#: A part of a product: its columns, its family, its parameters.
Part = tuple[Features, Family[Any], Any]


def component_means(parts: Sequence[Part], d: int) -> Floats:
    """Return the expected row of each component: (k, d)."""
    found = [(c, _moments(f).component_means(own)) for c, f, own in parts]
    out = np.empty((len(found[0][1]), d))
    for columns, means in found:
        out[:, columns] = means
    return out


def within(parts: Sequence[Part], d: int, weights: Floats) -> Floats:
    """Return the covariances of components, summed with `weights` (k,): (d, d).

    Those of features of different parts are 0, because parts are independent.
    """
    out = np.zeros((d, d))
    for columns, family, own in parts:
        able = _moments(family)
        out[np.ix_(columns, columns)] = able.within(own, weights)
    return out


def marginal(parts: Sequence[Part], features: Features) -> list[Part]:
    """Return the parts of the marginal of `features`, in that order.

    Parts without any of `features` are left out.
    """

    def part(family: Any, own: Any, local: Features) -> tuple[Any, Any]:
        found: tuple[Any, Any] = _marginals(family).marginal(own, local)
        return found

    return _kept(parts, features, lambda c, family, own, local: part(family, own, local))


def conditional(
    parts: Sequence[Part], kept: Features, observed: Features, values: Floats
) -> list[Part]:
    """Return the parts of the distribution of `kept`, given `values` of the features `observed`.

    Each part depends on its own observed features only: parts are independent, given the component.
    """

    def part(columns: Features, family: Any, own: Any, local: Features) -> tuple[Any, Any]:
        able = _marginals(family)
        seen = np.flatnonzero(np.isin(observed, columns))
        if not len(seen):
            alone: tuple[Any, Any] = able.marginal(own, local)
            return alone
        there = _local(columns, observed[seen])
        found: tuple[Any, Any] = able.conditional(own, local, there, values[seen])
        return found

    return _kept(parts, kept, part)


def slopes(parts: Sequence[Part], k: int, kept: Features, observed: Features) -> Floats | None:
    """Return how the mean of `kept` changes per unit of `observed`, (k, a, b); None if never."""
    out, any_of_them = np.zeros((k, len(kept), len(observed))), False
    for columns, family, own in parts:
        mine, seen = (
            np.flatnonzero(np.isin(kept, columns)),
            np.flatnonzero(np.isin(observed, columns)),
        )
        if not len(mine) or not len(seen):
            continue
        able = _marginals(family)
        found = able.slopes(own, _local(columns, kept[mine]), _local(columns, observed[seen]))
        if found is not None:
            out[np.ix_(np.arange(k), mine, seen)] = found
            any_of_them = True
    return out if any_of_them else None


def _kept(
    parts: Sequence[Part],
    features: Features,
    make: Callable[[Features, Any, Any, Features], tuple[Any, Any]],
) -> list[Part]:
    """Return what `make` returns for each part that has some of `features`.

    `make` receives the columns, family and parameters of a part, and the positions of its share of
    `features` among its columns. The columns of a result are positions in `features`.
    """
    out: list[Part] = []
    for columns, family, own in parts:
        at = np.flatnonzero(np.isin(features, columns))
        if len(at):
            out.append((at, *make(columns, family, own, _local(columns, features[at]))))
    return out


def _local(columns: Features, features: Features) -> Features:
    """Return the positions of `features` among the `columns` of a part."""
    order = np.argsort(columns)
    found: Features = order[np.searchsorted(columns, features, sorter=order)]
    return found


def _moments(family: Any) -> HasMoments:
    """Return `family` if it has moments; ConfigError otherwise."""
    if not isinstance(family, HasMoments):
        raise _unstated(family, "moments")
    return family


def _marginals(family: Any) -> Marginals:
    """Return `family` if it has marginals; ConfigError otherwise."""
    if not isinstance(family, Marginals):
        raise _unstated(family, "marginals")
    return family


def _unstated(family: Any, what: str) -> ConfigError:
    return ConfigError(
        f"A part of the product, {type(family).__name__.lower()}, has no {what}: no family of "
        "emdist describes what is left of its rows. Ask for the density of whole rows."
    )
