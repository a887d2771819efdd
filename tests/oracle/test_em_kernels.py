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
from emdist.kernels.vector.waiting import most_listed

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


def clusters(n: int, d: int, k: int, dtype: str, far: int) -> tuple[Array, Array, Array]:
    """Return rows, eta and offset of k spherical clusters; the first `far` overlap with no other.

    The others have one mean, so that all of them share each of their rows.
    """
    rng = np.random.default_rng([n, d, k, far])
    means = np.zeros((k, d))
    means[:far] = 12.0 * np.sign(rng.standard_normal((far, d)))
    x = (means[rng.integers(0, k, n)] + rng.standard_normal((n, d))).astype(dtype)
    upper = np.tile(-0.5 * np.eye(d)[np.triu_indices(d)], (k, 1))
    eta = np.concatenate([means, upper], axis=1).astype(dtype)
    return x, eta, (-0.5 * (means * means).sum(axis=1)).astype(dtype)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize(
    ("n", "k", "far"), [(1, 7, 7), (31, 32, 32), (1000, 32, 32), (3000, 32, 12), (70000, 13, 9)]
)
def test_sums_of_components_that_few_rows_have_a_share_in(
    n: int, k: int, far: int, dtype: str, tol: float, weighted: bool, ordered: bool
) -> None:
    d = 10
    x, eta, offset = clusters(n, d, k, dtype, far)
    if ordered:
        x = x[np.lexsort(x.T)]
    assert most_listed(panel_rows(x.itemsize), eta.shape[1] + 1) > 0
    weight = np.random.default_rng(n).integers(0, 3, n) / 7 if weighted else None
    t = with_products(x.astype(np.float64))
    check(x, np.zeros(d), eta, offset, table.products(d), t, weight, tol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_lists_of_rows_of_one_mixture_do_not_change_the_bits_of_another(dtype: str) -> None:
    d, lines = 10, table.products(10)
    x = np.concatenate([clusters(2000, d, 20, dtype, far)[0] for far in (20, 0, 10)])
    mixtures = [clusters(2000, d, k, dtype, far)[1:] for k, far in [(20, 20), (7, 3), (20, 0)]]
    found = list(posteriors(x, np.zeros(d), mixtures, lines, None))
    for mixture, own in zip(mixtures, found, strict=True):
        assert bits(own) == bits(posterior_sums(x, np.zeros(d), *mixture, lines, None))


def test_rows_without_weight_do_not_reach_the_lists() -> None:
    d = 10
    x, eta, offset = clusters(900, d, 32, "float64", 32)
    weight = np.ones(len(x))
    weight[::2] = 0.0
    x[::2] *= 1e3
    n, t, _ = posterior_sums(x, np.zeros(d), eta, offset, table.products(d), weight)
    own = posterior_sums(x[1::2], np.zeros(d), eta, offset, table.products(d), None)
    np.testing.assert_allclose(n, own[0], rtol=1e-12)
    np.testing.assert_allclose(t, own[1], rtol=1e-12, atol=1e-9)


def test_nan_reaches_the_sums() -> None:
    x, eta, offset = clusters(900, 10, 32, "float64", 32)
    x[77, 3] = np.nan
    n, _, value = posterior_sums(x, np.zeros(10), eta, offset, table.products(10), None)
    assert np.isnan(n).any()
    assert np.isnan(value)


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
