"""A mixture of any family, softly or hardly assigned: the one E-step and the one M-step."""

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
    Numerics,
    Spread,
    Terms,
    Turn,
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
    """``sum_k weight_k p(x | k)``.

    Attributes
    ----------
    family
        The distribution of a component.
    assignment
        Soft, hard, tempered or stochastic.
    weights
        How the weights are estimated.
    precision
        Of tiles: "auto" takes the data's own and moves to float64, and to centred sums, where
        rounding would show.
    min_weight
        A component below this share of the total weight counts as collapsed.
    missing
        Whether the family is one of incomplete rows. `with_missing` makes it so.
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
        """What the family's features can be."""
        return self.family.domain

    def cells(self, d: int) -> Cells | None:
        """The family's, where it has any."""
        stated = getattr(self.family, "cells", None)
        return None if stated is None else stated(d)

    @property
    def approximation(self) -> str:
        """The family's."""
        return self.family.approximation

    @property
    def settled(self) -> bool:
        """The assignment's."""
        return self.assignment.settled

    @property
    def temperature(self) -> float:
        """The assignment's."""
        return self.assignment.temperature

    #: Statistics of an exponential family are sums over rows.
    additive: ClassVar[bool] = True

    @property
    def squares(self) -> bool:
        """Of the components, or of the K-means that a start is seeded by."""
        return True

    def at(self, turn: Turn) -> Mixture[P]:
        """The mixture as its assignment works in one turn."""
        assignment = self.assignment.at(turn)
        return self if assignment is self.assignment else replace(self, assignment=assignment)

    def with_missing(self) -> Mixture[P]:
        """The same mixture for rows whose NaN are missing at random; ConfigError if it has none."""
        return replace(self, family=self.family.with_missing(), missing=True)

    def start(self, seeds: Floats, spread: Spread) -> MixtureParams[P]:
        """Equal weights, components at `seeds` (k, d)."""
        k = len(seeds)
        components = self.family.start(seeds, spread)
        if self.weights.keeps_counts:
            return self._weighed(np.full(k, spread.weight / k), components)
        return MixtureParams(np.full(k, 1.0 / k), components)

    def _weighed(self, n: Floats, components: P) -> MixtureParams[P]:
        """`components` with the weights that follow from the weight `n` (k,) of their rows."""
        counts = n if self.weights.keeps_counts else None
        return MixtureParams(self.weights.estimate(n), components, counts)

    def numerics(self, params: MixtureParams[P], spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """The cheapest arithmetic that keeps the promised digits for these parameters."""
        growth = READY.amplification(self.family, params.components, spread)
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
        """Tiles of the rows that count, with their scores, and where they lie among them.

        `density` is the family's of `params`: to make it may mean k factorisations.
        """
        log_weight = self._log_weight(params, numerics)
        return scored_tiles(density, block, origin, numerics, log_weight)

    def logits(self, params: MixtureParams[P], numerics: Numerics) -> Logits | None:
        """What responsibilities are the softmax of; None if of no such thing."""
        density = READY.density(self.family, params.components, numerics)
        return self.assignment.logits(density, self._log_weight(params, numerics))

    def _log_weight(self, params: MixtureParams[P], numerics: Numerics) -> Array:
        return self.weights.logarithms(params).astype(numerics.dtype)

    def e_step(
        self,
        block: Block,
        params: MixtureParams[P],
        origin: Floats,
        numerics: Numerics,
        seen: Callable[[Tile], None] | None = None,
    ) -> Sums:
        """Sums of one block: ``n`` (k,), ``t`` (k, width), ``objective`` and ``weight``.

        `seen` is told of every tile once the assignment has shared it out.
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
        """Sums of one block for rows already labelled with `nearest` (m,): the M-step's start.

        Taken about the locations of `start`, so the estimate wants ``Numerics("float64", True)``.
        """
        x, weight = block.valid()
        density = self.family.density(start.components, CAREFUL)
        return Sums(labelled_sums(density, x, weight, nearest, origin))

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Statistics of one block that no responsibility enters, named ``shared.*``."""
        x, weight = block.valid()
        return Sums(shared_sums(self.family, x, weight, origin))

    def m_step(self, sums: Sums, params: MixtureParams[P], numerics: Numerics) -> MixtureParams[P]:
        """New parameters from the sums of a pass with `params` and `numerics`."""
        components = self.family.estimate(sums, params.components, numerics)
        return self._weighed(sums["n"], components)

    def objective(self, sums: Sums, params: MixtureParams[P], numerics: Numerics) -> float:
        """Log-likelihood and log-priors per unit of weight of `params`: nats."""
        total = float(sums["objective"]) + self.log_prior(params)
        if self.assignment.leaves_base_out:
            total += self._shared_base(sums, params, numerics)
        return total / float(sums["weight"]) + self.constant(params, numerics)

    def _shared_base(self, sums: Sums, params: MixtureParams[P], numerics: Numerics) -> float:
        shared = {
            name.removeprefix("shared."): sums[name] for name in sums if name.startswith("shared.")
        }
        return self.family.shared_base(params.components, shared, numerics)

    def terms(
        self, sums: Sums, params: MixtureParams[P], new: MixtureParams[P], numerics: Numerics
    ) -> Terms:
        """Q before and after the M-step, from the sums alone; H is what the objective adds."""
        temperature = self.assignment.temperature
        if math.isnan(temperature):
            return Terms()
        objective = self.objective(sums, params, numerics)
        try:
            before, after = (self._expected(sums, params, p, numerics) for p in (params, new))
        except CollapseError:  # Left to the policy.
            return Terms()
        entropy = (objective - before) / temperature if temperature > 0 else 0.0
        return Terms(before, entropy, objective + after - before)

    def expected(self, sums: Sums, params: MixtureParams[P]) -> float:
        """Q of `params` as the field ``objective`` counts it, from sums about the origin: nats."""
        total = self.linear(sums, None, params)
        if self.assignment.leaves_base_out:
            return total
        return total + self._shared_base(sums, params, Numerics("float64"))

    def linear(self, sums: Sums, about: Floats | None, params: MixtureParams[P]) -> float:
        """Sum of resp * score of `params`, weights included, from sums about `about`: nats."""
        numerics = Numerics("float64", centred=about is not None)
        density = READY.density(self.family, params.components, numerics)
        held = sums["n"] > 0
        weights = float(sums["n"][held] @ self.weights.logarithms(params)[held])
        return density.expected(sums["n"], sums["t"], about) + weights

    def _expected(
        self, sums: Sums, pivot: MixtureParams[P], params: MixtureParams[P], numerics: Numerics
    ) -> float:
        """Q of `params` and log-prior per unit of weight, from a pass with `pivot`: nats."""
        about = self.family.locations(pivot.components) if numerics.centred else None
        total = self.linear(sums, about, params)
        total += self._shared_base(sums, params, numerics)
        total += self.log_prior(params)
        return total / float(sums["weight"]) + self.constant(params, numerics)

    def log_prior(self, params: MixtureParams[P]) -> float:
        """Of weights and components, or minus their posteriors' divergences: nats."""
        return self.weights.log_prior(params) + self.family.log_prior(params.components)

    def constant(self, params: MixtureParams[P], numerics: Numerics) -> float:
        """What every row's log-likelihood has in common: nats."""
        density = READY.density(self.family, params.components, numerics)
        return density.constant + self.weights.constant(density.n_components)

    def shift(self, params: MixtureParams[P], new: MixtureParams[P]) -> float:
        """Sum of squared movements of the locations."""
        moved = self.locations(new) - self.locations(params)
        with np.errstate(over="ignore"):
            return min(float(np.sum(moved * moved)), LARGEST_MOVE)

    def unchanged(
        self, sums: Sums, previous: Sums | None, params: MixtureParams[P], new: MixtureParams[P]
    ) -> bool:
        """Whether two hard passes gave every row the same label, judged by their sums.

        Equal labels give the same sums to the last bit, because sums are added in a fixed order,
        and so the same parameters; comparing sums therefore needs no memory of labels.
        """
        return previous is not None and all(
            np.array_equal(sums[name], previous[name]) for name in ("n", "t")
        )

    def weak(self, sums: Sums, params: MixtureParams[P]) -> NDArray[np.int64]:
        """Components without weight, below `min_weight`, or too narrow for a density."""
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
        """As `assign`, its score without the `constant` that all rows have in common."""
        x, _ = block.valid()
        density = READY.density(self.family, params.components, numerics)
        if self.assignment.temperature == 0 and does_whole_blocks(density) and not resp:
            log_weight = self._log_weight(params, numerics)
            return Assigned(*density.hard_rows(x, origin, log_weight))
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
        """Labels, log-likelihoods (nats) and, on request, responsibilities of a block."""
        found = self.explain(block, params, origin, numerics, resp)
        return replace(found, score=found.score + self.constant(params, numerics))

    def shown(self, params: MixtureParams[P], numerics: Numerics, resp: bool = False) -> Numerics:
        """In float64, unless float32 was asked for."""
        wide = self.precision == "auto" and numerics.dtype == "float32"
        return Numerics("float64") if wide else numerics

    def reseed(
        self, sums: Sums, params: MixtureParams[P], numerics: Numerics, worst: Worst, spread: Spread
    ) -> MixtureParams[P]:
        """The M-step with components `worst.index` started anew at `worst.rows`, weight 1/k."""
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
        """Only components `index`, their weights scaled to 1."""
        components = self.family.take(params.components, index)
        if params.counts is not None:
            return self._weighed(params.counts[index], components)
        weights = params.weights[index]
        return MixtureParams(weights / weights.sum(), components)

    def translate(self, params: MixtureParams[P], shift: Floats) -> MixtureParams[P]:
        """The same mixture with every location moved by `shift` (d,)."""
        return replace(params, components=self.family.translate(params.components, shift))

    def locations(self, params: MixtureParams[P]) -> Floats:
        """(k, d) where the components lie."""
        return self.family.locations(params.components)
