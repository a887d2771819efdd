"""Base classes of families, with defaults that a family overrides where it differs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Domain, Floats, Numerics, Spread

P = TypeVar("P")


def entrywise(of: Callable[..., Floats], *params: Any) -> Any:
    """Apply `of` to the arrays of the same name in all of `params`, and return new parameters."""
    first = params[0]
    names = [each.name for each in fields(first)]
    return type(first)(*(of(*(getattr(each, name) for each in params)) for name in names))


def replaced(values: Floats, index: NDArray[np.int64], new: Floats | float) -> Floats:
    """Return a copy of `values` with entries `index` along the first axis set to `new`."""
    out = values.copy()
    out[index] = new
    return out


class Plain(ABC, Generic[P]):
    """Base class of families and dissimilarities whose arrays have one entry per component.

    By default, features are any real numbers, the M-step is exact and has no prior, the score is
    complete, and no component collapses.
    """

    @property
    def domain(self) -> Domain | None:
        """None: features are any real numbers."""
        return None

    @property
    def approximation(self) -> str:
        """Empty: the M-step is exact."""
        return ""

    @property
    def needs_covariance(self) -> bool:
        """False: the covariance of the data is not needed."""
        return False

    def informed(self, spread: Spread) -> Self:
        """Return the family itself: it does not depend on the data."""
        return self

    @abstractmethod
    def start(self, seeds: Floats, spread: Spread) -> P:
        """Return parameters of k components at `seeds` (k, d)."""

    @abstractmethod
    def locations(self, params: P) -> Floats:
        """Return the locations of the components: (k, d)."""

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Return no sums: all sums depend on responsibilities."""
        return {}

    def shared_base(self, params: P, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        """Return 0: the score has no part that it leaves out."""
        return 0.0

    def log_prior(self, params: P) -> float:
        """Return 0: there is no prior."""
        return 0.0

    def collapsed(self, params: P) -> NDArray[np.bool_]:
        """Return False for each component: none can collapse."""
        return np.zeros(len(self.locations(params)), bool)

    def reseat(self, params: P, index: NDArray[np.int64], rows: Floats, spread: Spread) -> P:
        """Return `params` with components `index` reseeded at `rows`."""
        fresh = self.start(rows, spread)
        made: P = entrywise(lambda old, new: replaced(old, index, new), params, fresh)
        return made

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        taken: P = entrywise(lambda values: values[index], params)
        return taken


class Located(Protocol):
    """Parameters with one mean per component."""

    @property
    def means(self) -> Floats: ...


L = TypeVar("L", bound=Located)


class MeansAsLocations(Plain[L]):
    """Base class of families whose components are located at their means."""

    def locations(self, params: L) -> Floats:
        """Return the means: (k, d)."""
        return params.means

    def component_means(self, params: L) -> Floats:
        """Return the means: (k, d)."""
        return params.means
