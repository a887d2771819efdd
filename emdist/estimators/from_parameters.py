"""Fitted models from given parameters: checked, in the units of the data, and nothing is fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emdist.composition.model import (
    CENTRES,
    make_components,
    make_distribution,
    make_family,
    make_model,
)
from emdist.errors import ConfigError
from emdist.estimators.settings import as_floats
from emdist.fit.fitted import Fitted
from emdist.fit.state import Status
from emdist.inputs.arrays import real_array
from emdist.inputs.frames import check_unique, names_in
from emdist.inputs.names import Names
from emdist.inputs.quoting import shown
from emdist.interfaces import Domain, Floats, Spread
from emdist.models.arrays import arrays_of, with_arrays
from emdist.settings.config import ModelSection

#: Weights may sum to 1 up to this, which text with a few digits needs; they are scaled then.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Parameters:
    """A model's parameters, in the units of the data.

    Attributes
    ----------
    locations
        (k, d) where the components lie.
    arrays
        The family's arrays by name, as `arrays_of` has them; what is left out is as at a start.
    weights
        (k,), summing to 1; None where the model has none.
    feature_names
        Of the features, or None.
    own
        Further fields of the parameters, such as ``counts``.
    box
        Of noise: lowest and highest values (d,), (d,).
    """

    locations: Floats
    arrays: Mapping[str, Floats] = field(default_factory=dict)
    weights: Floats | None = None
    feature_names: Names = None
    own: Mapping[str, Any] = field(default_factory=dict)
    box: tuple[Floats, Floats] | None = None

    def fitted(self, section: ModelSection) -> Fitted:
        """The model of `section` at these parameters.

        Raises
        ------
        ConfigError
            If they are none of this model.
        """
        spread = self._spread()
        params = self._placed(section, spread)
        spread = self._told(section, params, spread)
        return Fitted(
            params, spread, math.nan, 0, 0, Status.GIVEN, (), feature_names=self.feature_names
        )

    def _placed(self, section: ModelSection, spread: Spread) -> Any:
        """The model's parameters, once they are known to be some."""
        params = make_model(section, spread).start(self.locations, spread)
        wanted = {name: value.shape for name, value in arrays_of(params.components).items()}
        for name, value in self.arrays.items():
            if wanted.get(name) != value.shape:
                raise ConfigError(
                    f"{name} has shape {value.shape}; wanted {wanted.get(name)} for "
                    f"{len(self.locations)} components and {self.locations.shape[1]} features."
                )
            _check_values(name, value)
        own = dict(self.own)
        if self.weights is not None:
            own["weights"] = self.weights
        params = replace(params, components=with_arrays(params.components, self.arrays), **own)
        if section.name not in CENTRES:
            _check_components(section, params.components)
        return params

    def _spread(self, weight: float = 1.0) -> Spread:
        """Where the components lie; what is not known of the data is left open.

        The origin is 0, so that parameters keep their bits. See `Fitted.numerics` for the
        arithmetic.
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
        """`spread` with the variance of the mixture, which a prior's defaults follow from."""
        if section.name in CENTRES or section.noise is not None:
            return spread
        unfitted = Fitted(params, spread, math.nan, 0, 0, Status.GIVEN, ())
        try:
            covariance = make_distribution(section, unfitted).covariance().total
        except ConfigError:  # The family states no moments.
            return spread
        needed = make_components(section).needs_covariance
        return replace(
            spread, variance=np.diag(covariance).copy(), covariance=covariance if needed else None
        )


def _check_values(name: str, value: Floats) -> None:
    """ConfigError unless the values of a family's array can be what its name says."""
    own = name.rpartition(".")[2]
    if own in ("covariances", "covariance") and value.ndim > 1:
        if not np.allclose(value, np.swapaxes(value, -1, -2), rtol=1e-8, atol=0):
            raise ConfigError(f"{name} is not symmetric; wanted covariance matrices.")
    elif own in ("variances", "covariances", "covariance") and not (value > 0).all():
        raise ConfigError(f"{name} holds {value.min():g}; wanted variances above 0.")
    elif own == "probabilities":
        check_shares(value, name)


def _check_components(section: ModelSection, components: Any) -> None:
    family = make_family(section)
    bad = np.flatnonzero(family.collapsed(components)).tolist()
    if bad:
        raise ConfigError(
            f"The covariances of component(s) {', '.join(map(str, bad[:8]))} are not positive "
            "definite; wanted covariance matrices."
        )
    if (domain := family.domain) is not None:
        means = family.locations(components)
        if np.ndim(domain.high) and np.size(domain.high) != means.shape[1]:
            raise ConfigError(
                f"An option is given for {np.size(domain.high)} features, and the parameters have "
                f"{means.shape[1]}."
            )
        check_means(means, domain)


def check_means(means: Floats, domain: Domain) -> None:
    """ConfigError unless rows of `domain` can have these means (k, d)."""
    low, high = means.min(axis=0), means.max(axis=0)
    bad = (low < np.asarray(domain.low)) | (high > np.asarray(domain.high))
    if bad.any():
        first = int(np.argmax(bad))
        what = domain.what if isinstance(domain.what, str) else domain.what[first]
        raise ConfigError(
            f"The means reach from {low[first]:g} to {high[first]:g} in feature {first}; wanted "
            f"means of {what}."
        )


def check_shares(values: Floats, name: str) -> Floats:
    """`values` >= 0 that sum to 1 along the last axis, to the last bit; ConfigError otherwise."""
    sums = values.sum(axis=-1, keepdims=True)
    if (values < 0).any():
        raise ConfigError(f"{name} holds {values.min():g}; wanted numbers >= 0 that sum to 1.")
    worst = float(sums.flat[int(np.argmax(np.abs(sums - 1)))])
    if abs(worst - 1) > _TOLERANCE:
        raise ConfigError(
            f"{name} sums to {worst:.9g}; wanted 1. Divide it by its sum: {name} / {name}.sum()."
            if values.ndim == 1
            else f"{name} sums to {worst:.9g} along its last axis; wanted 1. Divide it by its sums."
        )
    return values if abs(worst - 1) < 1e-12 else np.asarray(values / sums, np.float64)


def array(value: Any, name: str, shape: Sequence[int | str]) -> Floats:
    """`value` as finite float64 of `shape`, in which texts stand for any number of things."""
    wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    found = real_array(value, name, ConfigError, wanted).shape
    fits = len(found) == len(shape) and all(
        have > 0 if isinstance(want, str) else have == want
        for have, want in zip(found, shape, strict=False)
    )
    if not fits:
        raise ConfigError(f"{name} has shape {found}; wanted {wanted}.")
    return as_floats(value, name, found)


def names_for(given: Sequence[str] | None, table: Any, d: int) -> Names:
    """Names of the features: as given, or the columns of a data frame of means."""
    if given is None:
        found = names_in(table, "the given parameters")
        return found if found is None or len(found) == d else None
    listed = [given] if isinstance(given, str) else list(given)
    if len(listed) != d or not all(isinstance(name, str) for name in listed):
        raise ConfigError(
            f"feature_names has {len(listed)} entries; wanted {d} texts, one for each feature."
        )
    check_unique(listed, "The feature_names")
    return tuple(listed)


def with_number(params: Mapping[str, Any], name: str, number: int) -> dict[str, Any]:
    """Constructor parameters with the number of components; ConfigError if another is asked for."""
    if params.get(name, number) != number:
        raise ConfigError(
            f"{name}={shown(params[name])}, and the parameters are of {number}. Leave {name} out."
        )
    return {**params, name: number}


def weights_of(given: Any, k: int, params: Mapping[str, Any]) -> Floats:
    """Weights (k,) of a mixture, which are all the same with `uniform_weights`."""
    found = check_shares(array(given, "weights", (k,)), "weights")
    if params.get("uniform_weights") and not np.allclose(found, 1 / k):
        raise ConfigError("weights differ, and uniform_weights=True wants all the same; drop one.")
    return found


def unit_spread(d: int) -> Spread:
    """Of no data, for the shapes of parameters."""
    zeros, ones = np.zeros(d), np.ones(d)
    return Spread(zeros, zeros, ones, zeros, ones, ones > 0, 1.0)
