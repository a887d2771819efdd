"""Mixtures of any family: the E-step, the M-step and the objective, for every assignment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Components, Density, Logits, does_whole_blocks
from emdist.errors import CollapseError
from emdist.interfaces import (
    LARGEST_MOVE,
    Array,
    Assigned,
    Block,
    Cells,
    Domain,
    Floats,
    IterationIndex,
    Numerics,
    Spread,
    Terms,
    Worst,
)
from emdist.kernels.tiles.assign import softmax
from emdist.models.assignments import Assignment, Share, Tile
from emdist.models.assignments.soft import Soft
from emdist.models.blocks import labelled_sums, share_sums, shared_sums
from emdist.models.params import MixtureParams
from emdist.models.precision import CAREFUL, Precision, cheapest
from emdist.models.ready import READY
from emdist.models.scored import scored_tiles
from emdist.models.weights import Weights
from emdist.models.weights.free import Free
from emdist.sums import Sums

P = TypeVar("P")


@dataclass(frozen=True)
class Mixture(Generic[P]):
    """A mixture of distributions of one family: ``sum_k weight_k p(x | k)``.

    Attributes
    ----------
    family
        The family of the components.
    assignment
        How rows are divided among components: soft, hard, tempered or stochastic.
    weights
        How mixture weights are estimated.
    precision
        The precision of tiles. "auto" is the precision of the data, but changes to float64, and
        to centred sums, where rounding errors would be too large.
    min_weight
        The share of the total weight below which a component counts as collapsed.
    missing
        Whether the family is one for rows with missing values. `with_missing` sets it.
    """

    family: Components[P]
    assignment: Assignment = field(default_factory=Soft)
    weights: Weights = field(default_factory=Free)
    precision: Precision = "auto"
    min_weight: float = 0.0
    missing: bool = False

    minimises: ClassVar[bool] = False

    @property
    def domain(self) -> Domain | None:
        """The values that features of the family can have, or None for any real numbers."""
        return self.family.domain

    def cells(self, d: int) -> Cells | None:
        """Return the family's groups of features, of which a row needs one; None for any feature.

        `Traits.cells` says more.
        """
        stated = getattr(self.family, "cells", None)
        return None if stated is None else stated(d)

    @property
    def approximation(self) -> str:
        """Why the family's M-step misses the exact maximum; empty if it does not."""
        return self.family.approximation

    @property
    def settled(self) -> bool:
        """Whether the assignment works the same way in every later iteration."""
        return self.assignment.settled

    @property
    def temperature(self) -> float:
        """Temperature of the assignment: 1 for EM, 0 for hard assignment, NaN for draws."""
        return self.assignment.temperature

    #: Statistics of an exponential family are sums over rows, so they can be added and scaled.
    additive: ClassVar[bool] = True

    @property
    def squares(self) -> bool:
        """True: the components, or the K-means that seeds them, add up squares of the features."""
        return True

    def at(self, iteration_index: IterationIndex) -> Mixture[P]:
        """Return the mixture with the assignment of one iteration."""
        assignment = self.assignment.at(iteration_index)
        return self if assignment is self.assignment else replace(self, assignment=assignment)

    def with_missing(self) -> Mixture[P]:
        """Return the mixture for rows with missing values; ConfigError if the family has none."""
        return replace(self, family=self.family.with_missing(), missing=True)

    def start(self, seeds: Floats, spread: Spread) -> MixtureParams[P]:
        """Return parameters with equal weights and components at `seeds` (k, d)."""
        k = len(seeds)
        components = self.family.start(seeds, spread)
        if self.weights.keeps_counts:
            return self._weighed(np.full(k, spread.weight / k), components)
        return MixtureParams(np.full(k, 1.0 / k), components)

    def _weighed(self, n: Floats, components: P) -> MixtureParams[P]:
        """Return parameters of `components`, whose rows have the weight `n` (k,)."""
        counts = n if self.weights.keeps_counts else None
        return MixtureParams(self.weights.estimate(n), components, counts)

    def numerics(self, params: MixtureParams[P], spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """Return the cheapest arithmetic that is accurate enough for these parameters."""
        growth = READY.amplification(self.family, params.components, spread)
        # A temperature below 1 divides scores, and so enlarges their rounding errors as well.
        if 0 < self.assignment.temperature < 1:
            growth /= self.assignment.temperature
        return cheapest(growth, self.precision, spread, dtype)

    def scored(
        self,
        density: Density,
        block: Block,
        params: MixtureParams[P],
        origin: Floats,
        numerics: Numerics,
    ) -> Iterator[tuple[slice, Tile]]:
        """Yield scored tiles of the rows that count, each with its range among these rows.

        `density` is that of `params`. The caller gives it because it may be costly to make: k
        factorisations for full covariances.
        """
        log_weight = self._log_weight(params, numerics)
        return scored_tiles(density, block, origin, numerics, log_weight)

    def logits(self, params: MixtureParams[P], numerics: Numerics) -> Logits | None:
        """Return the logits of the responsibilities; None if these are not a softmax of T(x)."""
        density = READY.density(self.family, params.components, numerics)
        return self.assignment.logits(density, self._log_weight(params, numerics))

    def _log_weight(self, params: MixtureParams[P], numerics: Numerics) -> Array:
        """Return the logarithms of the mixture weights in the precision of tiles: (k,) nats."""
        return self.weights.logarithms(params).astype(numerics.dtype)

    def e_step(
        self,
        block: Block,
        params: MixtureParams[P],
        origin: Floats,
        numerics: Numerics,
        seen: Callable[[Tile], None] | None = None,
    ) -> Sums:
        """Return the sums of one block: ``n`` (k,), ``t`` (k, width), ``objective``, ``weight``.

        `seen` is called with every tile after the assignment has processed it. The block is then
        processed tile by tile, and not by one compiled call.
        """
        x, weight = block.valid()
        density = READY.density(self.family, params.components, numerics)
        log_weight = self._log_weight(params, numerics)
        share = self.assignment.whole(density, x, weight, origin, log_weight) if not seen else None
        if share is None:
            share = Share(
                np.zeros(len(log_weight)), np.zeros((len(log_weight), density.width)), 0.0
            )
            for _, tile in self.scored(density, block, params, origin, numerics):
                share += self.assignment.share(tile)
                if seen is not None:
                    seen(tile)
        return share_sums(share, x, weight)

    def first_step(
        self, block: Block, start: MixtureParams[P], nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """Return the sums of a block whose rows have labels `nearest` (m,).

        An M-step computes starting values from them. Densities that can be centred sum about the
        locations of `start`, so this M-step needs ``Numerics("float64", True)``.
        """
        x, weight = block.valid()
        density = self.family.density(start.components, CAREFUL)
        return Sums(labelled_sums(density, x, weight, nearest, origin))

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Return sums of a block that do not depend on responsibilities, named ``shared.*``."""
        x, weight = block.valid()
        return Sums(shared_sums(self.family, x, weight, origin))

    def m_step(self, sums: Sums, params: MixtureParams[P], numerics: Numerics) -> MixtureParams[P]:
        """Return new parameters from the sums of a pass with `params` and `numerics`."""
        components = self.family.estimate(sums, params.components, numerics)
        return self._weighed(sums["n"], components)

    def objective(self, sums: Sums, params: MixtureParams[P], numerics: Numerics) -> float:
        """Return log-likelihood plus log-priors of `params`, in nats per unit of weight.

        With hard and tempered assignment, their objective takes the place of the log-likelihood.
        """
        total = float(sums["objective"]) + self.log_prior(params)
        density = READY.density(self.family, params.components, numerics)
        if self.assignment.leaves_base_out(density):
            total += self._shared_base(sums, params, numerics)
        return total / float(sums["weight"]) + self.constant(params, numerics)

    def _shared_base(self, sums: Sums, params: MixtureParams[P], numerics: Numerics) -> float:
        """Return the sum over all rows of the part of the score that all components share: nats."""
        shared = {name[7:]: sums[name] for name in sums if name.startswith("shared.")}
        return self.family.shared_base(params.components, shared, numerics)

    def terms(
        self, sums: Sums, params: MixtureParams[P], new: MixtureParams[P], numerics: Numerics
    ) -> Terms:
        """Return Q before and after the M-step, and H, from the sums alone.

        H is the difference of the objective and Q, divided by the temperature.
        """
        temperature = self.assignment.temperature
        if math.isnan(temperature):
            return Terms()
        objective = self.objective(sums, params, numerics)
        try:
            before, after = (self._expected(sums, params, p, numerics) for p in (params, new))
        except CollapseError:  # The policy for collapses deals with it later.
            return Terms()
        entropy = (objective - before) / temperature if temperature > 0 else 0.0
        return Terms(before, entropy, objective + after - before)

    def expected(self, sums: Sums, params: MixtureParams[P]) -> float:
        """Return Q of `params` as part of the field ``objective``, in nats.

        `sums` are about the origin. Whether the field includes the part of the score that all
        components share depends on the assignment.
        """
        total = self.linear(sums, None, params)
        numerics = Numerics("float64")
        density = READY.density(self.family, params.components, numerics)
        if self.assignment.leaves_base_out(density):
            return total
        return total + self._shared_base(sums, params, numerics)

    def linear(self, sums: Sums, about: Floats | None, params: MixtureParams[P]) -> float:
        """Return the sum of resp * score of `params`, mixture weights included, in nats.

        `sums` are about `about` (k, d), or about the origin if `about` is None.
        """
        numerics = Numerics("float64", centred=about is not None)
        density = READY.density(self.family, params.components, numerics)
        # A component without rows adds nothing, though the logarithm of its weight may be -inf.
        held = sums["n"] > 0
        weights = float(sums["n"][held] @ self.weights.logarithms(params)[held])
        return density.expected(sums["n"], sums["t"], about) + weights

    def _expected(
        self, sums: Sums, pivot: MixtureParams[P], params: MixtureParams[P], numerics: Numerics
    ) -> float:
        """Return Q plus log-prior of `params`, in nats per unit of weight.

        `sums` are those of a pass with the parameters `pivot`.
        """
        about = self.family.locations(pivot.components) if numerics.centred else None
        total = self.linear(sums, about, params)
        total += self._shared_base(sums, params, numerics)
        total += self.log_prior(params)
        return total / float(sums["weight"]) + self.constant(params, numerics)

    def log_prior(self, params: MixtureParams[P]) -> float:
        """Return the log-prior of mixture weights and components, in nats.

        Where these have posteriors, minus the divergence from the prior takes its place.
        """
        return self.weights.log_prior(params) + self.family.log_prior(params.components)

    def constant(self, params: MixtureParams[P], numerics: Numerics) -> float:
        """Return the part of the log-likelihood that is the same for every row, in nats."""
        density = READY.density(self.family, params.components, numerics)
        return density.constant + self.weights.constant(density.n_components)

    def shift(self, params: MixtureParams[P], new: MixtureParams[P]) -> float:
        """Return the sum of squared movements of all locations, in squared units of the data."""
        moved = self.locations(new) - self.locations(params)
        with np.errstate(over="ignore"):
            return min(float(np.sum(moved * moved)), LARGEST_MOVE)

    def unchanged(
        self, sums: Sums, previous: Sums | None, params: MixtureParams[P], new: MixtureParams[P]
    ) -> bool:
        """Return whether two passes with hard assignment gave every row the same label.

        Equal labels give bit-identical sums, because sums are added in a fixed order, and so the
        same parameters. Thus it is enough to compare sums, and no labels have to be stored.
        """
        return previous is not None and all(
            np.array_equal(sums[name], previous[name]) for name in ("n", "t")
        )

    def weak(self, sums: Sums, params: MixtureParams[P]) -> NDArray[np.int64]:
        """Return the indices of collapsed components.

        These have no weight, or a share of the weight below `min_weight`, or are too narrow to
        have a density.
        """
        total = float(sums["weight"])
        light = sums["n"] <= max(self.min_weight, 1e-12) * total
        return np.flatnonzero(light | self.family.collapsed(params.components))

    def explain(
        self,
        block: Block,
        params: MixtureParams[P],
        origin: Floats,
        numerics: Numerics,
        resp: bool = False,
    ) -> Assigned:
        """Return what `assign` does, with scores that lack the `constant` common to all rows."""
        x, _ = block.valid()
        density = READY.density(self.family, params.components, numerics)
        if self.assignment.temperature == 0 and does_whole_blocks(density) and not resp:
            found = density.hard_rows(x, origin, self._log_weight(params, numerics))
            if found is not None:
                return Assigned(*found)
        labels = np.empty(len(x), np.int32)
        value = np.empty(len(x))
        shares = np.empty((len(x), len(params.weights)), numerics.dtype) if resp else None
        for at, tile in self.scored(density, block, params, origin, numerics):
            if shares is not None:
                posterior = tile.score.copy()
                softmax(posterior, tile.offset)
                shares[at] = posterior.T
            labels[at], value[at] = self.assignment.explain(tile)
        return Assigned(labels, value, shares)

    def assign(
        self,
        block: Block,
        params: MixtureParams[P],
        origin: Floats,
        numerics: Numerics,
        resp: bool = False,
    ) -> Assigned:
        """Return labels, log-likelihoods (nats) and, on request, responsibilities of a block."""
        found = self.explain(block, params, origin, numerics, resp)
        return replace(found, score=found.score + self.constant(params, numerics))

    def shown(self, params: MixtureParams[P], numerics: Numerics, resp: bool = False) -> Numerics:
        """Return the arithmetic for what users see: float64, unless the user chose float32."""
        wide = self.precision == "auto" and numerics.dtype == "float32"
        return Numerics("float64") if wide else numerics

    def reseed(
        self, sums: Sums, params: MixtureParams[P], numerics: Numerics, worst: Worst, spread: Spread
    ) -> MixtureParams[P]:
        """Make the M-step, with components `worst.index` reseeded at `worst.rows`, weight 1/k each.

        All weights are scaled afterwards, so that they sum to 1.
        """
        new = self.m_step(sums, params, numerics)
        components = self.family.reseat(new.components, worst.index, worst.rows, spread)
        if new.counts is not None:
            counts = new.counts.copy()
            counts[worst.index] = spread.weight / len(counts)
            return self._weighed(counts, components)
        weights = new.weights.copy()
        weights[worst.index] = 1.0 / len(weights)
        return MixtureParams(weights / weights.sum(), components)

    def take(self, params: MixtureParams[P], index: NDArray[np.int64]) -> MixtureParams[P]:
        """Return parameters of the components `index` only, with weights scaled to sum to 1."""
        components = self.family.take(params.components, index)
        if params.counts is not None:
            return self._weighed(params.counts[index], components)
        weights = params.weights[index]
        return MixtureParams(weights / weights.sum(), components)

    def translate(self, params: MixtureParams[P], shift: Floats) -> MixtureParams[P]:
        """Return parameters of the same mixture, with `shift` (d,) added to every location."""
        return replace(params, components=self.family.translate(params.components, shift))

    def locations(self, params: MixtureParams[P]) -> Floats:
        """Return the locations of the components: (k, d)."""
        return self.family.locations(params.components)
