"""Docstrings of methods that take data: they say what may be passed, and what results are."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import emdist
from emdist.estimators.base import Estimator
from emdist.estimators.docstrings import PIECES
from emdist.prepare import PCA

KNOWN: list[type[Any]] = [
    emdist.GaussianMixture, emdist.KMeans, emdist.KCentroids, emdist.MiniBatchKMeans, emdist.Sweep,
    PCA,
]  # fmt: skip
ON_A_GRID = ("predict", "predict_proba", "score_samples", "transform", "fit_predict")


def methods(cls: type[Any]) -> list[tuple[str, str]]:
    found = [(n, inspect.getdoc(getattr(cls, n)) or "") for n in dir(cls) if not n.startswith("_")]
    return [(name, doc) for name, doc in found if "Parameters\n" in doc]


@pytest.mark.parametrize("cls", KNOWN)
def test_methods_say_which_data_they_take(cls: type[Any]) -> None:
    for name, doc in methods(cls):
        assert not any("{" + piece in doc for piece in PIECES), name
        if "\nX : array-like of shape (n_samples, n_features)," in doc:
            assert "emdist.rows" in doc, name
    fit = inspect.getdoc(cls.fit) or ""
    assert "emdist.rows" in fit
    assert "xarray.DataArray" in fit


@pytest.mark.parametrize("cls", [one for one in KNOWN if issubclass(one, Estimator)])
def test_results_on_a_grid_are_described(cls: type[Any]) -> None:
    seen = [name for name, doc in methods(cls) if "on the grid of the samples" in doc]
    assert set(seen) >= {name for name in ON_A_GRID if hasattr(cls, name)}
