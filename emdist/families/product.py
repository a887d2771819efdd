"""The product of families, for mixed data: each group of features has a family of its own.

Groups are independent given the component, so log p(x|k) is a sum over groups. Statistics of groups
are joined as columns, scores are added, and each group makes its own M-step from its columns.
Source: Hunt and Jorgensen 1999, "Mixture model clustering using the MULTIMIX program", Australian &
New Zealand Journal of Statistics 41.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, Family
from emdist.errors import ConfigError
from emdist.families.closures import Posteriors
from emdist.families.products import closures as product_closures
from emdist.families.products.groups import (
    Columns,
    Group,
    Named,
    check_columns,
    check_features,
    indices_of,
    parts_of,
)
from emdist.families.products.joined import joined
from emdist.interfaces import Array, Cells, Domain, Floats, Numerics, Spread
from emdist.sums import Sums

Parts = TypeVar("Parts")


@dataclass(frozen=True)
class ProductParams(Generic[Parts]):
    """The parameters of k components of a product.

    Attributes
    ----------
    parts
        The parameters of each group's family, in the order of the groups.
    """

    parts: Parts


@dataclass(frozen=True)
class Product:
    """The product of one family for each group of features: ``prod_g p_g(x[columns_g] | k)``.

    Attributes
    ----------
    groups
        The groups of features, with their families. Every feature is in exactly one group, unless
        it is ignored.
    ignored
        The indices of features that the model does not use.
    """

    groups: tuple[Group, ...]
    ignored: Named = ()
    parts: tuple[tuple[Columns, Family[Any]], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.groups:
            raise ConfigError("groups is empty; expected at least one {columns: ..., family: ...}.")
        parts = parts_of(self.groups)
        object.__setattr__(self, "parts", parts)
        check_columns(np.concatenate([self._ignored, *(columns for columns, _ in parts)]))

    @property
    def _ignored(self) -> Columns:
        return indices_of(self.ignored, "ignored") if self.ignored else np.empty(0, np.int64)

    @property
    def n_features(self) -> int:
        """Number of features that the data must have."""
        return len(self._ignored) + sum(len(columns) for columns, _ in self.parts)

    @property
    def params(self) -> Any:
        kinds: Any = tuple(family.params for _, family in self.parts)
        return ProductParams[tuple[kinds]]

    @property
    def shifted(self) -> NDArray[np.bool_]:
        found = np.ones(self.n_features, bool)
        for columns, family in self.parts:
            found[columns] = family.shifted
        return found

    @property
    def domain(self) -> Domain | None:
        if all(family.domain is None for _, family in self.parts):
            return None
        d = self.n_features
        what, whole = np.full(d, "real numbers", object), np.zeros(d, bool)
        low, high = np.full(d, -np.inf), np.full(d, np.inf)
        for columns, family in self.parts:
            one = family.domain
            if one is not None:
                low[columns], high[columns] = one.low, one.high
                what[columns], whole[columns] = one.what, one.whole
        described, smallest, largest, counts = (
            tuple(each.tolist()) for each in (what, low, high, whole)
        )
        return Domain(described, smallest, largest, counts)

    @property
    def approximation(self) -> str:
        """Why M-steps of the parts miss the exact maximum, without repetitions; may be empty."""
        return "; ".join(dict.fromkeys(f.approximation for _, f in self.parts if f.approximation))

    @property
    def needs_covariance(self) -> bool:
        return any(family.needs_covariance for _, family in self.parts)

    def informed(self, spread: Spread) -> Product:
        """Return the product of families for data of this spread."""
        return self._with([family.informed(of_columns(spread, c)) for c, family in self.parts])

    def _with(self, families: Sequence[Family[Any]]) -> Product:
        """Return a product of the same groups with other families, one for each group."""
        twin = copy.copy(self)
        parts = tuple((c, other) for (c, _), other in zip(self.parts, families, strict=True))
        object.__setattr__(twin, "parts", parts)  # No other code has the copy yet.
        return twin

    def expected_components(self, params: ProductParams[Any]) -> tuple[Product, ProductParams[Any]]:
        """Return the product with posteriors replaced by expected components."""
        found = [
            family.expected_components(own) if isinstance(family, Posteriors) else (family, own)
            for _, family, own in self._each(params)
        ]
        return self._with([f for f, _ in found]), ProductParams(tuple(own for _, own in found))

    def _each(self, params: ProductParams[Any]) -> list[tuple[Columns, Family[Any], Any]]:
        """Return the columns, the family and the parameters of each part."""
        return [(*part, own) for part, own in zip(self.parts, params.parts, strict=True)]

    def start(self, seeds: Floats, spread: Spread) -> ProductParams[Any]:
        if seeds.shape[1] != self.n_features:
            raise ConfigError(
                f"The groups of the product name {self.n_features} feature(s), but the data "
                f"have {seeds.shape[1]}. Put every feature into one group, or among 'ignored'."
            )
        return ProductParams(
            tuple(family.start(seeds[:, c], of_columns(spread, c)) for c, family in self.parts)
        )

    def density(self, params: ProductParams[Any], numerics: Numerics) -> Density:
        parts = [(c, family.density(own, numerics)) for c, family, own in self._each(params)]
        return joined(parts, self.n_features)

    def estimate(
        self, sums: Sums, params: ProductParams[Any], numerics: Numerics
    ) -> ProductParams[Any]:
        found, at = [], 0
        for i, (_, family, own) in enumerate(self._each(params)):
            width = family.density(own, numerics).width
            named = _below(sums.fields, f"shared.{i}.")
            shared = {f"shared.{name}": value for name, value in named.items()}
            t = np.ascontiguousarray(sums["t"][:, at : at + width])
            mine = Sums({"n": sums["n"], "weight": sums["weight"], "t": t, **shared})
            found.append(family.estimate(mine, own, numerics))
            at += width
        return ProductParams(tuple(found))

    def amplification(self, params: ProductParams[Any], spread: Spread) -> float:
        # This is the sum and not the mean: many accurate features do not compensate for one part
        # that is inaccurate.
        each = [_growth(f, own, of_columns(spread, c)) for c, f, own in self._each(params)]
        return float(np.sum(each))

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        return {
            f"{i}.{name}": value
            for i, (columns, family) in enumerate(self.parts)
            for name, value in family.shared(np.take(x, columns, axis=1), weight).items()
        }

    def shared_base(
        self, params: ProductParams[Any], shared: Mapping[str, Floats], numerics: Numerics
    ) -> float:
        return sum(
            family.shared_base(own, _below(shared, f"{i}."), numerics)
            for i, (_, family, own) in enumerate(self._each(params))
        )

    def log_prior(self, params: ProductParams[Any]) -> float:
        return sum(family.log_prior(own) for _, family, own in self._each(params))

    def locations(self, params: ProductParams[Any]) -> Floats:
        """Return the locations of the components, (k, d), which are 0 in ignored features."""
        found = [(c, family.locations(own)) for c, family, own in self._each(params)]
        out = np.zeros((len(found[0][1]), self.n_features))
        for columns, where in found:
            out[:, columns] = where
        return out

    def collapsed(self, params: ProductParams[Any]) -> NDArray[np.bool_]:
        found = [family.collapsed(own) for _, family, own in self._each(params)]
        return np.asarray(np.any(found, axis=0))

    def translate(self, params: ProductParams[Any], shift: Floats) -> ProductParams[Any]:
        each = self._each(params)
        return ProductParams(tuple(family.translate(own, shift[c]) for c, family, own in each))

    def reseat(
        self,
        params: ProductParams[Any],
        index: NDArray[np.int64],
        rows: Floats,
        spread: Spread,
    ) -> ProductParams[Any]:
        return ProductParams(
            tuple(
                family.reseat(own, index, rows[:, c], of_columns(spread, c))
                for c, family, own in self._each(params)
            )
        )

    def take(self, params: ProductParams[Any], index: NDArray[np.int64]) -> ProductParams[Any]:
        return ProductParams(tuple(f.take(own, index) for _, f, own in self._each(params)))

    def sample(
        self, params: ProductParams[Any], k: int, n: int, rng: np.random.Generator
    ) -> Floats:
        """Return `n` draws, (n, d), which are 0 (relative to the origin) in ignored features."""
        out = np.zeros((n, self.n_features))
        for columns, family, own in self._each(params):
            out[:, columns] = family.sample(own, k, n, rng)
        return out

    def component_means(self, params: ProductParams[Any]) -> Floats:
        return product_closures.component_means(self._each(params), self._whole())

    def within(self, params: ProductParams[Any], weights: Floats) -> Floats:
        return product_closures.within(self._each(params), self._whole(), weights)

    def marginal(
        self, params: ProductParams[Any], features: Columns
    ) -> tuple[Product, ProductParams[Any]]:
        self._whole()
        return self._of_parts(product_closures.marginal(self._each(params), features))

    def conditional(
        self, params: ProductParams[Any], kept: Columns, observed: Columns, values: Floats
    ) -> tuple[Product, ProductParams[Any]]:
        self._whole()
        parts = product_closures.conditional(self._each(params), kept, observed, values)
        return self._of_parts(parts)

    def slopes(self, params: ProductParams[Any], kept: Columns, observed: Columns) -> Floats | None:
        k = len(self.locations(params))
        return product_closures.slopes(self._each(params), k, kept, observed)

    def _whole(self) -> int:
        """Return the number of features; ConfigError if some of them are ignored."""
        if self.ignored:
            raise ConfigError(
                "The product ignores some features and has no distribution of them. Fit it to "
                "data without these features."
            )
        return self.n_features

    def _of_parts(
        self, parts: Sequence[tuple[Columns, Family[Any], Any]]
    ) -> tuple[Product, ProductParams[Any]]:
        """Return the product of `parts`. No configuration may be able to describe it."""
        twin = copy.copy(self)
        object.__setattr__(twin, "parts", tuple((c, family) for c, family, _ in parts))
        return twin, ProductParams(tuple(own for *_, own in parts))

    def cells(self, d: int) -> Cells | None:
        """Return the groups of features of which a row needs one complete group.

        They are those of the parts. The result is None if each feature is a group of its own, and
        none is ignored.
        """
        stated = [getattr(family, "cells", lambda _: None)(len(c)) for c, family in self.parts]
        if not self.ignored and all(each is None for each in stated):
            return None
        return tuple(
            columns[cell].tolist()
            for (columns, _), own in zip(self.parts, stated, strict=True)
            for cell in ([[j] for j in range(len(columns))] if own is None else own)
        )

    def with_missing(self) -> Product:
        return self._with([family.with_missing() for _, family in self.parts])

    def fill(
        self, params: ProductParams[Any], x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, Floats | None]:
        """Fill in the missing values of each part. Ignored features stay as they are."""
        filled, spread = x.copy(), np.zeros(x.shape)
        for columns, family, own in self._each(params):
            part: Any = family  # `with_missing` has made it an `IncompleteFamily`.
            values = np.take(x, columns, axis=1)
            filled[:, columns], variances = part.fill(own, values, resp, variance)
            if variances is not None:
                spread[:, columns] = variances
        return filled, spread if variance else None

    def free_parameters(self, n_components: int, n_features: int) -> int:
        check_features(self.groups, self.ignored, self.n_features, n_features)
        return sum(family.free_parameters(n_components, len(c)) for c, family in self.parts)


def _growth(family: Family[Any], own: Any, spread: Spread) -> float:
    """Return the `amplification` of a part, including what its components have in common.

    Relative to each other, components may be accurate although all of their scores have the same
    large error.
    """
    growth = family.amplification(own, spread)
    if family.domain is not None or not np.isfinite(growth):
        return growth
    density = family.density(own, Numerics("float64"))
    base = density.base((np.abs(spread.mean) + np.sqrt(spread.variance))[None])
    return max(growth, 2 * float(np.abs(base[0])) / len(spread.mean))


def of_columns(spread: Spread, columns: Columns) -> Spread:
    """Return the spread of the features `columns` only."""
    names = ("origin", "mean", "variance", "low", "high", "whole")
    values: dict[str, Any] = {name: getattr(spread, name)[columns] for name in names}
    if spread.covariance is not None:
        values["covariance"] = spread.covariance[np.ix_(columns, columns)]
    return replace(spread, **values)


def _below(named: Mapping[str, Floats], prefix: str) -> dict[str, Floats]:
    """Return the arrays whose names begin with `prefix`, under names without it."""
    return {n.removeprefix(prefix): v for n, v in named.items() if n.startswith(prefix)}


family = Product
