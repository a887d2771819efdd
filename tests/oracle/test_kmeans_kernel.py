"""The compiled block of K-means against plain NumPy, over shapes, types and weights."""

from __future__ import annotations

import numpy as np
import pytest

from emdist.kernels.vector.lloyd import nearest_rows, nearest_sums

SHAPES = [
    (1, 1, 1),
    (40, 2, 4),
    (3000, 3, 5),
    (1025, 4, 3),
    (900, 7, 9),
    (700, 1, 3),
    (800, 2, 4),
    (1100, 12, 5),
    (2100, 33, 70),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_sums_and_labels(n: int, d: int, k: int, dtype: str, weighted: bool) -> None:
    rng = np.random.default_rng([n, d, k])
    x = (rng.standard_normal((n, d)) * 1000 + 3000).astype(dtype)
    origin = x.mean(axis=0, dtype=np.float64)
    rows = x.astype(np.float64) - origin
    # Off the rows, so that no two centres are at the same distance from one.
    means = rows[rng.choice(n, k, replace=False)] + rng.standard_normal((k, d))
    weight = rng.random(n) if weighted else None
    distance = ((rows[:, None] - means) ** 2).sum(axis=2)
    wanted, w = distance.argmin(axis=1), np.ones(n) if weight is None else weight
    eta, offset = 2 * means, -(means * means).sum(axis=1)
    labels, own = nearest_rows(x, origin, eta, offset, means)
    np.testing.assert_array_equal(labels, wanted)
    np.testing.assert_allclose(own, distance.min(axis=1), rtol=1e-12)
    count, sums, inertia = nearest_sums(x, origin, eta, offset, means, weight)
    np.testing.assert_allclose(count, np.bincount(wanted, w, minlength=k), rtol=1e-12)
    np.testing.assert_allclose(inertia, w @ distance.min(axis=1), rtol=1e-12)
    expected = np.zeros((k, d))
    np.add.at(expected, wanted, w[:, None] * rows)
    np.testing.assert_allclose(sums, expected, rtol=1e-9, atol=1e-9 * np.abs(rows).sum())


@pytest.mark.parametrize("d", [3, 5, 9, 33])
def test_ties_go_to_the_lowest_label(d: int) -> None:
    means = np.repeat(np.arange(3.0)[:, None], 2, axis=0) * np.ones(d)
    x = np.repeat(means, 5, axis=0)
    labels, _ = nearest_rows(x, np.zeros(d), 2 * means, -(means * means).sum(axis=1), means)
    np.testing.assert_array_equal(labels, np.repeat([0, 0, 2, 2, 4, 4], 5))


def test_a_block_without_rows() -> None:
    means = np.eye(3)
    n, t, inertia = nearest_sums(np.empty((0, 3)), np.zeros(3), 2 * means, -np.ones(3), means, None)
    assert not n.any()
    assert not t.any()
    assert inertia == 0.0


@pytest.mark.parametrize("digits", ["float32", "float64"])
@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 17, 24])
def test_an_origin_leaves_the_bits_of_rows_that_were_subtracted_before(d: int, digits: str) -> None:
    # That of float32 digits is subtracted in float32, and has to make no difference.
    rng = np.random.default_rng(d)
    x = (rng.standard_normal((777, d)) * 10.0 ** rng.integers(-3, 4, d) + 1000).astype(np.float32)
    origin = x.mean(axis=0, dtype=np.float64).astype(digits).astype(np.float64)
    rows = (x - origin).astype(np.float32)
    means = rows[rng.choice(777, 9, replace=False)].astype(np.float64)
    eta, offset = (2 * means).astype(np.float32), -(means * means).sum(axis=1).astype(np.float32)
    weight = rng.random(777)
    for w in (None, weight):
        found = nearest_sums(x, origin, eta, offset, means, w)
        wanted = nearest_sums(rows, np.zeros(d), eta, offset, means, w)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    labels, own = nearest_rows(x, origin, eta, offset, means)
    np.testing.assert_array_equal(labels, nearest_rows(rows, np.zeros(d), eta, offset, means)[0])
    # Distances are of the rows as they were, not as float32 holds them relative to the origin.
    wanted = (((x.astype(np.float64) - origin) - means[labels]) ** 2).sum(axis=1)
    np.testing.assert_allclose(own, wanted, rtol=1e-12)


@pytest.mark.parametrize("d", [3, 8, 11, 16, 20])
def test_what_lies_behind_a_row_is_left_alone(d: int) -> None:
    x = np.arange(200.0 * d).reshape(200, d) % 7
    x[100:] = np.nan
    means = x[:2].copy()
    eta, offset = 2 * means, -(means * means).sum(axis=1)
    n, t, inertia = nearest_sums(x[:100], np.zeros(d), eta, offset, means, None)
    assert n.sum() == 100
    assert np.isfinite(t).all()
    np.testing.assert_allclose(t.sum(axis=0), x[:100].sum(axis=0))
    assert np.isfinite(inertia)
