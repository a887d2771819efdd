"""M-steps of the chain of a hidden Markov model: start and transition probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from emdist.interfaces import Floats

#: How start probabilities are estimated.
StartKind = Literal["free", "uniform", "stationary"]
#: The most steps of the search for transitions with a stationary start, and the smallest gain in
#: nats, relative to the counts, for which it goes on.
_STEPS, _GAIN = 500, 1e-15
#: The probability that a state lasts for one more row, where a fit starts.
_LASTING = 0.9


@dataclass(frozen=True)
class ChainEstimate:
    """How start and transition probabilities follow from counts.

    Attributes
    ----------
    start
        "free", "uniform", or "stationary": the distribution that transitions leave unchanged.
    start_prior, transition_prior
        Concentrations of symmetric Dirichlet priors, at least 1: they add so much less 1 to each
        count. Probabilities that are 0 stay 0.
    """

    start: StartKind = "free"
    start_prior: float = 1.0
    transition_prior: float = 1.0

    def of(
        self, initial: Floats, pairs: Floats, start: Floats, transitions: Floats
    ) -> tuple[Floats, Floats]:
        """Return new start (k,) and transition (k, k) probabilities from the counts of a pass.

        `start` and `transitions` are those of the pass. A state that is never left keeps its
        transitions.
        """
        counts = pairs + np.where(transitions > 0, self.transition_prior - 1.0, 0.0)
        new = _shares(counts, transitions)
        if self.start == "uniform":
            return np.full(len(initial), 1.0 / len(initial)), new
        if self.start == "stationary":
            new = _with_stationary_start(initial, counts, new, transitions)
            return stationary(new), new
        extra = np.where(start > 0, self.start_prior - 1.0, 0.0)
        return _shares((initial + extra)[None], start[None])[0], new

    def log_prior(self, start: Floats, transitions: Floats) -> float:
        """Return the logarithm of the priors, without constants, in nats."""
        found = 0.0
        if self.start == "free" and self.start_prior != 1.0:
            found += (self.start_prior - 1.0) * float(np.log(start[start > 0]).sum())
        if self.transition_prior != 1.0:
            held = transitions[transitions > 0]
            found += (self.transition_prior - 1.0) * float(np.log(held).sum())
        return found

    def free_parameters(self, transitions: Floats, start: Floats) -> int:
        """Return the number of free parameters: probabilities of 0 are none."""
        own = int(np.count_nonzero(start)) - 1 if self.start == "free" else 0
        return own + int(np.count_nonzero(transitions)) - len(transitions)


def lasting(k: int) -> Floats:
    """Return the transitions (k, k) from which a fit starts: a state lasts ten rows on average.

    From equal transitions, fits end more often at a lower likelihood: without a memory, EM first
    moves the states as it would those of a mixture.
    """
    if k == 1:
        return np.ones((1, 1))
    found = np.full((k, k), (1.0 - _LASTING) / (k - 1))
    np.fill_diagonal(found, _LASTING)
    return found


def _shares(counts: Floats, before: Floats) -> Floats:
    """Return each row of `counts` divided by its sum, or that of `before` if the sum is 0."""
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, counts / total, before)


def stationary(transitions: Floats) -> Floats:
    """Return the distribution (k,) that transitions (k, k) leave unchanged.

    If there are several, it is the average over time from a uniform start, approximately.
    """
    k = len(transitions)
    system = np.eye(k) - transitions + 1.0
    try:
        found = np.linalg.solve(system.T, np.ones(k))
    except np.linalg.LinAlgError:
        found = np.full(k, np.nan)
    if not np.isfinite(found).all() or (found < -1e-9).any():
        # Several closed sets of states: a small leak to all states makes the solution unique.
        leaking = transitions * (1 - 1e-9) + 1e-9 / k
        found = np.linalg.solve((np.eye(k) - leaking + 1.0).T, np.ones(k))
    found = np.maximum(found, 0.0)
    return np.asarray(found / found.sum())


def _with_stationary_start(
    initial: Floats, counts: Floats, transitions: Floats, before: Floats
) -> Floats:
    """Return transitions that maximise counts and initial counts of a stationary start together.

    The search begins at the plain M-step, or at the transitions before it if they are better, so
    that the objective cannot fall. Each step adds to the counts what the start gains from each
    transition: ``pi_i (Z r)_j``, with the fundamental matrix Z and r = initial / pi. Steps that do
    not gain are damped.
    """

    def value(a: Floats) -> float:
        pi = stationary(a)
        held, used = initial > 0, counts > 0
        with np.errstate(divide="ignore"):
            return float(initial[held] @ np.log(pi[held]) + counts[used] @ np.log(a[used]))

    best = max((transitions, before), key=value)
    reached = value(best)
    scale = max(1.0, float(counts.sum()))
    damping = 1.0
    for _ in range(_STEPS):
        pi = stationary(best)
        k = len(pi)
        fundamental = np.linalg.pinv(np.eye(k) - best + np.outer(np.ones(k), pi))
        gain = fundamental @ np.where(initial > 0, initial / np.maximum(pi, 1e-300), 0.0)
        gain = gain - gain.min()
        gained = False
        while damping < 1e12:
            extra = pi[:, None] * best * (gain[None, :] + (damping - 1.0))
            new = _shares(counts + extra, best)
            if (now := value(new)) > reached:
                gained = now - reached > _GAIN * scale
                best, reached = new, now
                damping = max(1.0, damping / 4)
                break
            damping *= 4
        if not gained:
            return best
    return best
