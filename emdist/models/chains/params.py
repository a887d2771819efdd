"""The parameters of a hidden Markov model, and what a pass knows of cut sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from emdist.interfaces import Block, Floats
from emdist.models.params import MixtureParams

P = TypeVar("P")

#: Transitions and start probabilities from here on are computed with scaled probabilities.
LEAST_SCALED = 1e-60


@dataclass(frozen=True)
class Link:
    """What the other blocks say of a block whose first or last sequence is cut.

    Attributes
    ----------
    before
        Logarithms of the filtered probabilities (k,) of the row before the block, or None if the
        block begins with a sequence.
    after
        The logarithm of the backward message (k,) at the last row, or None if a sequence ends
        there.
    """

    before: Floats | None = None
    after: Floats | None = None


@dataclass(frozen=True)
class HiddenMarkovParams(MixtureParams[P]):
    """The parameters of a hidden Markov model.

    Attributes
    ----------
    weights
        The share of the rows in each state, (k,), summing to 1. No score depends on it.
    start
        The probability that a sequence begins in each state, (k,).
    transitions
        The probability of each next state, given the state of a row: (k, k), rows sum to 1.
    links, path_links
        What the blocks of a pass know of sequences that are cut, by the index of the block: for
        sums over all paths, and for the most probable path.
    """

    start: Floats = field(kw_only=True)
    transitions: Floats = field(kw_only=True)
    links: Mapping[int, Link] = field(
        default_factory=dict, kw_only=True, metadata={"stored": False}
    )
    path_links: Mapping[int, Link] = field(
        default_factory=dict, kw_only=True, metadata={"stored": False}
    )

    @property
    def scaled(self) -> bool:
        """Whether probabilities that are scaled in each row suffice; otherwise logarithms."""
        return bool(self.transitions.min() >= LEAST_SCALED)


def link_of(block: Block, links: Mapping[int, Link]) -> Link:
    """Return what the other blocks say of `block`; TypeError if they should, and do not."""
    found = links.get(block.index)
    if found is None and block.pieces is not None and block.pieces.cut:
        raise TypeError(f"block {block.index} cuts a sequence, but the pass has no links")
    return found or Link()


def logarithms(probabilities: Floats) -> Floats:
    """Return the logarithms of probabilities, -inf for 0."""
    with np.errstate(divide="ignore"):
        found: Floats = np.log(probabilities)
    return found
