"""The step standardise: subtracts the mean of each feature and divides by its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from emdist.errors import CheckpointError, ConfigError
from emdist.inputs.names import listing
from emdist.interfaces import Array, Floats
from emdist.prepare.base import Affine, Known, LearnedArrays, Need, PrepareStep, RowsAt


@dataclass(frozen=True)
class StandardiseStep(PrepareStep):
    """Scale features to mean 0 and variance 1, as scikit-learn's StandardScaler.

    Missing values are left out of means and variances, and stay missing.

    Attributes
    ----------
    by
        ``feature``: each feature has a mean and a variance of its own. ``variable``: all features
        of a variable share both, as if their values were one feature. `groups` says which they are.
    with_mean, with_std
        Whether to subtract the mean, and whether to divide by the standard deviation.
    groups
        For ``variable``: lists of indices of features. Empty takes the variables of the data, which
        sources of several variables know. Each feature must be in one group.
    """

    name: ClassVar[str] = "standardise"
    shorthand: ClassVar[str] = "by"

    by: Literal["feature", "variable"] = "feature"
    with_mean: bool = True
    with_std: bool = True
    groups: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.groups and self.by != "variable":
            raise ConfigError("groups needs by: variable.")

    def need(self, d: int) -> Need:
        return "spread"

    def learn(self, known: Known, names: tuple[str, ...]) -> tuple[LearnedArrays, list[str]]:
        mean, variance, cells = known.mean, known.variance, known.cells
        if self.by == "variable":
            mean, variance, cells = pooled(known, self._checked_groups(len(mean)))
        constant = _is_constant(mean, variance, cells)
        scale = np.sqrt(variance)
        scale[constant | (scale == 0)] = 1.0
        if not self.with_std:
            scale = np.ones_like(scale)
        learned = {"mean": mean, "scale": scale, "variance": variance, "cells": cells}
        flat = [names[j] for j in np.flatnonzero(constant)] if self.with_std else []
        if not flat:
            return learned, []
        several = len(flat) > 1
        told = (
            f"features {listing(flat)} have the same value in all rows, up to rounding in float64. "
            "They are centred and not scaled. Leave them out, because they say"
            if several
            else f"feature {flat[0]} has the same value in all rows, up to rounding in float64. It "
            "is centred and not scaled. Leave it out, because it says"
        )
        return learned, [f"standardise: the {told} nothing about clusters."]

    @property
    def needs_variables(self) -> bool:
        return self.by == "variable" and not self.groups

    def _checked_groups(self, d: int) -> tuple[tuple[int, ...], ...]:
        found = sorted(j for group in self.groups for j in group)
        if found != list(range(d)):
            raise ConfigError(
                f"standardise: the groups hold {len(found)} features, but the rows have {d} at "
                "this step. Put every feature into one group."
            )
        return self.groups

    def with_groups(self, variables: Sequence[str] | None) -> StandardiseStep:
        """Return the step with the groups of `variables`, one name for each feature of the data.

        Raises
        ------
        ConfigError
            If groups are needed, and neither the step nor the data have any.
        """
        if not self.needs_variables:
            return self
        if variables is None:
            raise ConfigError(
                "standardise by variable: the data do not say to which variable each feature "
                "belongs. Give the groups, as in {standardise: {by: variable, groups: [[0, 1], "
                "[2, 3]]}}, or standardise by feature."
            )
        order = list(dict.fromkeys(variables))
        groups = tuple(tuple(j for j, one in enumerate(variables) if one == name) for name in order)
        return StandardiseStep(self.by, self.with_mean, self.with_std, groups)

    def moved(self, known: Known, learned: LearnedArrays) -> Known:
        made = self.affine(learned)
        return known.affine(made.shift, made.factor)

    def affine(self, learned: LearnedArrays) -> Affine:
        mean = learned["mean"] if self.with_mean else np.zeros(len(learned["mean"]))
        return Affine(mean, 1.0 / learned["scale"])

    def apply(self, x: Floats, learned: LearnedArrays, at: RowsAt) -> Floats:
        if self.with_mean:
            x -= learned["mean"]
        x /= learned["scale"]
        return x

    def invert(self, x: Floats, learned: LearnedArrays) -> Floats:
        found = x * learned["scale"]
        return found + learned["mean"] if self.with_mean else found

    def features(self, d: int, learned: LearnedArrays) -> int:
        for name in ("mean", "scale"):
            one: Any = learned.get(name)
            if not isinstance(one, np.ndarray) or one.shape != (d,) or not np.isfinite(one).all():
                raise CheckpointError(f"the {name} of the step standardise is damaged")
        if not (learned["scale"] > 0).all():
            raise CheckpointError("the scale of the step standardise is damaged")
        return d


def pooled(known: Known, groups: Sequence[Sequence[int]]) -> tuple[Floats, Floats, Floats]:
    """Return mean, variance and cells (d,) of all values of each group of features."""
    mean, variance, cells = known.mean.copy(), known.variance.copy(), known.cells.copy()
    for group in groups:
        own = np.array(group)
        total = float(known.cells[own].sum())
        share = known.cells[own] / (total or 1.0)
        middle = float(share @ known.mean[own])
        spread = float(share @ (known.variance[own] + (known.mean[own] - middle) ** 2))
        mean[own], variance[own], cells[own] = middle, spread, total
    return mean, variance, cells


def _is_constant(mean: Array, variance: Array, cells: Array) -> Any:
    """Return which features are constant up to rounding, by scikit-learn's bound: (d,) bool."""
    eps = np.finfo(np.float64).eps
    return variance <= cells * eps * variance + (cells * mean * eps) ** 2


step = StandardiseStep
