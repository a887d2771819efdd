"""Doubts about what rows can tell: restarts, few rows, overlap, and units."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emdist
from emdist.errors import DegenerateWarning
from emdist.fit.state import Record
from emdist.quality.evidence import doubts_of_evidence

Rows = NDArray[np.float64]


def told(model: Any, X: Rows) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X)
    return [str(one.message) for one in caught]


def apart(n: int = 200, d: int = 2) -> Rows:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(9.0 * c, 1, (n, d)) for c in range(3)])


@pytest.mark.parametrize("make", [emdist.GaussianMixture, emdist.KMeans, emdist.KMedians])
def test_clusters_that_are_apart_leave_no_doubt(make: Any) -> None:
    assert told(make(3, random_state=0, n_init=3), apart()) == []


@pytest.mark.parametrize(
    ("make", "doubted"),
    [
        (lambda: emdist.KMeans(3, random_state=0), True),
        (lambda: emdist.KMedians(3, random_state=0), True),
        (lambda: emdist.GaussianMixture(3, covariance_type="spherical", random_state=0), True),
        (lambda: emdist.GaussianMixture(3, covariance_type="diag", random_state=0), False),
        (lambda: emdist.KMeans(3, random_state=0, prepare=["standardise"]), False),
    ],
)
def test_a_feature_that_decides_alone_is_named(make: Any, doubted: bool) -> None:
    found = [one for one in told(make(), apart() * [1.0, 1e3]) if "variance of all" in one]
    assert len(found) == doubted
    assert all(one.startswith("Feature 1 has") for one in found)


def test_components_of_few_rows_are_named() -> None:
    X = np.concatenate([apart(d=4), np.random.default_rng(1).normal(60, 1, (9, 4))])
    model = emdist.GaussianMixture(4, random_state=0)
    with pytest.warns(DegenerateWarning, match=r"holds 9 rows .* fewer than the 14 parameters"):
        model.fit(X)
    simple = emdist.GaussianMixture(4, covariance_type="diag", random_state=0)
    assert not [one for one in told(simple, X) if "fewer than" in one]


def test_components_that_overlap_are_doubted() -> None:
    X = np.random.default_rng(2).normal(size=(500, 2))
    found = told(emdist.GaussianMixture(4, random_state=0, max_iter=5), X)
    assert [one for one in found if one.startswith("Components overlap")]


def test_restarts_of_which_one_is_best_are_doubted() -> None:
    X = apart()
    model = emdist.KMeans(3, random_state=0).fit(X)
    section, fitted = model._told(), model._fitted
    for ends, doubted in (([1.0, 1.2, 1.1], True), ([1.0, 1.005, 3.0], False), ([1.0, 2.0], False)):
        history = [Record(restart, 1, end, 0.0, 0.0) for restart, end in enumerate(ends)]
        found = doubts_of_evidence(section, fitted, history)
        assert ("starts" in [one.kind for one in found]) == doubted
    mixture = emdist.GaussianMixture(3, random_state=0).fit(X)
    history = [Record(restart, 1, end, 0.0, 0.0) for restart, end in enumerate([-5.0, -5.5, -6])]
    found = doubts_of_evidence(mixture._told(), mixture._fitted, history)
    assert "worse by 0.5 nats per row" in found[0].message


def test_an_end_before_convergence_says_how_much_it_still_gained() -> None:
    X = np.random.default_rng(3).normal(size=(400, 2))
    model = emdist.GaussianMixture(3, random_state=0, max_iter=3, tol=0.0)
    found = [one for one in told(model, X) if "had not converged" in one]
    assert "the objective by" in found[0]
