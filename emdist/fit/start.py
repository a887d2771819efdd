"""Starting values that the user gives: means, weights and covariances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emdist.errors import StartError
from emdist.fit.seeding import Seeder, Seeding
from emdist.inputs.quoting import shown
from emdist.interfaces import Domain, Floats, Model, Spread
from emdist.models.arrays import arrays_of, with_arrays
from emdist.models.chains.estimates import stationary


@dataclass(frozen=True)
class Reached:
    """The last objective of a fit and its change; NaN if there is nothing to compare with.

    Attributes
    ----------
    objective
        The objective of the parameters that entered an iteration.
    change
        The change of the objective since the iteration before.
    """

    objective: float = math.nan
    change: float = math.nan


@dataclass(frozen=True, eq=False)
class Earlier:
    """An earlier fit, from which a warm start goes on.

    Attributes
    ----------
    reached
        The objective of its last iteration, and its change.
    spread
        The spread of the rows that it read.
    params
        The parameters that it ended with.
    memory
        What its schedule keeps for the next rows of a stream, relative to the origin of `spread`;
        None if it is no stream.
    """

    reached: Reached
    spread: Spread
    params: Any
    memory: Any = None

    def reached_on(self, spread: Spread) -> Reached:
        """Return what it reached if `spread` shows no difference of the rows, or else NaN."""
        own = self.spread
        same = own.weight == spread.weight and all(
            np.array_equal(a, b)
            for a, b in (
                (own.origin, spread.origin),
                (own.mean, spread.mean),
                (own.variance, spread.variance),
                (own.low, spread.low),
                (own.high, spread.high),
            )
        )
        return self.reached if same else Reached()


@dataclass(frozen=True, eq=False)
class Given:
    """Starting values that replace what a seeder finds, in the units of the data.

    Attributes
    ----------
    means
        (k, d), or None to let a seeder choose them. For a family whose parameters are no means,
        such as categorical and products, these are rows to start at.
    weights
        Mixture weights (k,) that sum to 1, or None.
    scales
        The family's other arrays by name, such as ``covariances`` (k, d, d), or
        ``parts.0.variances`` of a product.
    chain
        Start and transition probabilities of a hidden Markov model, as ``start`` (k,) and
        ``transitions`` (k, k).
    earlier
        The fit that all of these come from and that goes on; None for a new fit.
    """

    means: Floats | None = None
    weights: Floats | None = None
    scales: Mapping[str, Floats] = field(default_factory=dict)
    earlier: Earlier | None = None
    chain: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def seeder(self) -> Seeder | None:
        """The given means as seeds: the rest is estimated from the rows nearest to them."""
        if self.means is None:
            return None
        means = self.means

        def choose(seeding: Seeding, k: int) -> Floats:
            return means - seeding.survey.spread.origin

        return Seeder(choose, clusters=True)

    def places(self, model: Model[Any], d: int) -> bool:
        """Return whether it places the components, so that no rows are needed as seeds."""
        return self.means is not None or self.complete(model, d)

    def complete(self, model: Model[Any], d: int) -> bool:
        """Return whether nothing is left to be seeded, for rows of `d` features."""
        if model.minimises:
            return self.means is not None
        given = set(self.scales) | ({"means"} if self.means is not None else set())
        names = arrays_of(_template(model, np.zeros((1, d))))
        weighed = self.weights is not None or hasattr(model, "chain")
        return weighed and set(names) <= given

    def over(self, params: Any, model: Model[Any], spread: Spread) -> Any:
        """Return `params` with the given values in place of the seeded ones."""
        if self.means is None and self.weights is None and not (self.scales or self.chain):
            return params
        if params is None:
            # Everything is given, so these starting values are all replaced below.
            arrays = (self.means, self.weights, *self.chain.values(), *self.scales.values())
            k = len(next(a for a in arrays if a is not None))
            params = model.start(np.zeros((k, len(spread.origin))), spread)
        if self.weights is not None:
            weights = self.weights / self.weights.sum()
            counts = None if params.counts is None else weights * spread.weight
            params = replace(params, weights=weights, counts=counts)
        if self.chain:
            params = replace(params, **_whole_chain(self.chain, model))
        if self.earlier is not None:
            params = _with_rest(params, self.earlier.params)
        given = dict(self.scales) | ({} if self.means is None else {"means": self.means})
        placed = replace(params, components=with_arrays(params.components, given))
        moved = arrays_of(model.translate(placed, -spread.origin).components)
        given = {name: moved[name] for name in given if name in moved}
        return replace(params, components=with_arrays(params.components, given))

    def check(self, model: Model[Any], k: int, d: int) -> None:
        """Raise StartError unless every given array has the shape that `model` needs."""
        _check_chain(self.chain, model, k)
        if self.means is None and self.weights is None and not self.scales:
            return
        template = _template(model, np.zeros((k, d)))
        wanted = {name: value.shape for name, value in arrays_of(template).items()}
        given = dict(self.scales)
        if self.means is not None:
            given["means"] = self.means
            wanted.setdefault("means", (k, d))
        for name, value in given.items():
            if name not in wanted:
                raise StartError(
                    f"The starting values contain {name!r}, which this model does not have. It "
                    f"has weights, {', '.join(wanted)}."
                )
            _check_array(name, value, wanted[name], f"{k} components and {d} features")
            _check_widths(name, value)
        if self.means is not None and model.domain is not None:
            _check_domain(self.means, model.domain)
        if self.weights is not None:
            _check_array("weights", self.weights, (k,), f"{k} components")
            if (self.weights < 0).any() or abs(self.weights.sum() - 1) > 1e-6:
                raise StartError(
                    f"The starting weights are {self.weights.tolist()[:8]}; expected numbers "
                    ">= 0 that sum to 1."
                )

    def check_reach(self, spread: Spread) -> None:
        """Raise StartError for means so far from the data that squared distances overflow."""
        if self.means is None or self.means.shape[1:] != spread.origin.shape:
            return  # `check` reports the wrong shape.
        with np.errstate(over="ignore", invalid="ignore"):
            placed = self.means - spread.origin
            far = np.maximum(np.abs(placed - spread.low), np.abs(placed - spread.high))
            squares = (far**2).sum(axis=1)
            # Every row belongs to some component, so the nearest one could own all of them.
            whole = squares.min() * spread.weight
        lost = np.flatnonzero(~np.isfinite(squares))
        if (not len(lost) and np.isfinite(whole)) or not np.isfinite(self.means).all():
            return
        i = int(lost[0]) if len(lost) else int(squares.argmin())
        j = int(np.argmax(far[i]))
        raise StartError(
            f"The starting mean of component {i} is {self.means[i, j]:g} in feature {j}, but the "
            f"data range from {spread.origin[j] + spread.low[j]:g} to "
            f"{spread.origin[j] + spread.high[j]:g}. Squared distances overflow. Choose starting "
            "means near the data."
        )


def _whole_chain(chain: Mapping[str, Floats], model: Any) -> Mapping[str, Floats]:
    """Return probabilities that sum to 1, with the start that belongs to stationary chains."""
    found = {name: value / value.sum(axis=-1, keepdims=True) for name, value in chain.items()}
    if "transitions" in found and model.chain.start == "stationary":
        found["start"] = stationary(found["transitions"])
    return found


def _check_chain(chain: Mapping[str, Floats], model: Any, k: int) -> None:
    """Raise StartError unless `chain` has probabilities of `k` states."""
    for name, own, shape in (("start", "startprob", (k,)), ("transitions", "transmat", (k, k))):
        if name not in chain:
            continue
        if not hasattr(model, "chain"):
            raise StartError(
                f"The starting values contain {own!r}, which only hidden Markov models have."
            )
        value = chain[name]
        _check_array(own, value, shape, f"{k} states")
        if (value < 0).any() or (abs(value.sum(axis=-1) - 1) > 1e-6).any():
            raise StartError(
                f"The starting {own} are {shown(value.tolist())}; expected numbers >= 0 that sum "
                "to 1" + (" in each row." if name == "transitions" else ".")
            )


def _with_rest(params: Any, earlier: Any) -> Any:
    """Return `params` with what no estimator attribute holds: posterior counts and noise."""
    if params.counts is not None and earlier.counts is not None:
        params = replace(params, counts=earlier.counts)
    share = getattr(earlier, "noise", None)
    return (
        replace(params, noise=share) if hasattr(params, "noise") and share is not None else params
    )


def _template(model: Model[Any], means: Floats) -> Any:
    """Return components with arrays of the right shapes, for rows of d features."""
    d = means.shape[1]
    zeros, ones = np.zeros(d), np.ones(d)
    unit = Spread(zeros, zeros, ones, zeros, ones, ones > 0, 1.0)
    return model.start(means, unit).components


def _check_domain(means: Floats, domain: Domain) -> None:
    low, high = means.min(axis=0), means.max(axis=0)
    bad = (low < np.asarray(domain.low)) | (high > np.asarray(domain.high))
    if bad.any():
        first = int(np.argmax(bad))
        what = domain.what if isinstance(domain.what, str) else domain.what[first]
        raise StartError(
            f"The starting means range from {low[first]:g} to {high[first]:g} in feature {first}; "
            f"expected means of {what}."
        )


def _check_array(name: str, value: Floats, shape: tuple[int, ...], why: str) -> None:
    if value.shape != shape:
        raise StartError(
            f"The starting {name} have shape {value.shape}; expected {shape} for {why}."
        )
    if not np.isfinite(value).all():
        raise StartError(f"The starting {name} contain NaN or infinity; expected finite numbers.")


def _check_widths(name: str, value: Floats) -> None:
    """Raise StartError unless covariances are symmetric positive definite and variances > 0."""
    kind = name.rpartition(".")[2]
    if kind == "variances" and not (value > 0).all():
        i = int(np.argwhere(~(value > 0))[0][0])
        raise StartError(
            f"The starting {name} of component {i} contain {value[i].min():g}; expected numbers "
            "> 0."
        )
    if kind not in ("covariance", "covariances"):
        return
    for i, one in enumerate(value if value.ndim == 3 else value[None]):
        whose = f"The starting {name}" + (f" of component {i}" if value.ndim == 3 else "")
        if not np.allclose(one, one.T, rtol=1e-5, atol=1e-8 * np.abs(one).max()):
            raise StartError(f"{whose} is not symmetric; expected a covariance matrix.")
        try:
            np.linalg.cholesky(one)
        except np.linalg.LinAlgError:
            raise StartError(
                f"{whose} is not positive definite; expected a covariance matrix, with all "
                "eigenvalues > 0."
            ) from None
