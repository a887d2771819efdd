"""Integer weights against repeated rows, and weight 0 against no row."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from emdist.fit.start import Given
from emdist.interfaces import Floats
from tests.support.fitting import (
    ALL_FAMILIES,
    Setting,
    blobs,
    draw,
    fit_array,
    is_shifted,
    relative,
    wide,
)
from tests.support.reference_data import GAUSSIAN, broad

MODELS = ["kmeans", *ALL_FAMILIES]
X = blobs(800, 5, 4, 3.0, dtype="float32")[0].astype(np.float64)
WEIGHT = np.random.default_rng(1).integers(0, 4, len(X))


def data_for(name: str) -> Floats:
    """`X`, or rows that the family can have made."""
    if name == "kmeans" or is_shifted(name):
        return X
    return draw(name, len(X), 4, wide(name, 5))[0]


def given_for(name: str) -> Given:
    return broad(X, 4, name)[0] if name in GAUSSIAN else Given(data_for(name)[:4])


# float32: another order of rows in a tile rounds otherwise.
@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", MODELS)
def test_weights_are_repeated_rows(name: str, assignment: str, dtype: str, tol: float) -> None:
    x, given = data_for(name).astype(dtype), given_for(name)
    # A posterior's default tol is of the whole bound: below the rounding of float32, which would
    # decide when the fit ends.
    whole = dtype == "float32" and name.startswith("variational")
    setting = Setting(name, 4, assignment, fit={"tol": 1.0} if whole else {})
    weighted = fit_array(x, setting, given, WEIGHT)
    repeated = fit_array(np.repeat(x, WEIGHT, axis=0), setting, given)
    absent = fit_array(x[WEIGHT > 0], setting, given, WEIGHT[WEIGHT > 0])
    for other in (repeated, absent):
        assert weighted.iterations == other.iterations
        assert weighted.objective == pytest.approx(other.objective, rel=tol)
        for what, value in weighted.arrays.items():
            assert relative(value, other.arrays[what]) < tol, what


@pytest.mark.parametrize("name", GAUSSIAN)
def test_repeated_rows_are_scikit_learns(name: str) -> None:
    given, theirs = broad(X, 4, name)
    model = GaussianMixture(4, covariance_type=GAUSSIAN[name][0], **theirs)
    model.fit(np.repeat(X, WEIGHT, axis=0))
    ours = fit_array(X, Setting(name, 4), given, WEIGHT)
    assert ours.iterations == model.n_iter_
    assert relative(ours.means, model.means_) < 1e-8
    assert relative(ours.arrays[GAUSSIAN[name][1]], model.covariances_) < 1e-8
    assert ours.objective == pytest.approx(model.lower_bound_, rel=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_the_default_start_knows_weights_too(name: str) -> None:
    # Seeds are random, so not the path but the optimum is compared, on separated clusters.
    real = name == "kmeans" or is_shifted(name)
    x = blobs(900, 3, 3, 10.0)[0] if real else draw(name, 900, 3, wide(name, 3))[0]
    weight = np.random.default_rng(2).integers(0, 3, len(x))
    setting = Setting(name, 3, fit={"tol": 1e-9, "n_init": 3, "max_iter": 200})
    weighted = fit_array(x, setting, weight=weight)
    repeated = fit_array(np.repeat(x, weight, axis=0), setting)
    order, other = (np.argsort(f.means[:, 0]) for f in (weighted, repeated))
    assert relative(weighted.means[order], repeated.means[other]) < 1e-3
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-6)
