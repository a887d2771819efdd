"""What families inherit rather than each write again; one that differs says so itself."""

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
    """Parameters whose arrays are `of` those with the same names in each of `params`."""
    first = params[0]
    names = [each.name for each in fields(first)]
    return type(first)(*(of(*(getattr(each, name) for each in params)) for name in names))


def replaced(values: Floats, index: NDArray[np.int64], new: Floats | float) -> Floats:
    """A copy of `values` with entries `index` along the first axis set to `new`."""
    out = values.copy()
    out[index] = new
    return out


class Plain(ABC, Generic[P]):
    """Base of families and dissimilarities whose parameters are arrays, an entry a component.

    Features are any real numbers, the M-step is exact and without a prior, the score leaves
    nothing out, and no component collapses.
    """

    @property
    def domain(self) -> Domain | None:
        """Any real numbers."""
        return None

    @property
    def approximation(self) -> str:
        """The M-step is exact."""
        return ""

    @property
    def needs_covariance(self) -> bool:
        """No."""
        return False

    def informed(self, spread: Spread) -> Self:
        """The family itself: its options say all."""
        return self

    @abstractmethod
    def start(self, seeds: Floats, spread: Spread) -> P:
        """k components at `seeds` (k, d)."""

    @abstractmethod
    def locations(self, params: P) -> Floats:
        """(k, d) where the components lie."""

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Nothing is gathered once."""
        return {}

    def shared_base(self, params: P, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        """Zero."""
        return 0.0

    def log_prior(self, params: P) -> float:
        """Zero."""
        return 0.0

    def collapsed(self, params: P) -> NDArray[np.bool_]:
        """None."""
        return np.zeros(len(self.locations(params)), bool)

    def reseat(self, params: P, index: NDArray[np.int64], rows: Floats, spread: Spread) -> P:
        """With a start at `rows` in place of components `index`."""
        fresh = self.start(rows, spread)
        made: P = entrywise(lambda old, new: replaced(old, index, new), params, fresh)
        return made

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        taken: P = entrywise(lambda values: values[index], params)
        return taken


class Located(Protocol):
    """Parameters with a mean per component."""

    @property
    def means(self) -> Floats: ...


L = TypeVar("L", bound=Located)


class MeansAsLocations(Plain[L]):
    """For families whose components lie at their means."""

    def locations(self, params: L) -> Floats:
        """(k, d) means."""
        return params.means

    def component_means(self, params: L) -> Floats:
        """(k, d) means."""
        return params.means
