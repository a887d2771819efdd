"""The sum of two independent variables, each of a mixture: all pairs of components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emdist.errors import ConfigError
from emdist.families.closures import Components, Convolutions


def convolved(a: Components, b: Components) -> Components:
    """The components of ``x + y`` for x of one component of `a` and y of one of `b`.

    Families that differ are widened to the nearest that holds both.

    Raises
    ------
    ConfigError
        If sums of these families have no family.
    """
    common = next((cls for cls in _lineage(type(a[0])) if cls in _lineage(type(b[0]))), None)
    if common is not None:
        (family, params), (other, theirs) = _as(common, a), _as(common, b)
        if isinstance(family, Convolutions):
            return family.convolved(params, other, theirs)
    names = " and one of ".join(type(family).__name__ for family, _ in (a, b))
    raise ConfigError(
        f"The sum of a row of {names} has none of the families here: sums are closed among "
        "Gaussians and among Poissons, not for other counts, bits or codes. Draw from both and "
        "add the draws."
    )


def _lineage(cls: type[Any] | None) -> Iterator[type[Any]]:
    """`cls` and the ever wider families that hold its members."""
    while cls is not None:
        yield cls
        cls = getattr(cls, "wider", None)


def _as(cls: type[Any], components: Components) -> Components:
    while type(components[0]) is not cls:
        components = components[0].widened(components[1])
    return components
