"""Steps that prepare rows as fitted transformers of scikit-learn, and a pipeline of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn.decomposition
import sklearn.pipeline
import sklearn.preprocessing

from emdist.errors import ConfigError
from emdist.inputs.names import Names
from emdist.prepare.clip import ClipStep
from emdist.prepare.log1p import LogStep
from emdist.prepare.normalise import NormaliseStep
from emdist.prepare.pca import PcaStep
from emdist.prepare.standardise import StandardiseStep

if TYPE_CHECKING:
    from emdist.prepare.base import LearnedArrays, PrepareStep
    from emdist.prepare.preparation import Preparation


def pipeline_of(made: Preparation, names: Names, model: Any) -> sklearn.pipeline.Pipeline:
    """Return a fitted pipeline of the steps of `made` and of a fitted `model` of scikit-learn.

    Raises
    ------
    ConfigError
        If scikit-learn has no transformer that does the same as a step, also when fitted again.
    """
    steps: list[tuple[str, Any]] = []
    for step, learned, d in zip(made.steps, made.learned, made.widths, strict=False):
        maker: Callable[..., list[Any]] | None = _MAKERS.get(type(step))
        if maker is None:
            raise _without(step, "it is a step of its own")
        for twin in maker(step, learned):
            twin.n_features_in_ = d
            if not steps and names is not None:
                twin.feature_names_in_ = np.array(names, object)
            steps.append((f"{step.name}{len(steps)}", twin))
    return sklearn.pipeline.Pipeline([*steps, ("model", model)])


def _without(step: PrepareStep, why: str) -> ConfigError:
    return ConfigError(
        f"scikit-learn has no equivalent of the step {step.name} in prepare: {why}. Prepare the "
        "rows before the fit, or use emdist's own predict."
    )


def _log1p(step: LogStep, learned: LearnedArrays) -> list[Any]:
    return [_function(np.log1p, inverse_func=np.expm1)]


def _clip(step: ClipStep, learned: LearnedArrays) -> list[Any]:
    return [_function(np.clip, kw_args={"a_min": step.low, "a_max": step.high})]


def _normalise(step: NormaliseStep, learned: LearnedArrays) -> list[Any]:
    if step.total is None:
        return [sklearn.preprocessing.Normalizer(norm=step.norm)]
    # Values are >= 0, so that the sum of a row is its l1 norm.
    return [
        sklearn.preprocessing.Normalizer(norm="l1"),
        _function(partial(np.multiply, step.total)),
    ]


def _standardise(step: StandardiseStep, learned: LearnedArrays) -> list[Any]:
    if step.by == "variable":
        raise _without(step, "StandardScaler scales each feature by itself, not by variable")
    twin = sklearn.preprocessing.StandardScaler(with_mean=step.with_mean, with_std=step.with_std)
    twin.mean_ = np.array(learned["mean"])
    twin.var_ = np.array(learned["variance"]) if step.with_std else None
    twin.scale_ = np.array(learned["scale"]) if step.with_std else None
    twin.n_samples_seen_ = _count(learned["cells"])
    return [twin]


def _count(cells: Any) -> Any:
    """Return the weight of the rows of each feature, as one number if all have the same."""
    return cells[0] if (cells == cells[0]).all() else np.array(cells)


def _pca(step: PcaStep, learned: LearnedArrays) -> list[Any]:
    if "covariance" in learned:
        raise _without(step, "its PCA takes no incomplete rows")
    twin = sklearn.decomposition.PCA(step.components, whiten=step.whiten)
    variance, weight = np.array(learned["variance"]), float(learned["weight"])
    twin.mean_, twin.components_ = np.array(learned["mean"]), np.array(learned["components"])
    twin.explained_variance_ = variance
    twin.explained_variance_ratio_ = np.array(learned["ratio"])
    twin.singular_values_ = np.sqrt(variance * (weight - 1))
    twin.noise_variance_ = float(learned["noise"])
    twin.n_components_, twin.n_samples_ = len(variance), weight
    return [twin]


def _function(function: Any, **options: Any) -> Any:
    """Return a fitted transformer that applies a function to all values."""
    return sklearn.preprocessing.FunctionTransformer(
        function, check_inverse=False, feature_names_out="one-to-one", **options
    )


_MAKERS: dict[type[PrepareStep], Callable[..., list[Any]]] = {
    ClipStep: _clip,
    LogStep: _log1p,
    NormaliseStep: _normalise,
    PcaStep: _pca,
    StandardiseStep: _standardise,
}
