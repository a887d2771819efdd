"""Check given parameters, in the units of the data, and make a fitted model without a fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emdist import composition, fit, models
from emdist.errors import ConfigError
from emdist.estimators.settings import as_floats
from emdist.inputs.arrays import real_array
from emdist.inputs.frames import check_unique, names_in
from emdist.inputs.names import Names
from emdist.inputs.quoting import shown
from emdist.interfaces import Domain, Floats, Spread

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.settings.config import ModelSection

#: How far from 1 the sum of weights may be, because text holds few digits. They are then scaled.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Parameters:
    """The parameters of a model, in the units of the data.

    Attributes
    ----------
    locations
        (k, d) locations of the components, such as means.
    arrays
        The family's arrays by name, as `arrays_of` returns them. Arrays that are left out get their
        starting values.
    weights
        (k,) mixture weights, summing to 1; None for a model without weights.
    feature_names
        Names of the features, or None.
    own
        Further fields of the model's parameters, such as ``counts``.
    box
        The range of the noise component: lowest values (d,) and highest values (d,).
    """

    locations: Floats
    arrays: Mapping[str, Floats] = field(default_factory=dict)
    weights: Floats | None = None
    feature_names: Names = None
    own: Mapping[str, Any] = field(default_factory=dict)
    box: tuple[Floats, Floats] | None = None

    def fitted(self, section: ModelSection) -> Fitted:
        """Make the fitted model of `section` with these parameters.

        Raises
        ------
        ConfigError
            If the model cannot have such parameters.
        """
        spread = self._spread()
        params = self._placed(section, spread)
        spread = self._told(section, params, spread)
        return fit.fitted.Fitted(
            params,
            spread,
            math.nan,
            0,
            0,
            fit.state.Status.GIVEN,
            (),
            feature_names=self.feature_names,
        )

    def _placed(self, section: ModelSection, spread: Spread) -> Any:
        """Return the model's own form of the parameters, after checking them."""
        params = composition.model.make_model(section, spread).start(self.locations, spread)
        wanted = {
            name: value.shape for name, value in models.arrays.arrays_of(params.components).items()
        }
        for name, value in self.arrays.items():
            if wanted.get(name) != value.shape:
                raise ConfigError(
                    f"{name} has shape {value.shape}; expected {wanted.get(name)} for "
                    f"{len(self.locations)} components and {self.locations.shape[1]} features."
                )
            _check_values(name, value)
        own = dict(self.own)
        if self.weights is not None:
            own["weights"] = self.weights
        params = replace(
            params, components=models.arrays.with_arrays(params.components, self.arrays), **own
        )
        if section.name not in composition.model.CENTRES:
            _check_components(section, params.components)
        return params

    def _spread(self, weight: float = 1.0) -> Spread:
        """Estimate means, variances and ranges of the data from the components' locations.

        The origin is 0, so that subtracting it changes no bit of the parameters.
        `Fitted.numerics` says which arithmetic follows.
        """
        at = self.locations
        share = np.full(len(at), 1 / len(at)) if self.weights is None else self.weights
        share = share / share.sum()
        mean = share @ at
        variance = share @ (at - mean) ** 2
        low, high = self.box or (at.min(axis=0), at.max(axis=0))
        zeros = np.zeros(at.shape[1])
        return Spread(zeros, mean, variance, low, high, zeros > 0, weight)

    def _told(self, section: ModelSection, params: Any, spread: Spread) -> Spread:
        """Return `spread` with the variance of the mixture, from which priors take defaults."""
        if section.name in composition.model.CENTRES or section.noise is not None:
            return spread
        unfitted = fit.fitted.Fitted(params, spread, math.nan, 0, 0, fit.state.Status.GIVEN, ())
        try:
            covariance = composition.model.make_distribution(section, unfitted).covariance().total
        except ConfigError:  # The family has no moments.
            return spread
        needed = composition.model.make_components(section).needs_covariance
        return replace(
            spread, variance=np.diag(covariance).copy(), covariance=covariance if needed else None
        )


def _check_values(name: str, value: Floats) -> None:
    """Check that an array holds values that its name allows, else ConfigError."""
    own = name.rpartition(".")[2]
    if own in ("covariances", "covariance") and value.ndim > 1:
        if not np.allclose(value, np.swapaxes(value, -1, -2), rtol=1e-8, atol=0):
            raise ConfigError(f"{name} is not symmetric; expected covariance matrices.")
    elif own in ("variances", "covariances", "covariance") and not (value > 0).all():
        raise ConfigError(f"{name} holds {value.min():g}; expected variances above 0.")
    elif own == "probabilities":
        check_shares(value, name)


def _check_components(section: ModelSection, components: Any) -> None:
    family = composition.model.make_family(section)
    bad = np.flatnonzero(family.collapsed(components)).tolist()
    if bad:
        raise ConfigError(
            f"The covariances of component(s) {', '.join(map(str, bad[:8]))} are not positive "
            "definite; expected covariance matrices."
        )
    if (domain := family.domain) is not None:
        means = family.locations(components)
        if np.ndim(domain.high) and np.size(domain.high) != means.shape[1]:
            raise ConfigError(
                f"An option has values for {np.size(domain.high)} features, but the parameters "
                f"have {means.shape[1]} features."
            )
        check_means(means, domain)


def check_means(means: Floats, domain: Domain) -> None:
    """Check that rows of `domain` can have these means (k, d), else ConfigError."""
    low, high = means.min(axis=0), means.max(axis=0)
    bad = (low < np.asarray(domain.low)) | (high > np.asarray(domain.high))
    if bad.any():
        first = int(np.argmax(bad))
        what = domain.what if isinstance(domain.what, str) else domain.what[first]
        raise ConfigError(
            f"The means of feature {first} range from {low[first]:g} to {high[first]:g}; "
            f"expected means of {what}."
        )


def check_shares(values: Floats, name: str) -> Floats:
    """Check that `values` >= 0 sum to 1 along the last axis, and return them scaled to that."""
    sums = values.sum(axis=-1, keepdims=True)
    if (values < 0).any():
        raise ConfigError(f"{name} holds {values.min():g}; expected numbers >= 0 that sum to 1.")
    worst = float(sums.flat[int(np.argmax(np.abs(sums - 1)))])
    if abs(worst - 1) > _TOLERANCE:
        raise ConfigError(
            f"{name} sums to {worst:.9g}; expected 1. Divide it by its sum: {name} / {name}.sum()."
            if values.ndim == 1
            else f"{name} sums to {worst:.9g} along its last axis; expected 1. Divide it by its "
            "sums."
        )
    return values if abs(worst - 1) < 1e-12 else np.asarray(values / sums, np.float64)


def array(value: Any, name: str, shape: Sequence[int | str]) -> Floats:
    """Return `value` as finite float64; a text in `shape` allows any length >= 1 of that axis."""
    wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    found = real_array(value, name, ConfigError, wanted).shape
    fits = len(found) == len(shape) and all(
        have > 0 if isinstance(want, str) else have == want
        for have, want in zip(found, shape, strict=False)
    )
    if not fits:
        raise ConfigError(f"{name} has shape {found}; expected {wanted}.")
    return as_floats(value, name, found)


def names_for(given: Sequence[str] | None, table: Any, d: int) -> Names:
    """Return the names of the features: those given, or the columns of a data frame of means."""
    if given is None:
        found = names_in(table, "the given parameters")
        return found if found is None or len(found) == d else None
    listed = [given] if isinstance(given, str) else list(given)
    if len(listed) != d or not all(isinstance(name, str) for name in listed):
        raise ConfigError(
            f"feature_names has {len(listed)} entries; expected {d} texts, one for each feature."
        )
    check_unique(listed, "The feature_names")
    return tuple(listed)


def with_number(params: Mapping[str, Any], name: str, number: int) -> dict[str, Any]:
    """Add the number of components to `params`; ConfigError if they name another number."""
    if params.get(name, number) != number:
        raise ConfigError(
            f"{name}={shown(params[name])}, but the parameters are for {number}. Leave {name} out."
        )
    return {**params, name: number}


def weights_of(given: Any, k: int, params: Mapping[str, Any]) -> Floats:
    """Check mixture weights (k,) and return them; with `uniform_weights` all must be equal."""
    found = check_shares(array(given, "weights", (k,)), "weights")
    if params.get("uniform_weights") and not np.allclose(found, 1 / k):
        raise ConfigError(
            "The weights differ, but uniform_weights=True needs equal weights. Remove "
            "one of the two."
        )
    return found


def unit_spread(d: int) -> Spread:
    """Make a spread of standardised data with `d` features, which only sets array shapes."""
    zeros, ones = np.zeros(d), np.ones(d)
    return Spread(zeros, zeros, ones, zeros, ones, ones > 0, 1.0)
