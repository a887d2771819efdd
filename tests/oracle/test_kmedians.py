"""K-medians against a plain one in NumPy, whose medians are numpy.quantile's."""

import numpy as np
import pytest
from fitting import Fitting, Setting, blobs, fit_array, prepare, trace
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emdist.errors import EmdistError
from emdist.fit.start import Given
from emdist.interfaces import Array, Floats, Status
from emdist.store.arrays import array_source


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
    assert (np.diff(objective) <= 1e-12 * objective[:-1]).all()


SCALES = {
    "normal": lambda rng, n, d: rng.standard_normal((n, d)),
    "far": lambda rng, n, d: rng.standard_normal((n, d)) + 1e8,
    "ties": lambda rng, n, d: rng.integers(-2, 3, (n, d)).astype(np.float64),
    "zeros": lambda rng, n, d: rng.poisson(0.2, (n, d)).astype(np.float64),
    "signed zeros": lambda rng, n, d: rng.choice([-0.0, 0.0, 1.0, -1.0], (n, d)),
    "magnitudes": lambda rng, n, d: rng.choice([-1, 1], (n, d)) * 10.0 ** rng.uniform(-320, 140, (n, d)),
    "subnormal": lambda rng, n, d: rng.integers(-9, 9, (n, d)) * 5e-324,
    "neighbours": lambda rng, n, d: 1.0 + rng.integers(0, 9, (n, d)) * 2.0**-52,
    "constant": lambda rng, n, d: np.column_stack([np.arange(n) % 7.0, np.full((n, d), 0.1)]),
    "outliers": lambda rng, n, d: rng.standard_cauchy((n, d)) ** 5,
    "float32": lambda rng, n, d: rng.standard_normal((n, d)).astype(np.float32),
    "bytes": lambda rng, n, d: rng.integers(0, 256, (n, d)).astype(np.uint8),
    "integers": lambda rng, n, d: rng.integers(-(2**40), 2**40, (n, d)),
}  # fmt: skip
WEIGHTS = {
    "none": lambda rng, n: None,
    "counts": lambda rng, n: rng.integers(0, 4, n).astype(np.float64),
    "real": lambda rng, n: rng.exponential(size=n),
    "dyadic": lambda rng, n: 2.0 ** rng.integers(-9, 9, n),
}


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
