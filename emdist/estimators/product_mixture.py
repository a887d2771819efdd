"""Mixture of products: mixed data, each group of features of its own family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np

from emdist.composition.model import make_family
from emdist.errors import ConfigError
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import (
    Parameters,
    array,
    names_for,
    unit_spread,
    weights_of,
    with_number,
)
from emdist.estimators.mixture import Criteria
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.fit.fitted import Fitted
from emdist.fit.start import Given
from emdist.inputs.arrays import plain
from emdist.interfaces import Array, Floats
from emdist.models.arrays import arrays_of
from emdist.settings.config import FitSection, ModelSection


@parameters()
class ProductMixture(Criteria):
    """Mixture for mixed data by EM, exact and out of core: Hunt and Jorgensen 1999.

    Given the component, groups of features are independent, and each has its own family.

    Parameters
    ----------
    n_components
        Components.
    groups
        One mapping for each group: ``columns`` (indices, or a range as "3:40"), ``family`` (by the
        name it has in a configuration) and, if wanted, its ``options``. Every feature is in exactly
        one group, or in `ignored`. None, the default, is one group of all features, of diagonal
        Gaussians.
    ignored
        Indices of features that the model does not look at.
    tol
        Of the bound per row: nats.
    max_iter, n_init
        Iterations of one start at most, and starts.
    init_params
        "standardised" (K-means on a sample, every feature in units of its deviation), or as in
        `GaussianMixture`, in the units of the data: then scale real features first.
    weights_init, means_init
        A start: (k,), and (k, d) rows to start at.
    uniform_weights
        Keep all weights at 1 / n_components.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start, on_collapse, assignment, assignment_options, schedule, schedule_options
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_
        (k,).
    means_
        (k, d) where the components lie: means, and expected codes of categories.
    parts_
        One mapping for each group: the family's arrays by name, such as ``means``, ``variances`` or
        ``probabilities``.
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood, and log-prior if a part has one, per
        unit of weight: nats.
    n_features_in_, history_
        As in `GaussianMixture`.

    Examples
    --------
    >>> from emdist import ProductMixture
    >>> X = [[0.0, 1], [0.2, 1], [0.1, 1], [9.0, 0], [9.2, 0], [9.1, 0]]
    >>> groups = [
    ...     {"columns": [0], "family": "diagonal"},
    ...     {"columns": [1], "family": "bernoulli"},
    ... ]
    >>> fitted = ProductMixture(2, groups=groups, random_state=0).fit(X)
    >>> sorted(fitted.means_[:, 0].round(1).tolist())
    [0.1, 9.1]
    """

    means_ = Learned[Floats]()
    parts_ = Learned[list[dict[str, Array]]]()

    _: KW_ONLY
    groups: Any = None
    ignored: Any = ()
    init_params: str = "standardised"
    means_init: Any = None

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        # It has no parameter for noise, which only a configuration gives it.
        return section.name == "product" and section.noise is None

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        """An estimator that is not fitted, with the parameters that `section` amounts to."""
        return cls(
            section.n_components,
            groups=section.options["groups"],
            ignored=section.options.get("ignored", ()),
            precision=section.precision,
            uniform_weights=section.weights_name == "uniform",
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        groups = self.groups
        if groups is None:
            ignored = set(plain(self.ignored, "ignored") or ())
            rest = [j for j in range(n_features) if j not in ignored]
            groups = [{"columns": rest, "family": "diagonal"}]
        options = {"groups": groups, "ignored": self.ignored}
        model = self._model_section("product", options, self.uniform_weights)
        make_family(model)  # Groups are checked before a start is held to their shape.
        return model, self._fit_section(), self._start(model, n_features)

    def _start(self, model: ModelSection, d: int) -> Given:
        if self._is_warm(model, d):
            fitted = self._fitted
            moved = make_family(self._section).translate(
                fitted.params.components, fitted.spread.origin
            )
            return Given(None, fitted.params.weights, arrays_of(moved))
        k = model.n_components
        weights, means = self.weights_init, self.means_init
        return Given(
            None if means is None else as_floats(means, "means_init", (k, d)),
            None if weights is None else as_floats(weights, "weights_init", (k,)),
        )

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        family, origin = make_family(section), fitted.spread.origin
        moved = family.translate(fitted.params.components, origin)
        return {
            **super()._attributes(fitted, section),
            "means_": family.locations(moved),
            "parts_": [arrays_of(part) for part in moved.parts],
        }

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        parts: Sequence[Mapping[str, Any]],
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """A fitted estimator of given parameters, which predicts, scores, draws, saves and labels.

        Parameters
        ----------
        weights
            (k,) >= 0 that sum to 1.
        parts
            As `parts_`: one mapping for each group, the family's arrays by name.
        feature_names
            Names of the features, if they have any.
        params
            Of the constructor: give the `groups`, and `ignored` if there are such features.

        Raises
        ------
        ConfigError
            If these are no parameters of such a mixture.
        """
        own = weights_of(weights, len(array(weights, "weights", ("n_components",))), params)
        params = with_number(params, "n_components", len(own))
        if params.get("groups") is None:
            raise ConfigError("groups is missing; wanted one mapping for each of the parts.")
        family: Any = make_family(cls(**params)._sections(0)[0])
        arrays = {
            f"parts.{i}.{name}": array(value, f"parts[{i}][{name!r}]", np.shape(value))
            for i, part in enumerate(parts)
            for name, value in part.items()
        }
        d = family.n_features
        template = arrays_of(family.start(np.zeros((len(own), d)), unit_spread(d)))
        if missing := sorted(template.keys() ^ arrays.keys()):
            raise ConfigError(
                f"parts and groups do not fit each other in {', '.join(missing[:6])}; wanted "
                f"{', '.join(template)}."
            )
        return cls._made(
            Parameters(np.zeros((len(own), d)), arrays, own, names_for(feature_names, None, d)),
            **params,
        )


estimator = ProductMixture
