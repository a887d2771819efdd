"""`MixtureDistribution`: a mixture in the units of the data, with densities, draws and moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.components import Family
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, DataError, DomainError, FeatureNamesError, ShapeError
from emdist.families.closures import HasMoments, Marginals
from emdist.inputs.frames import index_names
from emdist.inputs.names import Match, Names, both, match
from emdist.inputs.quoting import shown
from emdist.inputs.validation import whole_number
from emdist.interfaces import Floats, Source
from emdist.mixtures.answers import Answer, InMemory
from emdist.mixtures.convolution import convolved
from emdist.mixtures.draws import check_draws
from emdist.mixtures.inputs import (
    Which,
    check_columns,
    checked_rows,
    feature_index,
    observed_values,
    unstated,
)
from emdist.mixtures.tasks import Explain, Regress
from emdist.models.mixture import Mixture
from emdist.models.params import MixtureParams
from emdist.store.sources.arrays import array_source


@dataclass(frozen=True, eq=False)
class Covariance:
    """The covariance of a mixture in two parts, in squared units of the data.

    The parts are those of the law of total variance.

    Attributes
    ----------
    within
        The mean of the components' covariances, (d, d): ``sum_k weight_k Sigma_k``.
    between
        The covariance of their means, (d, d): ``sum_k weight_k (mu_k - mu) (mu_k - mu)^T``.
    """

    within: Floats
    between: Floats

    @property
    def total(self) -> Floats:
        """The covariance of a row: (d, d)."""
        return self.within + self.between


@dataclass(frozen=True, eq=False)
class MixtureDistribution:
    """The distribution ``p(x) = sum_k weight_k p(x | k)``.

    It never changes. Operations such as `marginal` return new distributions. Rows are scored in
    tiles, in float64 and about each component's own mean, so that results for data far from zero
    are accurate.

    Attributes
    ----------
    family
        The family of the components.
    weights
        The mixture weights, (k,), all >= 0 and summing to 1.
    components
        The parameters of the components, in the units of the data.
    feature_names
        The names of the features, or None. Data frames must have the same names.
    """

    family: Family[Any]
    weights: Floats
    components: Any
    feature_names: Names = None

    def __post_init__(self) -> None:
        shape, k = self.weights.shape, len(self.family.locations(self.components))
        if shape != (k,):
            raise ShapeError(
                f"weights have shape {shape}; expected ({k},), one for each component."
            )
        if not ((self.weights >= 0).all() and abs(self.weights.sum() - 1) < 1e-6):
            raise ConfigError(
                f"weights={shown(self.weights)}; expected numbers >= 0 that sum to 1."
            )

    @property
    def n_components(self) -> int:
        """Number of components, k."""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        """Number of features, d."""
        return int(self.family.locations(self.components).shape[1])

    def log_density(self, x: Any) -> Floats:
        """Return log p of each row of `x` (n, d) in nats: (n,).

        Raises
        ------
        DataError
            If `x` is not a matrix of finite numbers, has other features or columns in another
            order, or contains values that the family cannot produce.
        """
        found = self._explained(x)
        score: Floats = found.shaped(found.value.score, "log_density", np.nan)
        return score

    def density(self, x: Any) -> Floats:
        """Return p of each row of `x` (n, d): (n,). For discrete features it is a probability."""
        found = self._explained(x)
        density: Floats = found.shaped(np.exp(found.value.score), "density", np.nan)
        return density

    def labels(self, x: Any) -> NDArray[np.int32]:
        """Return the index of the most probable component of each row of `x` (n, d): (n,)."""
        found = self._explained(x)
        labels: NDArray[np.int32] = found.shaped(found.value.labels, "labels", -1)
        return labels

    def responsibilities(self, x: Any) -> Floats:
        """Return p(k | x) of each row of `x` (n, d): (n, k). The result must fit into memory."""
        found = self._explained(x, resp=True)
        columns = ("component", np.arange(self.n_components))
        resp: Floats = found.shaped(found.value.resp, "responsibilities", np.nan, columns)
        return resp

    def sample(self, n: int, seed: Any = None) -> tuple[Floats, NDArray[np.int64]]:
        """Return `n` independent draws (n, d), and the component of each draw (n,).

        Parameters
        ----------
        n
            The number of draws, at least 1.
        seed
            An integer, which gives the same draws each time, a ``numpy.random.Generator``, or
            None for different draws each time.
        """
        n = whole_number(n, "n", 1)
        if isinstance(seed, bool | np.bool_ | float | str):
            raise ConfigError(f"seed={shown(seed)}; expected an integer, a Generator, or None.")
        check_draws(n, self.n_features, "n")
        rng = np.random.default_rng(seed)
        labels = rng.choice(self.n_components, n, p=self.weights / self.weights.sum())
        rows = np.empty((n, self.n_features))
        for k, count in enumerate(np.bincount(labels, minlength=self.n_components)):
            if count:
                drawn = self.family.sample(self.components, k, int(count), rng)
                rows[labels == k] = drawn
        return rows, labels

    def component_means(self) -> Floats:
        """Return the expected row of each component: (k, d)."""
        return self._moments().component_means(self.components)

    def mean(self) -> Floats:
        """Return the expected row: (d,)."""
        means = self.component_means()
        # Average the differences from one of the means: for means far from zero, the rounding
        # errors of the weights would otherwise be multiplied by their distance from zero.
        mean: Floats = means[0] + self.weights @ (means - means[0])
        return mean

    def covariance(self) -> Covariance:
        """Return the covariance of a row, as the parts within components and between them."""
        within = self._moments().within(self.components, self.weights)
        from_mean = self.component_means() - self.mean()
        return Covariance(within, from_mean.T @ (self.weights[:, None] * from_mean))

    def marginal(self, features: Which) -> MixtureDistribution:
        """Return the marginal distribution of `features`, in the given order.

        Features are named by their index or, if they have names, by these. The mixture weights
        stay the same.

        Raises
        ------
        ConfigError
            If there is no such feature, or the family has no marginals.
        """
        index = feature_index(features, self.n_features, self.feature_names)
        if not len(index):
            raise ConfigError("No feature is named; expected at least one feature to keep.")
        family, components = self._marginals().marginal(self.components, index)
        return self._of(family, self.weights, components, self._names(index))

    def conditional(self, features: Which, values: Any) -> MixtureDistribution:
        """Return the distribution of the other features, given that `features` have `values`.

        Features are named by their index or, if they have names, by these.

        ``p(a | b) = sum_k w_k p(a | b, k)`` with ``w_k = weight_k p(b | k) / p(b)``. The other
        features keep their order.

        Raises
        ------
        ConfigError
            If there is no such feature, no other feature is left, or the family has no
            conditionals.
        DataError
            If `values` are not numbers that the features can have.
        """
        able = self._marginals()
        observed, kept = self._split(features)
        at = observed_values(values, len(observed))
        if not len(observed):
            return self
        check_columns(self._names(observed), index_names(values), "values")
        known = replace(self.marginal(observed), feature_names=None)
        try:
            weights = known.responsibilities(at)[0]
        except DomainError:
            raise
        except DataError:
            raise DomainError(
                f"values={shown(values)} are so far from every component that all densities are "
                "0 there. Check their units and the order of features."
            ) from None
        family, components = able.conditional(self.components, kept, observed, at[0])
        return self._of(family, weights, components, self._names(kept))

    def conditional_mean(self, features: Which, x: Any) -> Floats:
        """Return the expected other features, given `features` in each row of `x` (n, m).

        The result is (n, d - m). Each row is the mean of ``conditional`` for the values of that
        row: Gaussian mixture regression (Ghahramani and Jordan 1994). Rows are processed in tiles.
        """
        able, means = self._marginals(), self.component_means()
        observed, kept = self._split(features)
        known = self.marginal(observed)
        slopes = able.slopes(self.components, kept, observed)

        def task(source: Source) -> Regress:
            explain = known._explain(source, True)
            return Regress(explain, means[:, observed], means[:, kept], slopes)

        found = known._mapped(x, task)
        columns = ("feature", np.array(self._names(kept) or kept))
        expected: Floats = found.shaped(found.value.x, "conditional_mean", np.nan, columns)
        return expected

    def convolve(self, other: MixtureDistribution) -> MixtureDistribution:
        """Return the distribution of ``x + y``, for independent x of this mixture and y of `other`.

        With k and l components, the result has k l. The component of the pair (i, j) has the index
        ``i l + j``, and its weight is the product of both weights. If the Gaussian families differ,
        the result has the narrowest family that contains both: spherical contains isotropic,
        diagonal contains spherical, and full contains diagonal and tied. Do not confuse the sum
        with a mixture of the two.

        Raises
        ------
        ShapeError
            If the two differ in the number of features.
        FeatureNamesError
            If both have the same feature names in a different order.
        ConfigError
            If no family contains sums of these two.
        """
        if other.n_features != self.n_features:
            raise ShapeError(
                f"Mixtures of {self.n_features} and of {other.n_features} feature(s) cannot be "
                "added; expected the same features in both."
            )
        how = match(self.feature_names, other.feature_names)
        if how is Match.OTHER_ORDER:
            told = both(self.feature_names, other.feature_names, "This mixture", "the other")
            raise FeatureNamesError(
                f"Mixtures of the same features in another order cannot be added. {told} Bring "
                "them into one order with marginal([...])."
            )
        family, components = convolved(
            (self.family, self.components), (other.family, other.components)
        )
        weights = np.outer(self.weights, other.weights).ravel()
        names = self.feature_names if how is Match.SAME else None
        return self._of(family, weights, components, names)

    def _of(
        self, family: Family[Any], weights: Floats, components: Any, names: Names
    ) -> MixtureDistribution:
        """Return another mixture, which takes the same kinds of rows."""
        return replace(
            self, family=family, weights=weights, components=components, feature_names=names
        )

    def _names(self, index: NDArray[np.int64]) -> Names:
        """Return the names of the features `index`, or None if there are no names."""
        names = self.feature_names
        return None if names is None else tuple(names[j] for j in index)

    def _split(self, features: Which) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices of the observed features as given, and of the others in order."""
        observed = feature_index(features, self.n_features, self.feature_names)
        kept = np.setdiff1d(np.arange(self.n_features), observed)
        if not len(kept):
            raise ConfigError(
                "All features are observed, so none is left. Ask for the responsibilities of "
                "the row, or observe fewer features."
            )
        return observed, kept

    def _moments(self) -> HasMoments:
        """Return the family if it has moments; ConfigError otherwise."""
        if not isinstance(self.family, HasMoments):
            raise unstated(self.family, "moments")
        return self.family

    def _marginals(self) -> Marginals:
        """Return the family if it has marginals; ConfigError otherwise."""
        if not isinstance(self.family, Marginals):
            raise unstated(self.family, "marginals")
        return self.family

    def _explain(self, source: Source, resp: bool) -> Explain:
        """Return the task that scores the rows of `source`."""
        params = MixtureParams(self.weights, self.components)
        return Explain(source, Mixture(self.family), params, resp)

    def _explained(self, x: Any, resp: bool = False) -> Answer:
        """Return labels, log-densities and, on request, responsibilities of rows `x`."""
        return self._mapped(x, lambda source: self._explain(source, resp))

    def _mapped(self, x: Any, task: Callable[[Source], Callable[[int], Any]]) -> Answer:
        """Return what a task gives for all rows of `x`, which are checked."""
        rows = checked_rows(x, self.n_features, self.family.domain, self.feature_names)
        source = array_source(rows)
        return InMemory(LocalEngine().map_reduce(task(source), range(len(source))))
