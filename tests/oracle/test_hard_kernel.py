"""The compiled block of hard assignment, for all statistics, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdist.interfaces import Array
from emdist.kernels.tiles.assign import scatter
from emdist.kernels.tiles.counts import indicators
from emdist.kernels.tiles.moments import with_norm, with_products, with_squares
from emdist.kernels.vector import lines as table
from emdist.kernels.vector.hard import classified_rows, classified_sums
from emdist.kernels.vector.lines import Lines
from emdist.kernels.vector.scattering import Steps


def mixed(d: int) -> Lines:
    """Squares of every other feature, and categories of those between."""
    even, odd = np.arange(0, d, 2), np.arange(1, d, 2)
    parts = [(even, table.squares(len(even))), (odd, table.categories(len(odd), 3))]
    found = table.beside(parts[: 1 + (d > 1)], d)
    assert found is not None
    return found


def with_mixed(x: Array) -> Array:
    return np.concatenate([with_squares(x[:, ::2]), indicators(x[:, 1::2], 3)], axis=1)


STATISTICS: dict[str, Any] = {
    "features": (table.features, lambda x: x),
    "squares": (table.squares, with_squares),
    "norm": (table.norm, with_norm),
    "products": (table.products, with_products),
    "categories": (lambda d: table.categories(d, 3), lambda x: indicators(x, 3)),
    "mixed": (mixed, with_mixed),
}
SHAPES = [(1, 1, 1), (63, 2, 3), (65, 3, 7), (700, 5, 6), (130, 8, 5), (90, 16, 2), (515, 17, 13)]


def eighths(rng: np.random.Generator, *shape: int) -> Array:
    """Draw numbers whose products with small integers add up exactly."""
    return rng.integers(-16, 16, shape) / 8


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize("name", STATISTICS)
def test_labels_and_sums(name: str, n: int, d: int, k: int, dtype: str, weighted: bool) -> None:
    lines, expand = STATISTICS[name]
    rng = np.random.default_rng([n, d, k])
    # Small integers, so that every sum is exact and ties occur.
    x = rng.integers(-1, 4, (n, d)).astype(dtype)
    origin = np.ones(d)
    t = expand(x - origin)
    eta, offset = eighths(rng, k, t.shape[1]).astype(dtype), eighths(rng, k).astype(dtype)
    weight = rng.integers(0, 3, n) / 4 if weighted else None
    score = t @ eta.T.astype(np.float64) + offset
    wanted = score.argmax(axis=1)
    labels, best = classified_rows(x, origin, eta, offset, lines(d))
    np.testing.assert_array_equal(labels, wanted)
    np.testing.assert_array_equal(best, score.max(axis=1))
    found = classified_sums(x, origin, eta, offset, lines(d), weight)
    w = np.ones(n) if weight is None else weight
    counts, sums = scatter(t, wanted.astype(np.int32), weight, k)
    np.testing.assert_array_equal(found[0], counts)
    np.testing.assert_array_equal(found[1], sums)
    assert found[2] == w @ score.max(axis=1)


def test_rows_that_the_kernel_is_not_compiled_for() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 4, (70000, 3))
    eta, offset = eighths(rng, 4, 6), eighths(rng, 4)
    plain = classified_sums(x.astype(np.float64), np.ones(3), eta, offset, table.squares(3), None)
    for stored in (x.astype(np.int16), np.asfortranarray(x, np.float64)):
        found = classified_sums(stored, np.ones(3), eta, offset, table.squares(3), None)
        for one, other in zip(found, plain, strict=True):
            np.testing.assert_array_equal(one, other)


def test_sums_of_float32_rows_are_those_of_exact_statistics() -> None:
    # Squares of float32 numbers are exact in float64, where they are added.
    rng = np.random.default_rng(4)
    x = rng.standard_normal((5000, 3)).astype(np.float32)
    eta, offset = np.zeros((1, 6), np.float32), np.zeros(1, np.float32)
    _, sums, _ = classified_sums(x, np.zeros(3), eta, offset, table.squares(3), None)
    wanted = (x.astype(np.float64) ** 2).sum(axis=0)
    np.testing.assert_allclose(sums[0, 3:], wanted, rtol=1e-14)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_no_component_can_score_spoils_the_objective(value: float) -> None:
    x = np.array([[1.0], [value], [2.0]])
    eta, offset = np.array([[1.0, -1.0], [2.0, -2.0]]), np.zeros(2)
    found = classified_sums(x, np.zeros(1), eta, offset, table.squares(1), None)
    assert not np.isfinite(found[2])
    labels, best = classified_rows(x, np.zeros(1), eta, offset, table.squares(1))
    assert not np.isfinite(best[1])
    assert np.isfinite(best[[0, 2]]).all()
    assert labels[1] == 0


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("d", [1, 2, 7, 8, 9, 40])
def test_steps_compute_each_statistic_once(name: str, d: int) -> None:
    lines = STATISTICS[name][0](d)
    steps = Steps.of(lines)
    assert len(set(steps.columns.tolist())) == len(lines.pairs)
    step, lane = np.divmod(steps.columns, 8)
    single = step < steps.single
    first = steps.lines[step, 0] + np.where(single, 0, lane)
    found = np.stack([first, steps.lines[step, 1] + lane], axis=1)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(lines.pairs, axis=1))
    if name in ("features", "squares", "norm", "categories"):
        parts = {"features": 1, "squares": 2, "norm": 1, "categories": 3}[name] * d
        assert len(steps.lines) <= parts // 8 + 3
