"""What a start is worth: an optimal one, a poor one, drawn ones on average."""

from __future__ import annotations

import numpy as np

from emdist.fit.start import Given
from emdist.interfaces import Array, Floats
from tests.support.fitting import Fitting, Setting, blobs, fit_array


def lloyd(x: Array, start: Floats | None = None, **fit: object) -> Fitting:
    k = 4 if start is None else len(start)
    return fit_array(x, Setting("kmeans", k, fit=fit), None if start is None else Given(start))


def test_an_optimal_start_takes_one_iteration_and_a_poor_one_more() -> None:
    x, _ = blobs(600, 2, 4, 40.0, seed=1)
    optimum = lloyd(x, n_init=5)
    assert lloyd(x, optimum.means).iterations == 1
    poor = lloyd(x, x[:4] * 0.01)
    assert poor.iterations > 2
    # A fixed point: once more changes nothing, and it was the best that was found.
    np.testing.assert_allclose(lloyd(x, optimum.means).means, optimum.means, rtol=1e-12)
    assert optimum.objective <= poor.objective


def test_an_optimal_start_of_a_mixture_takes_one_iteration_too() -> None:
    x, _ = blobs(600, 2, 3, 20.0, seed=2)
    found = fit_array(x, Setting("full", 3, fit={"tol": 1e-10, "max_iter": 500}))
    start = Given(
        found.means, found.params.weights, {"covariances": found.params.components.covariances}
    )
    again = fit_array(x, Setting("full", 3, fit={"tol": 1e-3}), start)
    # The bound's change is known after two.
    assert again.iterations == 2
    assert abs(again.objective - found.objective) < 1e-8


def test_plusplus_beats_random_rows_on_average() -> None:
    ends = {}
    for init in ("random", "k-means++"):
        found = []
        for seed in range(20):
            x, _ = blobs(600, 2, 8, 6.0, seed=seed)
            setting = Setting("kmeans", 8, fit={"init": init, "seed": seed, "tol": 0.0})
            fitted = fit_array(x, setting)
            found.append((fitted.iterations, fitted.objective))
        ends[init] = np.array(found)
    iterations, inertia = (ends["random"] / ends["k-means++"]).T
    assert ends["k-means++"][:, 0].mean() < 0.75 * ends["random"][:, 0].mean()
    assert ends["k-means++"][:, 1].mean() < 0.75 * ends["random"][:, 1].mean()
    assert np.mean(inertia >= 1 - 1e-9) >= 0.7
    assert np.median(iterations) > 1
