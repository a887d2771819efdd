"""The step pca: projects rows on the directions in which they vary most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from emdist.errors import CheckpointError, ConfigError, ShapeError
from emdist.interfaces import Array, Floats
from emdist.prepare.base import Affine, Known, LearnedArrays, Need, PrepareStep, RowsAt
from emdist.prepare.eigen import check_weight, decomposed, share_of
from emdist.prepare.incomplete import completed

#: The largest number of features whose covariance is computed by default. Sums of a pass hold one
#: matrix of that size for each thread: 200 MB.
MOST_EXACT = 5000


@dataclass(frozen=True)
class PcaStep(PrepareStep):
    """Keep the scores of the first principal components, as scikit-learn's PCA.

    Attributes
    ----------
    components
        How many components are kept, or the share of the variance that they explain together, a
        number between 0 and 1. None keeps all.
    whiten
        Whether the scores are divided by their standard deviations.
    missing
        What to do with missing values: ``raise`` an error, or ``pairwise``. Then each covariance of
        two features is that of the rows that have both, and the scores of an incomplete row are
        those of the row with its missing values replaced by their expected values given the
        observed ones, under a Gaussian with these moments.
    solver
        ``exact`` from the covariance matrix, ``randomised`` by a range finder, or ``auto``: exact
        for up to 5,000 features.
    passes
        How many passes the randomised solver makes besides that for means and variances.
    oversampling
        How many directions the randomised solver follows besides `components`.
    seed
        The seed of the directions with which the randomised solver starts.
    """

    name: ClassVar[str] = "pca"
    shorthand: ClassVar[str] = "components"

    components: int | float | None = None
    whiten: bool = False
    missing: Literal["raise", "pairwise"] = "raise"
    solver: Literal["auto", "exact", "randomised"] = "auto"
    passes: Annotated[int, Field(ge=1)] = 4
    oversampling: Annotated[int, Field(ge=0)] = 10
    seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        wanted = self.components
        if isinstance(wanted, float) and wanted == 1:
            raise ConfigError(
                "components is 1.0, which is one component or all of the variance. Give 1 for one "
                "component, or leave it out to keep all."
            )
        if isinstance(wanted, float) and wanted >= 1 and wanted.is_integer():
            object.__setattr__(self, "components", int(wanted))
        elif isinstance(wanted, float) and not 0 < wanted < 1:
            raise ConfigError(
                f"components is {wanted:g}; expected a whole number >= 1, or a share of the "
                "variance between 0 and 1."
            )
        elif isinstance(wanted, int) and wanted < 1:
            raise ConfigError(
                f"components is {wanted}; expected at least 1, or a share of the variance between "
                "0 and 1."
            )
        if self.solver == "randomised" and self.missing == "pairwise":
            raise ConfigError(
                "solver randomised needs complete rows; missing values need the exact solver."
            )
        if self.solver == "randomised" and not isinstance(self.components, int):
            raise ConfigError(
                "components must be a whole number for the randomised solver, which does not know "
                "the other components."
            )

    def is_randomised(self, d: int) -> bool:
        """Return whether rows of `d` features need the randomised solver."""
        return self.solver == "randomised" or (self.solver == "auto" and d > MOST_EXACT)

    def need(self, d: int) -> Need:
        if not self.is_randomised(d):
            return "pairs" if self.missing == "pairwise" else "covariance"
        if self.missing == "pairwise" or not isinstance(self.components, int):
            raise ConfigError(
                f"pca of {d:,} features uses the randomised solver, which needs a whole number of "
                "components and complete rows. Set components to a number, and missing to raise, "
                f"or solver to exact, which needs {d * d * 8 / 2**30:.1f} GiB for each thread."
            )
        return "sketch"

    @property
    def mixes(self) -> bool:
        return True

    @property
    def renames(self) -> bool:
        return True

    @property
    def refuses_missing(self) -> bool:
        return self.missing == "raise"

    @property
    def has_known_width(self) -> bool:
        return isinstance(self.components, int)

    def bound(self, d: int) -> int:
        if isinstance(self.components, int):
            if self.components > d:
                raise ShapeError(
                    f"pca asks for {self.components} components of {d} features; expected at most "
                    f"{d}. Ask for fewer components."
                )
            return self.components
        return d

    def learn(self, known: Known, names: tuple[str, ...]) -> tuple[LearnedArrays, list[str]]:
        d = len(known.mean)
        self.bound(d)
        check_weight(known.weight)
        assert known.covariance is not None
        values, vectors = decomposed(known.covariance, self.missing == "pairwise" and d > 1)
        if not values[0] > 0:
            raise ShapeError(
                "pca: all rows are equal, so there are no directions in which they vary. Leave "
                "out the step pca."
            )
        k, doubts = self._number(values, known.weight), []
        if values[k - 1] <= values[0] * d * np.finfo(np.float64).eps:
            rank = int((values > values[0] * d * np.finfo(np.float64).eps).sum())
            doubts.append(
                f"pca: the rows vary in {rank} directions only, but {k} components are kept. The "
                f"others hold rounding errors. Ask for at most {rank} components."
            )
            if self.whiten:
                raise ConfigError(
                    f"pca cannot whiten {k} components, because the rows vary in {rank} directions "
                    f"only. Ask for at most {rank} components."
                )
        learned = {
            "mean": known.mean,
            "components": vectors[:k],
            "variance": values[:k],
            "ratio": values[:k] / values.sum(),
            "noise": np.array(values[k:].mean() if k < len(values) else 0.0),
            "weight": np.array(known.weight),
        }
        if self.missing == "pairwise" and known.missing:
            learned["covariance"] = known.covariance
        return learned, doubts

    def _number(self, values: Floats, weight: float) -> int:
        """Return how many components are kept, of those with these variances."""
        most = int(min(len(values), weight))
        if self.components is None:
            return most
        if isinstance(self.components, float):
            return share_of(values, self.components)
        if self.components > most:
            raise ShapeError(
                f"pca asks for {self.components} components of rows with a total weight of "
                f"{weight:g}; expected at most {most}. Ask for fewer components."
            )
        return self.components

    def moved(self, known: Known, learned: LearnedArrays) -> Known | None:
        if known.missing:
            return None  # Scores of completed rows vary less than the covariance says.
        k = len(learned["components"])
        variance = np.ones(k) if self.whiten else learned["variance"]
        centre = (known.mean - learned["mean"]) @ learned["components"].T
        if self.whiten:
            centre = centre / np.sqrt(learned["variance"])
        return Known(
            known.weight,
            np.full(k, known.weight),
            centre,
            variance * (known.weight - 1) / known.weight,
            np.diag(variance),
        )

    def features(self, d: int, learned: LearnedArrays) -> int:
        components: Any = learned.get("components")
        fits = isinstance(components, np.ndarray) and components.ndim == 2
        k = len(components) if fits else 0
        wanted = {"mean": (d,), "components": (k, d), "variance": (k,)}
        if "covariance" in learned:
            wanted["covariance"] = (d, d)
        for name, shape in wanted.items():
            one: Any = learned.get(name)
            if not isinstance(one, np.ndarray) or one.shape != shape or not np.isfinite(one).all():
                raise CheckpointError(f"the {name} of the step pca is damaged")
        if not k:
            raise CheckpointError("the step pca has no components")
        return k

    def names(self, names: tuple[str, ...], learned: LearnedArrays) -> tuple[str, ...]:
        return tuple(f"pca{j}" for j in range(len(learned["components"])))

    def affine(self, learned: LearnedArrays) -> Affine | None:
        if "covariance" in learned:  # Incomplete rows are completed first.
            return None
        return Affine(learned["mean"], self._factor(learned))

    def _factor(self, learned: LearnedArrays) -> Floats:
        factor: Floats = learned["components"].T
        if self.whiten:
            factor = factor / _deviations(learned["variance"])
        return np.ascontiguousarray(factor)

    def apply(self, x: Floats, learned: LearnedArrays, at: RowsAt) -> Floats:
        if "covariance" in learned:
            x = completed(x, learned["mean"], learned["covariance"])
        return Affine(learned["mean"], self._factor(learned))(x)

    def invert(self, x: Floats, learned: LearnedArrays) -> Floats:
        scores = x * _deviations(learned["variance"]) if self.whiten else x
        found: Floats = scores @ learned["components"] + learned["mean"]
        return found


def _deviations(variance: Array) -> Floats:
    """Return standard deviations, at least the rounding unit, as scikit-learn takes them."""
    eps = np.finfo(np.float64).eps
    found: Floats = np.maximum(np.sqrt(variance), eps)
    return found


step = PcaStep
