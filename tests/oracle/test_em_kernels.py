"""The compiled block of EM, and the vector code under it, against NumPy and SciPy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from emdist.interfaces import Array
from emdist.kernels.jit import jit
from emdist.kernels.tiles.assign import one_hot
from emdist.kernels.tiles.counts import indicators
from emdist.kernels.tiles.moments import (
    centred_squares,
    labelled_squares,
    with_norm,
    with_products,
    with_squares,
)
from emdist.kernels.vector import lines as table
from emdist.kernels.vector.lanes import CACHE_LINE, COMPONENTS, borrowed, panel_rows
from emdist.kernels.vector.lines import Lines
from emdist.kernels.vector.panels import aligned, pack_components
from emdist.kernels.vector.posterior import Posterior, posterior_sums, posteriors
from emdist.kernels.vector.scoring import exponentials_of_panel, two_best_of_panel

STATISTICS = {
    "features": (table.features, lambda x: x),
    "squares": (table.squares, with_squares),
    "norm": (table.norm, with_norm),
    "products": (table.products, with_products),
}
SHAPES = [
    (1, 1, 1),
    (63, 2, 3),
    (65, 3, 7),
    (700, 5, 6),
    # One line is left behind whole groups of them, and two.
    (200, 7, 4),
    (130, 8, 5),
    (90, 6, 2),
    (1500, 9, 13),
    (515, 17, 4),
    (70000, 2, 2),
]


def check(
    x: Array, origin: Array, eta: Array, offset: Array, lines: Lines, t: Array,
    weight: Array | None, tol: float,
) -> None:  # fmt: skip
    found = posterior_sums(x, origin, eta, offset, lines, weight)
    score = t @ eta.T.astype(np.float64) + offset
    w = np.ones(len(x)) if weight is None else weight
    resp = softmax(score, axis=1) * w[:, None]
    np.testing.assert_allclose(found[0], resp.sum(axis=0), rtol=tol, atol=tol * w.sum())
    scale = np.abs(resp).T @ np.abs(t)
    assert (np.abs(found[1] - resp.T @ t) <= tol * scale.max()).all()
    value = w @ logsumexp(score, axis=1)
    assert abs(found[2] - value) <= tol * (w @ np.abs(logsumexp(score, axis=1)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize("name", STATISTICS)
def test_sums(name: str, n: int, d: int, k: int, dtype: str, tol: float, weighted: bool) -> None:
    lines, expand = STATISTICS[name]
    rng = np.random.default_rng([n, d, k])
    x = rng.standard_normal((n, d)).astype(dtype)
    origin = rng.standard_normal(d)
    rows = (x - origin).astype(dtype).astype(np.float64)
    t = expand(rows)
    eta = (rng.standard_normal((k, t.shape[1])) / np.sqrt(t.shape[1])).astype(dtype)
    offset = rng.standard_normal(k).astype(dtype)
    weight = rng.exponential(size=n) if weighted else None
    check(x, origin, eta, offset, lines(d), t, weight, tol)


def bits(found: Posterior) -> tuple[bytes, ...]:
    return tuple(np.asarray(each).tobytes() for each in found)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("n", "ks"),
    [
        (70, [3]),
        (1100, [1, 7, 6, 20, 2]),
        (70000, [2, 1]),
        (600, [3] * 37),
        (600, [2, 700, 5, 300]),
    ],
)
def test_mixtures_in_one_call_have_the_bits_of_a_call_each(
    n: int, ks: list[int], dtype: str, weighted: bool
) -> None:
    rng = np.random.default_rng([n, len(ks)])
    x, origin = rng.standard_normal((n, 4)).astype(dtype), rng.standard_normal(4)
    weight = rng.exponential(size=n) if weighted else None
    lines = table.squares(4)
    mixtures = [
        ((0.3 * rng.standard_normal((k, 8))).astype(dtype), rng.standard_normal(k).astype(dtype))
        for k in ks
    ]
    found = list(posteriors(x, origin, mixtures, lines, weight))
    assert len(found) == len(ks)
    for mixture, own in zip(mixtures, found, strict=True):
        assert bits(own) == bits(posterior_sums(x, origin, *mixture, lines, weight))


@jit
def _fill(array: Array) -> None:
    array = borrowed(array)
    array[1:][0] = 2.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_that_are_borrowed_and_aligned(dtype: str) -> None:
    array = np.zeros(3, dtype)
    before = sys.getrefcount(array)
    for _ in range(20):
        _fill(array)
    assert sys.getrefcount(array) == before
    np.testing.assert_array_equal(array, [0.0, 2.0, 0.0])
    for size in range(1, 20):
        own = aligned((2, size, 5), np.dtype(dtype))
        own[:] = 3.0
        assert own.ctypes.data % CACHE_LINE == 0
        np.testing.assert_array_equal(own, np.full((2, size, 5), 3.0, dtype))


@pytest.mark.parametrize("weighted", [False, True])
def test_labelled_squares_are_centred_squares_of_one_hot_responsibilities(weighted: bool) -> None:
    rng = np.random.default_rng(5)
    x, means = rng.standard_normal((300, 5)) + 1e6, rng.standard_normal((7, 5)) + 1e6
    labels = rng.integers(0, 6, 300).astype(np.int32)
    weight = rng.integers(0, 3, 300) / 7 if weighted else None
    resp, wanted = one_hot(labels, weight, 7), np.zeros((7, 10))
    centred_squares(x, resp, means, wanted)
    n, out = np.zeros(7), np.zeros((7, 10))
    labelled_squares(x, labels, np.empty(0) if weight is None else weight, means, n, out)
    np.testing.assert_array_equal(out, wanted)
    np.testing.assert_allclose(n, resp.sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64"])
def test_stored_types(dtype: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (300, 11)).astype(dtype)
    eta, offset = rng.standard_normal((5, 11)), rng.standard_normal(5)
    check(x, np.zeros(11), eta, offset, table.features(11), x.astype(float), None, 1e-12)


def test_products_of_groups_of_columns() -> None:
    rng = np.random.default_rng(2)
    counts, real = rng.integers(0, 3, (400, 2)), rng.standard_normal((400, 2))
    x = np.stack([counts[:, 0], real[:, 0], counts[:, 1], real[:, 1]], axis=1).astype(float)
    groups = [
        (np.array([0, 2]), table.categories(2, 3)),
        (np.array([1, 3]), table.squares(2)),
    ]
    lines = table.beside(groups, 4)
    assert lines is not None
    t = np.concatenate([indicators(x[:, [0, 2]], 3), with_squares(x[:, [1, 3]])], axis=1)
    eta, offset = rng.standard_normal((3, t.shape[1])), rng.standard_normal(3)
    check(x, np.zeros(4), eta, offset, lines, t, None, 1e-12)
    assert table.beside([*groups, (np.array([1]), table.norm(1))], 4) is None


def test_far_components_get_exactly_nothing_and_nan_is_kept() -> None:
    x = np.array([[0.0], [1000.0], [np.nan]])
    eta, offset = np.array([[0.0], [10.0]]), np.array([0.0, -5000.0])
    n, _, value = posterior_sums(x[:2], np.zeros(1), eta, offset, table.features(1), None)
    np.testing.assert_array_equal(n, [1.0, 1.0])
    assert value == 5000.0
    assert np.isnan(posterior_sums(x, np.zeros(1), eta, offset, table.features(1), None)[2])


def test_a_block_without_rows() -> None:
    found = posterior_sums(
        np.empty((0, 3)), np.zeros(3), np.ones((2, 3)), np.zeros(2), table.features(3), None
    )
    assert not found[0].any()
    assert not found[1].any()
    assert found[2] == 0.0


@jit
def _exponentials(score: Array, best: Array, lowest: Any, total: Array) -> None:
    exponentials_of_panel(score, best, lowest, total)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exponentials_are_right_to_two_units_in_the_last_place(dtype: str) -> None:
    rows = panel_rows(np.dtype(dtype).itemsize)
    lowest = np.dtype(dtype).type(-75 if dtype == "float32" else -700)
    rng = np.random.default_rng(3)
    x = (lowest * rng.random((600, rows)) ** 3).astype(dtype)
    x[0, :4] = [0.0, lowest, lowest - 1, -np.inf]
    found, total = x.copy(), np.zeros(rows, dtype)
    _exponentials(found, np.zeros(rows, dtype), lowest, total)
    wanted = np.where(x < lowest, 0.0, np.exp(x.astype(np.longdouble)))
    assert (np.abs(found - wanted) <= 2 * np.finfo(dtype).eps * wanted).all()
    np.testing.assert_allclose(total, found.sum(axis=0), rtol=1e-5)


@jit
def _two_best(
    panel: Array, eta: Array, offset: Array, best: Array, second: Array, labels: Array
) -> None:
    two_best_of_panel(panel, eta, offset, best, second, labels)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_the_two_best(k: int, dtype: str) -> None:
    rng = np.random.default_rng(k)
    rows = panel_rows(np.dtype(dtype).itemsize)
    panel = rng.integers(-3, 4, (4, rows)).astype(dtype)
    eta, offset = rng.integers(-3, 4, (k, 4)).astype(dtype), np.zeros(k, dtype)
    best, second = np.full((2, rows), -np.inf, dtype)
    labels = np.zeros(rows, np.int32)
    _two_best(panel, *pack_components(eta, offset), best, second, labels)
    score = eta @ panel
    ordered = np.sort(np.concatenate([np.full((1, rows), -np.inf), score]), axis=0)
    np.testing.assert_array_equal(best, ordered[-1])
    np.testing.assert_array_equal(second, ordered[-2])
    np.testing.assert_array_equal(labels, score.argmax(axis=0))


def test_components_fill_up_to_whole_groups() -> None:
    eta, offset = pack_components(np.ones((COMPONENTS + 1, 3)), np.zeros(COMPONENTS + 1))
    assert eta.shape == (2, 3, COMPONENTS)
    assert np.isneginf(offset[COMPONENTS + 1 :]).all()
