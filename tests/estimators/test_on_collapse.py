"""What the estimators of hard clustering do with a centre that loses its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdist import KCentroids, KMeans, KMedians, MiniBatchKMeans
from emdist.errors import CollapseError

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(5, 0.1, (50, 2)), RNG.normal(20, 0.1, (50, 2))])
#: The last is nobody's nearest.
INIT = np.array([[5.0, 5.0], [20.0, 20.0], [900.0, 900.0]])
ESTIMATORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "kmeans": (KMeans, {}),
    "elkan": (KMeans, {"algorithm": "elkan"}),
    "incremental": (KMeans, {"schedule": "incremental"}),
    "mini-batches": (MiniBatchKMeans, {}),
    "kmedians": (KMedians, {}),
    "kcentroids": (KCentroids, {}),
}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_centre_without_rows_is_moved_dropped_or_left(kind: str) -> None:
    cls, params = ESTIMATORS[kind]
    moved = cls(3, init=INIT, **params).fit(X)
    assert np.bincount(moved.labels_).min() > 0, "the default: it has rows again"
    assert moved.cluster_centers_.max() < 30
    dropped = cls(3, init=INIT, on_collapse="drop", **params).fit(X)
    assert dropped.cluster_centers_.shape == dropped.transform(X)[:2].shape == (2, 2)
    assert np.array_equal(dropped.predict(X), np.repeat([0, 1], 50))
    left = cls(3, init=INIT, on_collapse="regularise", **params).fit(X)
    assert np.array_equal(left.cluster_centers_[2], INIT[2])
    assert np.array_equal(left.cluster_centers_[:2], dropped.cluster_centers_)
    with pytest.raises(CollapseError, match=r"Cluster 2 lost all rows.*set on_collapse to"):
        cls(3, init=INIT, on_collapse="raise", **params).fit(X)


def test_streams_do_so_too() -> None:
    with pytest.raises(CollapseError, match="lost all rows"):
        MiniBatchKMeans(3, init=INIT, on_collapse="raise").partial_fit(X).partial_fit(X)
    est = MiniBatchKMeans(3, init=INIT, on_collapse="drop").partial_fit(X).partial_fit(X)
    assert est.cluster_centers_.shape == (2, 2)


def test_many_are_not_all_listed() -> None:
    far = np.arange(900.0, 930.0)[:, None] * [1.0, 1.0]
    with pytest.raises(CollapseError, match=r"9, 10, 11 and 20 more lost all rows"):
        KMeans(32, init=np.concatenate([INIT[:2], far]), on_collapse="raise").fit(X)
