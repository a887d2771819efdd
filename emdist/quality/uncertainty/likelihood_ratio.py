"""Likelihood-ratio bootstrap: is there one more component than the model has?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from emdist.composition.make import make_plan
from emdist.composition.model import make_family
from emdist.composition.recipe import Recipe
from emdist.errors import ConfigError
from emdist.fit.events import Listener, Progress, unheard
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.inputs.names import naming
from emdist.interfaces import Block, Engine, Floats, Source
from emdist.models.params import MixtureParams
from emdist.quality.uncertainty.information import check_smooth
from emdist.quality.uncertainty.replicates import advance, converging
from emdist.settings.config import ModelSection
from emdist.store.sources.plan import block_bounds

#: Marks the random numbers of draws.
_PURPOSE = 0x6C726274
#: Nats of the likelihood ratio that a fit may miss because it has not converged.
_MISSED = 0.01


@dataclass(frozen=True, eq=False)
class LikelihoodRatio:
    """The test of k components against k + 1.

    Attributes
    ----------
    components
        k, the number of components of the model.
    statistic
        Twice the log of the likelihood ratio of k + 1 components and k, in nats.
    drawn
        That of each sample that was drawn from the model: (b,).
    passes
        The number of passes over the rows. Samples are drawn and not read.
    """

    components: int
    statistic: float
    drawn: Floats
    passes: int

    @property
    def p_value(self) -> float:
        """How often k components give so large a ratio: (1 + number of larger ones) / (b + 1)."""
        return float((1 + (self.drawn >= self.statistic).sum()) / (len(self.drawn) + 1))


@dataclass(frozen=True, eq=False)
class DrawnSource:
    """Rows that are drawn from a mixture where they are read, the same ones each time.

    Attributes
    ----------
    section, params, origin
        The model, and its parameters relative to the origin (d,).
    bounds
        The block plan: the first row of each block, then n.
    key
        What random numbers follow from: seed and replicate.
    """

    section: ModelSection
    params: MixtureParams[Any]
    origin: Floats
    bounds: Sequence[int]
    key: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and features."""
        return int(self.bounds[-1]), len(self.origin)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the rows."""
        return np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @cached_property
    def _family(self) -> Any:
        return make_family(self.section)

    def read(self, i: int) -> Block:
        """Return block `i`, drawn."""
        a, n = int(self.bounds[i]), int(self.bounds[i + 1] - self.bounds[i])
        rng = np.random.default_rng([_PURPOSE, *self.key, i])
        weights = self.params.weights / self.params.weights.sum()
        own = rng.choice(len(weights), n, p=weights)
        x = np.empty((n, len(self.origin)))
        for k, count in enumerate(np.bincount(own, minlength=len(weights))):
            if count:
                x[own == k] = self._family.sample(self.params.components, k, int(count), rng)
        return Block(i, a, x + self.origin)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the rows follow from."""
        return {"kind": "drawn", "shape": list(self.shape), "key": list(self.key)}


def likelihood_ratio(
    recipe: Recipe,
    reference: Fitted,
    source: Source,
    engine: Engine,
    number: int,
    n_init: int,
    seed: int,
    listen: Listener = unheard,
) -> LikelihoodRatio:
    """Test the components of a fitted mixture against one more, by a parametric bootstrap.

    Samples are drawn from the fitted model; k and k + 1 components are fitted to each of them, as
    to the rows (McLachlan 1987, "On bootstrapping the likelihood ratio test statistic for the
    number of components in a normal mixture", Applied Statistics 36).

    Parameters
    ----------
    recipe, reference, source, engine, listen
        See `refitted`.
    number
        The number of samples.
    n_init
        The number of restarts of k + 1 components. k components start from the model.
    seed
        The random seed.

    Raises
    ------
    ConfigError
        If the model has no likelihood to compare, or its rows weights or missing values.
    """
    check_testable(recipe, source)
    observed, passes = _ratio(recipe, reference, source, engine, n_init, seed, listen)
    rows, width = int(reference.spread.weight), reference.n_features
    bounds = block_bounds(rows, 8 * width, 1, None)
    drawn = np.empty(number)
    for b in range(number):
        listen(Progress("likelihood ratio", b, number))
        rows_of = DrawnSource(
            recipe.section, reference.params, reference.spread.origin, bounds, (seed, b)
        )
        drawn[b] = _ratio(recipe, reference, rows_of, engine, n_init, seed + b, unheard)[0]
    listen(Progress("likelihood ratio", number, number))
    return LikelihoodRatio(reference.n_components, observed, drawn, passes)


def check_testable(recipe: Recipe, source: Source) -> None:
    """Raise ConfigError unless samples like the rows of `source` can be drawn from the model."""
    section = recipe.section
    remedy = "Compare numbers of components by a criterion, in a sweep."
    check_smooth(section, "The likelihood-ratio bootstrap", remedy)
    if section.noise is not None or section.missing or weighted(source):
        raise ConfigError(
            "The likelihood-ratio bootstrap draws complete rows from the components alone, but the "
            f"model has noise, missing values or sample weights. {remedy}"
        )


def weighted(source: Any) -> bool:
    """Return whether the rows of a source have sample weights."""
    while source is not None:
        if getattr(source, "weight", None) is not None:
            return True
        source = getattr(source, "source", None)
    return False


def _ratio(
    recipe: Recipe, reference: Fitted, source: Source, engine: Engine, n_init: int, seed: int,
    listen: Listener,
) -> tuple[float, int]:  # fmt: skip
    """Return twice the log-likelihood ratio, which is at least 0, and the number of passes."""
    weight = reference.spread.weight
    settings = converging(recipe, _MISSED / max(weight, 1.0))
    more = recipe.section.model_copy(update={"n_components": reference.n_components + 1})
    less = recipe.section.model_copy(update={"n_components": reference.n_components})
    recipes = [
        replace(recipe, section=less, fit=settings),
        replace(recipe, section=more, fit=settings.model_copy(update={"n_init": 1})),
    ]
    with naming(source):
        plans = [make_plan(one, source, engine, Given()) for one in recipes]
        survey = engine.map_reduce(plans[1].survey, range(len(source)))
        fits: list[Fit] = [plan.setup(survey) for plan in plans]
        fits += [fits[1]] * (n_init - 1)
        moved = reference.spread.origin - survey.spread.origin
        begin = fits[0].model.translate(reference.params, moved)
        states = [FitState(seed, params=begin), *(FitState(seed + j) for j in range(n_init))]
        passes = advance(fits, states, listen)
    found = [state.best.objective for state in states if state.best is not None]
    return max(0.0, 2 * survey.spread.weight * (max(found[1:]) - found[0])), passes + 1
