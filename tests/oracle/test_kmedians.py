"""K-medians against a plain one in NumPy, whose medians are numpy.quantile's."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emdist.fit.start import Given
from emdist.fit.state import Status
from emdist.interfaces import Array, Floats
from tests.support.fitting import Fitting, Setting, blobs, fit_array


def median(x: Array, weight: Array | None = None) -> Floats:
    """The smallest value of each feature with at least half the weight."""
    return np.quantile(x, 0.5, axis=0, weights=weight, method="inverted_cdf")


def distances(x: Array, centres: Floats) -> Floats:
    """(n, k), added feature by feature: NumPy's own sum takes another order."""
    x = np.asarray(x, np.float64)
    out = np.zeros((len(x), len(centres)))
    for j in range(x.shape[1]):
        out += np.abs(x[:, j, None] - centres[:, j])
    return out


def medians_of(x: Array, labels: Array, before: Floats, weight: Array | None = None) -> Floats:
    """One M-step of the plain algorithm; a cluster without weight stays where it is."""
    after = np.array(before)
    heavy = np.ones(len(x), bool) if weight is None else weight > 0
    for c in range(len(before)):
        own = (labels == c) & heavy
        if own.any():
            after[c] = median(x[own], None if weight is None else weight[own])
    return after


def plain(x: Array, centres: Floats) -> tuple[Floats, float, int]:
    """K-medians from `centres` to its fixed point: centres, objective, iterations."""
    for iteration in range(1, 1000):
        distance = distances(x, centres)
        new = medians_of(x, distance.argmin(axis=1), centres)
        if np.array_equal(new, centres):
            return centres, float(distance.min(axis=1).sum()), iteration
        centres = new
    raise AssertionError("no fixed point")


def check_fixed_point(found: Fitting, x: Array, weight: Array | None = None) -> None:
    """Fail unless the plain algorithm would stay where `found` is, to the bit."""
    assert found.status is Status.UNCHANGED
    distance = distances(x, found.means)
    labels = distance.argmin(axis=1)
    np.testing.assert_array_equal(found.assign(x).labels, labels)
    np.testing.assert_array_equal(medians_of(x, labels, found.means, weight), found.means)
    w = np.ones(len(x)) if weight is None else weight
    assert found.objective == pytest.approx(w @ distance.min(axis=1), rel=1e-12, abs=1e-300)
    objective = np.array([r.objective for r in found.state.history])
    # Products of subnormal numbers and weights keep no digits.
    assert (np.diff(objective) <= 1e-12 * objective[:-1] + 1e-318).all()


def magnitudes(rng: np.random.Generator, n: int, d: int) -> Floats:
    return rng.choice([-1.0, 1.0], (n, d)) * 10.0 ** rng.uniform(-320, 140, (n, d))


SCALES = {
    "normal": lambda rng, n, d: rng.standard_normal((n, d)),
    "far": lambda rng, n, d: rng.standard_normal((n, d)) + 1e8,
    "ties": lambda rng, n, d: rng.integers(-2, 3, (n, d)).astype(np.float64),
    "zeros": lambda rng, n, d: rng.poisson(0.2, (n, d)).astype(np.float64),
    "signed zeros": lambda rng, n, d: rng.choice([-0.0, 0.0, 1.0, -1.0], (n, d)),
    "magnitudes": magnitudes,
    "subnormal": lambda rng, n, d: rng.integers(-9, 9, (n, d)) * 5e-324,
    "neighbours": lambda rng, n, d: 1.0 + rng.integers(0, 9, (n, d)) * 2.0**-52,
    "constant": lambda rng, n, d: np.column_stack([np.arange(n) % 7.0, np.full((n, d), 0.1)]),
    "outliers": lambda rng, n, d: rng.standard_cauchy((n, d)) ** 5,
    "float32": lambda rng, n, d: rng.standard_normal((n, d)).astype(np.float32),
    "bytes": lambda rng, n, d: rng.integers(0, 256, (n, d)).astype(np.uint8),
    "integers": lambda rng, n, d: rng.integers(-(2**40), 2**40, (n, d)),
}
WEIGHTS = {
    "none": lambda rng, n: None,
    "counts": lambda rng, n: rng.integers(0, 4, n).astype(np.float64),
    "real": lambda rng, n: rng.exponential(size=n),
    "dyadic": lambda rng, n: 2.0 ** rng.integers(-9, 9, n),
}


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(SCALES)),
    weights=st.sampled_from(sorted(WEIGHTS)),
    n=st.integers(1, 60),
    d=st.integers(1, 3),
    k=st.integers(1, 4),
    bins=st.sampled_from([8, 9, 31, 64]),
    seed=st.integers(0, 2**32),
)
@example(kind="magnitudes", weights="none", n=60, d=3, k=1, bins=8, seed=0)
@example(kind="subnormal", weights="counts", n=60, d=3, k=2, bins=64, seed=0)
def test_it_ends_at_a_fixed_point_of_the_plain_algorithm(
    kind: str, weights: str, n: int, d: int, k: int, bins: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = SCALES[kind](rng, n, d)
    weight = WEIGHTS[weights](rng, n)
    heavy = x if weight is None else x[weight > 0]
    k = min(k, len(np.unique(heavy + heavy.dtype.type(0), axis=0)))
    if k == 0:
        return
    setting = Setting("kmedians", k, options={"bins": bins}, fit={"seed": seed % 97})
    check_fixed_point(fit_array(x, setting, weight=weight, block_bytes=17 * 8 * d), x, weight)


def test_one_cluster_is_the_median_of_everything() -> None:
    x = np.random.default_rng(0).lognormal(0, 40, (5001, 3))
    x[:, 1] *= np.sign(np.arange(5001) - 2000.5)
    weight = np.random.default_rng(1).integers(0, 5, 5001).astype(np.float64)
    for w in (None, weight):
        found = fit_array(x, Setting("kmedians", 1), weight=w, block_bytes=9999)
        np.testing.assert_array_equal(found.means[0], median(x, w))
        assert found.iterations <= 12


@pytest.mark.parametrize(("bins", "most"), [(8, 64), (64, 17), (256, 12)])
def test_the_number_of_passes_is_bounded_for_any_floats(bins: int, most: int) -> None:
    # Every other value halves what is left between it and the median, however that is measured.
    value = np.cumsum(2.0 ** -np.arange(0.0, 1070.0, 2.0)[::-1])
    bits = np.random.default_rng(0).integers(0, 2**62, (500, 1)).view(np.float64)
    for x in (np.concatenate([-value, [0.0], value])[:, None], bits[np.abs(bits[:, 0]) < 1e140]):
        found = fit_array(x, Setting("kmedians", 1, options={"bins": bins}))
        np.testing.assert_array_equal(found.means[0], median(x))
        assert found.iterations <= most


def test_tol_ends_sooner_and_within_its_bound() -> None:
    x, _ = blobs(3000, 3, 8, 1.5)
    exact = fit_array(x, Setting("kmedians", 8), Given(x[:8]))
    found = fit_array(x, Setting("kmedians", 8, fit={"tol": 1e-3}), Given(x[:8]))
    assert found.status is Status.SETTLED
    assert found.iterations < exact.iterations
    labels = distances(x, found.means).argmin(axis=1)
    # The medians of the rows as last labelled are as near as the rule says; a few have moved on.
    apart = medians_of(x, labels, found.means) - found.means
    assert (apart**2).sum() < 4e-3 * x.var(axis=0).mean()
    assert found.objective < 1.01 * exact.objective


@pytest.mark.parametrize("policy", ["reseed", "drop", "regularise"])
def test_a_centre_without_rows(policy: str) -> None:
    x = blobs(400, 2, 3, 8.0)[0]
    start = Given(np.concatenate([x[:2], [[1e4, 1e4]]]))
    found = fit_array(x, Setting("kmedians", 3, fit={"on_collapse": policy}), start)
    check_fixed_point(found, x)
    first = found.state.history[0]
    assert (first.reseeded, first.dropped) == {
        "regularise": (0, 0), "reseed": (1, 0), "drop": (0, 1)
    }[policy]  # fmt: skip
    assert (found.means.max() == 1e4) == (policy == "regularise")


@pytest.mark.parametrize("scale", [1.0, 1e-200])
def test_a_move_too_small_to_square_is_a_move(scale: float) -> None:
    x = blobs(500, 2, 3)[0] * scale
    found = fit_array(x, Setting("kmedians", 3), Given(x[:3]))
    check_fixed_point(found, x)
    assert found.iterations > 3


def test_equal_weights_of_any_size_tie_where_rows_do() -> None:
    # Sums of 0.1 are not exact, and half of them not half: the lower of two middle values all the
    # same.
    x = np.random.default_rng(0).permutation(1000).astype(np.float64)[:, None]
    for weight in (0.1, 1e-300, 3e200, 1 / 3):
        found = fit_array(x, Setting("kmedians", 1), weight=np.full(1000, weight), block_bytes=999)
        np.testing.assert_array_equal(found.means, [[499.0]])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_separated_clusters_are_those_of_the_plain_algorithm(dtype: str) -> None:
    x, centres = blobs(4000, 5, 6, 12.0, dtype=dtype)
    start = centres + 2.0
    wanted, objective, _ = plain(x, start)
    found = fit_array(x, Setting("kmedians", 6), Given(start), block_bytes=20_000)
    check_fixed_point(found, x)
    np.testing.assert_array_equal(found.means, wanted)
    assert found.objective == pytest.approx(objective, rel=1e-12)
    assert found.iterations <= 9


@pytest.mark.parametrize("seed", range(3))
def test_overlapping_clusters_end_as_well_as_those_of_the_plain_algorithm(seed: int) -> None:
    x, _ = blobs(3000, 3, 8, 1.5, seed)
    start = x[:8]
    _, objective, iterations = plain(x, start)
    found = fit_array(x, Setting("kmedians", 8), Given(start))
    check_fixed_point(found, x)
    assert found.objective < 1.02 * objective
    assert found.iterations < 2 * iterations + 12


def test_far_rows_pull_means_and_not_medians() -> None:
    x, centres = blobs(3000, 4, 3, 8.0)
    x[:30] = 1e6 * (1.0 + np.random.default_rng(0).random((30, 4)))
    heavy = np.ones(len(x), bool)
    heavy[:30] = False
    alone = fit_array(x[heavy], Setting("kmedians", 3), Given(centres))
    found = fit_array(x, Setting("kmedians", 3), Given(centres))
    assert np.abs(found.means - alone.means).max() < 0.2
    means = fit_array(x, Setting("kmeans", 3), Given(centres))
    assert np.abs(means.means - alone.means).max() > 1e3
