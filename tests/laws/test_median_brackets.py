"""Laws of K-medians' M-step: brackets hold the median and shrink, and no centre gets worse."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdist.interfaces import Floats
from emdist.kernels.tiles.histograms import grid, ordinals
from emdist.kernels.vector.bins import tally
from emdist.models.median_brackets import Brackets, narrowed

#: Few enough values to collide, near and far from each other.
VALUES = st.one_of(
    st.integers(-5, 5).map(float),
    st.integers(0, 40).map(lambda i: 10.0 + i / 64),
    st.floats(-1e140, 1e140),
    st.sampled_from([5e-324, -5e-324, 1e-300, 1.0 + 2.0**-52, 1e8]),
)
ROWS = st.lists(st.tuples(VALUES, st.integers(1, 9)), min_size=1, max_size=25)


def cost(rows: list[tuple[float, int]], centre: float) -> Fraction:
    """Exact sum of weighted distances."""
    return sum((w * abs(Fraction(x) - Fraction(centre)) for x, w in rows), Fraction(0))


def lower_median(rows: list[tuple[float, int]]) -> float:
    half, upto = sum(w for _, w in rows) / 2, 0
    for x, w in sorted(rows):
        upto += w
        if upto >= half:
            return x + 0.0
    raise AssertionError("no weight")


def one_pass(rows: list[tuple[float, int]], found: Brackets, bins: int) -> Brackets:
    """The M-step after a pass over one cluster of one feature."""
    x = np.array([[x] for x, _ in rows])
    weight = np.array([float(w) for _, w in rows])
    on = grid(found.low, found.high, found.reach, bins)
    total, least, most = tally(x, np.zeros(1), np.zeros(len(rows), np.int32), weight, on)
    assert total.sum() == weight.sum()
    in_order = np.sort(np.stack([least, most], axis=-1)[total > 0].ravel())
    np.testing.assert_array_equal(in_order, np.stack([least, most], axis=-1)[total > 0].ravel())
    return narrowed(found, total, least, most)


def floats_within(found: Brackets) -> int:
    return int(ordinals(found.high)[0, 0]) - int(ordinals(found.low)[0, 0])


def cell(*values: float) -> tuple[Floats, ...]:
    return tuple(np.full((1, 1), value) for value in values)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(
    rows=ROWS,
    centre=VALUES,
    bracket=st.tuples(VALUES, VALUES).map(sorted),
    reach=st.sampled_from([0.0, 1e-320, 0.1, 3.0, 1e140]),
    bins=st.integers(8, 70),
)
def test_any_bracket_finds_the_median_and_no_step_makes_it_worse(
    rows: list[tuple[float, int]], centre: float, bracket: list[float], reach: float, bins: int
) -> None:
    found = Brackets(*cell(centre, *bracket, reach))
    median = lower_median(rows)
    for passes in range(1, 80):
        new = one_pass(rows, found, bins)
        low, high, now = (float(a[0, 0]) for a in (new.low, new.high, new.means))
        before = float(found.means[0, 0])
        assert low <= median <= high
        assert cost(rows, now) <= cost(rows, before)
        if passes > 1:
            assert low >= found.low[0, 0]
            assert high <= found.high[0, 0]
        if low == high:
            break
        if passes > 1:
            assert floats_within(new).bit_length() < floats_within(found).bit_length()
        found = new
    assert now == median


def test_a_step_into_the_bin_is_as_long_as_is_safe() -> None:
    # From 0 to the bin [10, 14]: weight 1 of 5 lies before the half there, 1.5 of 5 after it.
    rows = [(0.0, 2), (10.0, 1), (14.0, 2)]
    whole = Brackets(*cell(-1.0, 9.0, 100.0, 1.0))
    new = one_pass(rows, whole, 8)
    assert (new.low[0, 0], new.high[0, 0]) == (10.0, 14.0)
    assert 10.0 < new.means[0, 0] < 14.0
    assert cost(rows, float(new.means[0, 0])) < cost(rows, -1.0)


def test_exactly_half_the_weight_in_the_bins_so_far_ends_the_search() -> None:
    rows = [(10.0, 1), (10.1, 1), (99.0, 1), (100.0, 1)]
    new = one_pass(rows, Brackets(*cell(50.0, 10.0, 100.0, 1.0)), 8)
    assert (new.low[0, 0], new.means[0, 0], new.high[0, 0]) == (10.1, 10.1, 10.1)
