"""Hidden Markov models: states that emit rows by a family, and follow one another as a chain."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Components
from emdist.interfaces import (
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
from emdist.models.chains.estimates import ChainEstimate, lasting
from emdist.models.chains.messages import Messages, links_of, messages_of
from emdist.models.chains.params import HiddenMarkovParams
from emdist.models.chains.paths import BestPath
from emdist.models.chains.smoothing import Chain
from emdist.models.chains.tiles import Emitted
from emdist.models.mixture import Mixture
from emdist.models.params import MixtureParams
from emdist.models.ready import READY
from emdist.sums import Sums

P = TypeVar("P")


@dataclass(frozen=True)
class HiddenMarkov(Generic[P]):
    """A hidden Markov model: ``start[z_1] prod_t transitions[z_t, z_t+1] prod_t p(x_t | z_t)``.

    Sums are those of a mixture, with smoothed posteriors for responsibilities, and the expected
    counts of first states and of transitions. Rows that are left out, or have no value, keep their
    time step.

    Attributes
    ----------
    mixture
        The mixture of the states, whose family, precision and policies it shares. Its weights are
        not used.
    chain
        How start and transition probabilities are estimated.
    hard
        Whether the most probable path takes the place of all paths (Viterbi training).
    """

    mixture: Mixture[P]
    chain: ChainEstimate = field(default_factory=ChainEstimate)
    hard: bool = False

    minimises: ClassVar[bool] = False
    settled: ClassVar[bool] = True
    #: Counts of transitions that were added and scaled would be those of another chain.
    additive: ClassVar[bool] = False

    @property
    def family(self) -> Components[P]:
        """The family of the emissions."""
        return self.mixture.family

    @property
    def domain(self) -> Domain | None:
        """The values that features can have, or None for any real numbers."""
        return self.mixture.domain

    def cells(self, d: int) -> Cells | None:
        """Return the family's groups of features; see `Traits.cells`."""
        return self.mixture.cells(d)

    @property
    def missing(self) -> bool:
        """Whether NaN is a missing value."""
        return self.mixture.missing

    @property
    def approximation(self) -> str:
        """Why the M-step misses the exact maximum; empty if it does not."""
        return self.mixture.approximation

    @property
    def temperature(self) -> float:
        """1 for all paths, 0 for the best path."""
        return 0.0 if self.hard else 1.0

    @property
    def squares(self) -> bool:
        """Whether squares of the features are added up."""
        return self.mixture.squares

    def at(self, iteration_index: IterationIndex) -> HiddenMarkov[P]:
        """Return the model itself: all iterations are alike."""
        return self

    def with_missing(self) -> HiddenMarkov[P]:
        """Return the model for rows with missing values; ConfigError if the family has none."""
        return replace(self, mixture=self.mixture.with_missing())

    def start(self, seeds: Floats, spread: Spread) -> HiddenMarkovParams[P]:
        """Return states at `seeds` (k, d), which all begin and change equally often."""
        k = len(seeds)
        components = self.family.start(seeds, spread)
        equal = np.full(k, 1.0 / k)
        return HiddenMarkovParams(equal, components, start=equal, transitions=lasting(k))

    def numerics(self, params: MixtureParams[P], spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """Return the cheapest arithmetic that is accurate enough for these parameters."""
        return self.mixture.numerics(params, spread, dtype)

    def _emitted(
        self, block: Block, params: MixtureParams[P], origin: Floats, numerics: Numerics
    ) -> Emitted:
        density = READY.density(self.family, params.components, numerics)
        return Emitted(density, block, origin, numerics)

    def messages(
        self,
        block: Block,
        params: HiddenMarkovParams[P],
        origin: Floats,
        numerics: Numerics,
        shown: bool,
    ) -> Messages:
        """Return the messages of the sequences that the block cuts.

        `shown` says that they are for `assign`, which needs sums over paths and the best path.
        """
        rows = self._emitted(block, params, origin, numerics)
        kinds = (False, True) if shown else (self.hard,)
        found = [messages_of(rows, params, hard) for hard in kinds]
        return Messages(tuple(one for each in found for one in each.found))

    def linked(self, params: HiddenMarkovParams[P], messages: Messages) -> HiddenMarkovParams[P]:
        """Return `params` for a pass whose blocks cut sequences with these messages."""
        return replace(params, links=links_of(messages, False), path_links=links_of(messages, True))

    def e_step(
        self, block: Block, params: HiddenMarkovParams[P], origin: Floats, numerics: Numerics
    ) -> Sums:
        """Return the sums of one block.

        They are ``n`` (k,), ``t`` (k, width), ``initial`` (k,), ``transitions`` (k, k),
        ``objective`` and ``weight``.
        """
        rows = self._emitted(block, params, origin, numerics)
        density, k = rows.density, len(params.start)
        n, t = np.zeros(k), np.zeros((k, density.width))
        value = 0.0
        counted: Chain | BestPath
        if self.hard:
            counted = path = BestPath(rows, params)
            for tile, labels in path.tiles():
                own, sums = density.scatter(tile.x, tile.t, labels, tile.counting)
                n += own
                t += sums
            value = path.value
        else:
            counted = Chain(rows, params)
            for each in counted.smoothed():
                tile = each.tile
                own, sums = tile.gathered(each.resp)
                n += own
                t += sums
                own_value = each.value
                value += float(own_value @ tile.weight if len(tile.weight) else own_value.sum())
        _, weight = block.valid()
        rows_seen = len(block.x) if block.mask is None else int(np.count_nonzero(block.mask))
        return Sums({
            "n": n, "t": t, "initial": counted.initial, "transitions": counted.transitions,
            "objective": np.array(value),
            "weight": np.array(float(rows_seen) if weight is None else float(weight.sum())),
        })  # fmt: skip

    def first_step(
        self,
        block: Block,
        start: HiddenMarkovParams[P],
        nearest: NDArray[np.int32],
        origin: Floats,
    ) -> Sums:
        """Return the sums of a block whose rows have labels `nearest`, without transitions.

        So a fit keeps the transitions that it starts from: labels of rows one by one would show
        too many.
        """
        sums = self.mixture.first_step(block, start, nearest, origin)
        k = len(start.start)
        return Sums({**sums.fields, "initial": np.zeros(k), "transitions": np.zeros((k, k))})

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Return sums of a block that do not depend on posteriors."""
        return self.mixture.shared_step(block, origin)

    def m_step(
        self, sums: Sums, params: HiddenMarkovParams[P], numerics: Numerics
    ) -> HiddenMarkovParams[P]:
        """Return new parameters from the sums of a pass with `params` and `numerics`."""
        components = self.family.estimate(sums, params.components, numerics)
        start, transitions = self.chain.of(
            sums["initial"], sums["transitions"], params.start, params.transitions
        )
        total = float(sums["n"].sum())
        weights = sums["n"] / total if total > 0 else params.weights
        return HiddenMarkovParams(weights, components, start=start, transitions=transitions)

    def objective(self, sums: Sums, params: HiddenMarkovParams[P], numerics: Numerics) -> float:
        """Return log-likelihood, or that of the best paths, plus log-priors, per unit of weight."""
        density = READY.density(self.family, params.components, numerics)
        shared = {name[7:]: sums[name] for name in sums if name.startswith("shared.")}
        total = float(sums["objective"]) + self.log_prior(params)
        total += self.family.shared_base(params.components, shared, numerics)
        return total / float(sums["weight"]) + density.constant

    def log_prior(self, params: HiddenMarkovParams[P]) -> float:
        """Return the log-prior of the chain and of the states, in nats."""
        own = self.chain.log_prior(params.start, params.transitions)
        return own + self.family.log_prior(params.components)

    def expected(self, sums: Sums, params: HiddenMarkovParams[P]) -> float:
        """Raise TypeError: only whole passes fit a hidden Markov model."""
        raise TypeError("sums of a hidden Markov model belong to one set of parameters")

    def terms(
        self,
        sums: Sums,
        params: HiddenMarkovParams[P],
        new: HiddenMarkovParams[P],
        numerics: Numerics,
    ) -> Terms:
        """Return no terms: the entropy of paths is not among the sums."""
        return Terms()

    def shift(self, params: HiddenMarkovParams[P], new: HiddenMarkovParams[P]) -> float:
        """Return the sum of the squared movements of all locations."""
        return self.mixture.shift(params, new)

    def unchanged(
        self,
        sums: Sums,
        previous: Sums | None,
        params: HiddenMarkovParams[P],
        new: HiddenMarkovParams[P],
    ) -> bool:
        """Return whether two passes gave every row the same state, on the best path."""
        return (
            self.hard
            and previous is not None
            and all(
                np.array_equal(sums[name], previous[name])
                for name in ("n", "t", "initial", "transitions")
            )
        )

    def weak(self, sums: Sums, params: HiddenMarkovParams[P]) -> NDArray[np.int64]:
        """Return the indices of collapsed states."""
        return self.mixture.weak(sums, params)

    def assign(
        self,
        block: Block,
        params: HiddenMarkovParams[P],
        origin: Floats,
        numerics: Numerics,
        resp: bool = False,
    ) -> Assigned:
        """Return the most probable path, log-likelihoods of rows and, on request, posteriors.

        The log-likelihood of a row is that given the rows before it, in nats, so that their sum is
        that of the sequences. Posteriors are given all rows.
        """
        rows = self._emitted(block, params, origin, numerics)
        labels = np.empty(len(block.x), np.int32)
        for tile, path in BestPath(rows, params).tiles():
            labels[tile.first : tile.first + len(path)] = path
        score = np.zeros(len(block.x))
        shares = np.empty((len(block.x), len(params.start))) if resp else None
        bare = replace(block, weight=None)
        for each in Chain(replace(rows, block=bare), params).smoothed():
            at = slice(each.tile.first, each.tile.first + len(each.value))
            score[at] = each.value + rows.density.base(each.tile.x) + rows.density.constant
            if shares is not None:
                shares[at] = each.resp.T
        if block.mask is not None:
            labels, score = labels[block.mask], score[block.mask]
            shares = None if shares is None else shares[block.mask]
        return Assigned(labels, score, shares)

    def filtered(
        self, block: Block, params: HiddenMarkovParams[P], origin: Floats, numerics: Numerics
    ) -> Floats:
        """Return the posteriors of all rows of a block given the rows up to each: (n, k)."""
        rows = self._emitted(block, params, origin, numerics)
        found = np.empty((len(block.x), len(params.start)))
        for each in Chain(rows, params).smoothed():
            found[each.tile.first : each.tile.first + len(each.value)] = each.filtered
        return found

    def shown(
        self, params: HiddenMarkovParams[P], numerics: Numerics, resp: bool = False
    ) -> Numerics:
        """Return the arithmetic for what users see: float64."""
        return replace(numerics, dtype="float64")

    def reseed(
        self,
        sums: Sums,
        params: HiddenMarkovParams[P],
        numerics: Numerics,
        worst: Worst,
        spread: Spread,
    ) -> HiddenMarkovParams[P]:
        """Make the M-step, with states `worst.index` reseeded at `worst.rows`.

        They get equal transitions, except where a transition is 0.
        """
        new = self.m_step(sums, params, numerics)
        components = self.family.reseat(new.components, worst.index, worst.rows, spread)
        transitions, k = new.transitions.copy(), len(new.start)
        for i in worst.index:
            transitions[i] = np.where(params.transitions[i] > 0, 1.0 / k, 0.0)
            column = np.maximum(transitions[:, i], 1.0 / k)
            transitions[:, i] = np.where(params.transitions[:, i] > 0, column, 0.0)
        transitions /= transitions.sum(axis=1, keepdims=True)
        return replace(new, components=components, transitions=transitions)

    def take(self, params: HiddenMarkovParams[P], index: NDArray[np.int64]) -> Any:
        """Return parameters of the states `index` only, with probabilities that sum to 1."""
        k = len(index)
        weights, start = params.weights[index], params.start[index]
        transitions = params.transitions[np.ix_(index, index)]
        total = transitions.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            transitions = np.where(total > 0, transitions / total, 1.0 / k)
        return HiddenMarkovParams(
            weights / weights.sum() if weights.sum() > 0 else np.full(k, 1.0 / k),
            self.family.take(params.components, index),
            start=start / start.sum() if start.sum() > 0 else np.full(k, 1.0 / k),
            transitions=transitions,
        )

    def ordered(self, params: HiddenMarkovParams[P]) -> HiddenMarkovParams[P]:
        """Return the same model with its states in the order of their locations."""
        order = np.lexsort(self.locations(params).T[::-1]).astype(np.int64)
        return replace(
            params,
            weights=params.weights[order],
            components=self.family.take(params.components, order),
            start=params.start[order],
            transitions=np.ascontiguousarray(params.transitions[np.ix_(order, order)]),
        )

    def translate(self, params: HiddenMarkovParams[P], shift: Floats) -> HiddenMarkovParams[P]:
        """Return parameters of the same model, with `shift` (d,) added to every location."""
        return replace(params, components=self.family.translate(params.components, shift))

    def locations(self, params: HiddenMarkovParams[P]) -> Floats:
        """Return the locations of the states: (k, d)."""
        return self.mixture.locations(params)
