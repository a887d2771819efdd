"""The distribution of the sum of two independent variables, each distributed as a mixture.

Its components are those of all pairs of components.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emdist.errors import ConfigError
from emdist.families.closures import Components, Convolutions


def convolved(a: Components, b: Components) -> Components:
    """Return the components of ``x + y``, for all pairs of a component of `a` and one of `b`.

    x has the distribution of the first component and y that of the second. If the families
    differ, both are converted to the narrowest family that contains both.

    Raises
    ------
    ConfigError
        If no family contains sums of these two.
    """
    common = next((cls for cls in _lineage(type(a[0])) if cls in _lineage(type(b[0]))), None)
    if common is not None:
        (family, params), (other, theirs) = _as(common, a), _as(common, b)
        if isinstance(family, Convolutions):
            return family.convolved(params, other, theirs)
    names = " and one of ".join(type(family).__name__ for family, _ in (a, b))
    raise ConfigError(
        f"The sum of a row of {names} belongs to no family of emdist: only sums of Gaussians "
        "and sums of Poissons stay in their family. Draw from both and add the draws."
    )


def _lineage(cls: type[Any] | None) -> Iterator[type[Any]]:
    """Yield the family `cls`, then wider and wider families that contain its members."""
    while cls is not None:
        yield cls
        cls = getattr(cls, "wider", None)


def _as(cls: type[Any], components: Components) -> Components:
    """Return `components` as members of the wider family `cls`."""
    while type(components[0]) is not cls:
        components = components[0].widened(components[1])
    return components
