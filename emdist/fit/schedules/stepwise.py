"""Stepwise EM: sums averaged over groups of blocks with a falling step size, then batch EM.

Cappe and Moulines 2009, "On-line expectation-maximization algorithm for latent data models",
JRSS B 71(3); Liang and Klein 2009, "Online EM for unsupervised models", NAACL, equation 4:

    s <- (1 - eta_t) s + eta_t s_group,  eta_t = (t + 2)^-alpha.

Sums are per unit of weight, and the parameters are the M-step of s. The first group gives the
first s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from emdist.fit.block_groups import Groups, check_steady
from emdist.fit.fit import Fit
from emdist.fit.online import Folded, Passes, online_step, scaled
from emdist.fit.state import FitState
from emdist.interfaces import Model
from emdist.sums import Sums


@dataclass(frozen=True)
class Averaged:
    """Folds sums: old ones shrink by the factor 1 - eta, and those of a group enter with eta.

    Attributes
    ----------
    weight
        The weight of all rows, to which sums are scaled so that priors keep their size.
    alpha
        How fast eta falls.
    """

    weight: float
    alpha: float

    def __call__(self, folded: Sums | None, group: Sums, groups: int) -> Sums:
        if folded is None:
            return scaled(group, self.weight)
        eta = (groups + 2.0) ** -self.alpha
        return scaled(folded, (1 - eta) * self.weight) + scaled(group, eta * self.weight)


@dataclass(frozen=True)
class Stepwise:
    """Online passes, which get most of the way, then batch EM, which ends at a fixed point.

    Attributes
    ----------
    passes
        The number of online passes over all rows before batch iterations.
    alpha
        In (0.5, 1]: near 0.5 old sums are forgotten soonest, at 1 all count the same.
    groups
        The number of groups of blocks, and so of M-steps in an online pass. By default 16, or the
        number of blocks if that is smaller.
    stream
        Whether the rows are part of a stream. The fit then ends after the online passes, and keeps
        its statistics: a run that starts from it (fit.from) goes on with them.
    """

    passes: Passes = 2
    alpha: Annotated[float, Field(gt=0.5, le=1)] = 0.7
    groups: Groups = None
    stream: bool = False

    @property
    def memory(self) -> type[Folded]:
        """The type that holds the averaged sums."""
        return Folded

    def check(self, model: Model[Any]) -> None:
        """Raise ConfigError unless sums add and the assignment never changes."""
        check_steady(model, "stepwise")

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Make an online pass, or after `passes` of them a batch iteration."""
        fold = Averaged(fit.survey.spread.weight, self.alpha)
        return online_step(fit, state, self.passes, self.groups, fold, self.stream)


schedule = Stepwise
