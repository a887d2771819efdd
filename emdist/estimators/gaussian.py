"""`GaussianEstimator`, base class of Gaussian mixtures: covariance types, precisions, priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from emdist import families
from emdist.errors import ConfigError, StartError
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import array
from emdist.estimators.mixture import MixtureEstimator
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.inputs.quoting import shown
from emdist.interfaces import Floats
from emdist.parameters.choices import CovarianceType

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.settings.config import ModelSection

#: scikit-learn's name of a covariance type -> our family.
FAMILIES: dict[CovarianceType, str] = {
    "full": "full",
    "tied": "tied",
    "diag": "diagonal",
    "spherical": "spherical",
}
_SCALE = {
    "full": "covariances",
    "tied": "covariance",
    "diag": "variances",
    "spherical": "variances",
}

#: Other accepted names of covariance types -> scikit-learn's names.
_ALSO = {"diagonal": "diag"}
_KINDS = {family: kind for kind, family in FAMILIES.items()}
#: Covariance types without covariances between features.
_NARROW = ("diag", "spherical")
#: Prefix of the names of families that have a posterior.
VARIATIONAL = "variational_"

#: Parameter of a prior -> key of the family's option `prior`.
PRIOR = {
    "mean_prior": "mean",
    "mean_precision_prior": "mean_precision",
    "degrees_of_freedom_prior": "degrees_of_freedom",
    "covariance_prior": "covariance",
}


@parameters()
class GaussianEstimator(MixtureEstimator):
    """Base class of the mixtures of Gaussians."""

    means_ = Learned[Floats]()
    covariances_ = Learned[Floats]()
    precisions_ = Learned[Floats]()
    precisions_cholesky_ = Learned[Floats]()

    _: KW_ONLY
    covariance_type: CovarianceType = "full"
    reg_covar: float = 1e-6
    mean_precision_prior: float | None = None
    mean_prior: ArrayLike | None = None
    degrees_of_freedom_prior: float | None = None
    covariance_prior: ArrayLike | None = None
    weight_concentration_prior: float | None = None
    verbose_interval: int = 10

    def _family(self) -> str:
        """Return the name of the family; ConfigError if `covariance_type` is unknown."""
        kind = self._kind
        if not isinstance(kind, str) or kind not in FAMILIES:
            raise ConfigError(
                f"covariance_type={shown(kind)}; expected one of {', '.join(FAMILIES)}."
            )
        return FAMILIES[kind]

    @property
    def _kind(self) -> Any:
        """`covariance_type`, by scikit-learn's name."""
        kind = self.covariance_type
        return _ALSO.get(kind, kind) if isinstance(kind, str) else kind

    @property
    def _scale(self) -> str:
        """The family's name for its array of covariances."""
        return _SCALE[self._kind]

    def _prior(self, d: int) -> dict[str, Any]:
        """Return the family's option `prior` that the parameters describe; empty without any."""
        given = {PRIOR[name]: getattr(self, name) for name in PRIOR}
        shape = {"full": (d, d), "tied": (d, d), "diag": (d,), "spherical": ()}
        for name, wanted in (("mean", (d,)), ("covariance", shape[self._kind])):
            if given[name] is not None:
                given[name] = _listed(given[name], f"{name}_prior", wanted)
        for name, low in (("mean_precision", 0), ("degrees_of_freedom", self._least_degrees(d))):
            if given[name] is not None:
                given[name] = above(given[name], f"{name}_prior", low)
        return {name: value for name, value in given.items() if value is not None}

    def _least_degrees(self, d: int) -> int:
        """Return the number that the degrees of freedom of a prior must exceed."""
        return d - 1 if self._kind in ("full", "tied") else 0

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        components, kind = fitted.params.components, kind_of(section)
        covariances = getattr(components, _SCALE[kind])
        root = _cholesky_of_precisions(covariances, kind)
        return {
            **super()._attributes(fitted, section),
            "means_": components.means + fitted.spread.origin,
            "covariances_": covariances,
            "precisions_cholesky_": root,
            "precisions_": root * root if kind in _NARROW else root @ np.swapaxes(root, -1, -2),
        }


def kind_of(section: ModelSection) -> CovarianceType:
    """Return scikit-learn's name of a model's covariance type."""
    return _KINDS[section.name.removeprefix(VARIATIONAL)]


def covariances_of(
    given: Any, params: Mapping[str, Any], k: int, d: int, name: str = "covariances"
) -> dict[str, Floats]:
    """Return the covariances under the family's name for them; ConfigError for a wrong shape.

    `name` is the parameter that gives them.
    """
    kind = params.get("covariance_type", "full")
    kind = _ALSO.get(kind, kind) if isinstance(kind, str) else kind
    shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
    if kind not in shapes:
        raise ConfigError(f"covariance_type={shown(kind)}; expected one of {', '.join(shapes)}.")
    found = np.shape(given)
    if found != shapes[kind] and (fitting := [n for n, s in shapes.items() if s == found]):
        raise ConfigError(
            f"{name} has shape {found}, but covariance_type={kind!r} needs {shapes[kind]}. "
            f"Give covariance_type={fitting[0]!r}."
        )
    return {_SCALE[kind]: array(given, name, shapes[kind])}


def checked_share(value: Any, name: str) -> float:
    """Return `value` as a float strictly between 0 and 1; ConfigError if it is not one."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not 0 < value < 1
    ):
        raise ConfigError(f"{name}={value!r}; expected a number between 0 and 1.")
    return float(value)


def _cholesky_of_precisions(covariances: Floats, kind: str) -> Floats:
    """Compute Cholesky factors of the precisions, in the shape of the covariance type."""
    if kind in _NARROW:
        return np.asarray(1.0 / np.sqrt(covariances), np.float64)
    if kind == "tied":
        return np.asarray(families.gaussian.base.factors(covariances[None])[0][0], np.float64)
    return families.gaussian.base.factors(covariances)[0]


def prior_parameters(section: ModelSection) -> dict[str, Any]:
    """Return the parameters of a stored model's prior, with `reg_covar`."""
    options: Mapping[str, Any] = section.options
    prior = options.get("prior") or {}
    found = {name: prior[key] for name, key in PRIOR.items() if key in prior}
    if "reg_covar" in options:
        found["reg_covar"] = options["reg_covar"]
    if section.weights_options.get("concentration") is not None:
        found["weight_concentration_prior"] = section.weights_options["concentration"]
    return found


def above(value: Any, name: str, low: float) -> float:
    """Return `value` as a finite float above `low`; ConfigError if it is not one."""
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or not low < value < np.inf:
        raise ConfigError(f"{name}={value!r}; expected a number above {low:g}, or None.")
    return float(value)


def _listed(value: Any, name: str, shape: tuple[int, ...]) -> Any:
    try:
        found = as_floats(value, name, shape)
    except StartError as error:
        raise ConfigError(str(error)) from None
    return found.tolist()
