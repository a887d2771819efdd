"""Laws of collapse: every policy does what it says, and no parameter is ever NaN."""

import numpy as np
import pytest

import emdist
from emdist.errors import CollapseError, DataError
from emdist.fit.start import Given
from emdist.interfaces import Array
from emdist.parameters.variants import entry
from tests.support.fitting import (
    ALL_FAMILIES,
    CENTRES,
    VARIATIONAL,
    Fitting,
    Setting,
    blobs,
    draw,
    exact_options,
    fit_array,
    is_shifted,
    lost_start,
    seeds_for,
    wide,
)

POLICIES = ["regularise", "reseed", "drop"]
FAR = 1e4


def assert_sound(found: Fitting) -> None:
    """No NaN, no infinity, weights that sum to 1."""
    for what, value in found.arrays.items():
        assert np.isfinite(value).all(), what
    assert found.arrays["weights"].sum() == pytest.approx(1.0)
    assert all(np.isfinite(r.objective) for r in found.state.history)


def duplicates(name: str, dtype: str = "float64") -> Array:
    """Four points, each many times over."""
    rng = np.random.default_rng(0)
    domain_free = name in CENTRES or is_shifted(name)
    points = rng.standard_normal((4, 3)) * 3 if domain_free else seeds_for(name, 4, 8, rng)
    return np.repeat(points, [90, 60, 40, 10], axis=0).astype(dtype)


def start_with_one_far(x: Array) -> Given:
    return lost_start("full", x, FAR)


def widths(found: Fitting) -> Array:
    return np.concatenate(
        [np.ravel(v) for name, v in found.arrays.items() if name not in ("means", "weights")]
    )


# ---- components that lose all their rows


@pytest.mark.covering
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_a_component_without_rows(name: str, policy: str, assignment: str, dtype: str) -> None:
    x = draw(name, 400, 3, wide(name, 2))[0].astype(dtype)
    # A posterior may leave the component empty again, if it goes on until a few nats do not matter.
    tol = 1e-3 * len(x) if name in VARIATIONAL else 1e-3
    fitting = {"on_collapse": policy, "max_iter": 30, "tol": tol}
    found = fit_array(x, Setting(name, 3, assignment, fit=fitting), lost_start(name, x, FAR))
    assert_sound(found)
    first = found.state.history[0]
    assert (first.reseeded, first.dropped) == {
        "regularise": (0, 0), "reseed": (1, 0), "drop": (0, 1)
    }[policy]  # fmt: skip
    assert len(found.means) == (2 if policy == "drop" else 3)
    if policy == "reseed":
        assert np.abs(found.means).max() < 100
        assert found.arrays["weights"].min() > 1e-4


@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", [*CENTRES, *ALL_FAMILIES])
def test_the_policy_raise_raises(name: str, assignment: str) -> None:
    like = "full" if name in CENTRES else name
    x = draw(like, 400, 3, wide(like, 2))[0]
    setting = Setting(name, 3, assignment, fit={"on_collapse": "raise"})
    told = "Cluster 2 lost all rows" if name in CENTRES else "Component 2 collapsed"
    with pytest.raises(CollapseError, match=told):
        fit_array(x, setting, lost_start(like, x, FAR))


@pytest.mark.parametrize("policy", POLICIES)
def test_kmeans_without_rows_for_a_centre(policy: str) -> None:
    x = blobs(300, 2, 3)[0]
    setting = Setting("kmeans", 3, fit={"on_collapse": policy})
    found = fit_array(x, setting, start_with_one_far(x))
    assert_sound(found)
    assert len(found.means) == (2 if policy == "drop" else 3)
    assert (np.abs(found.means) > 100).any() == (policy == "regularise")


# ---- components too narrow for a density


@pytest.mark.covering
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("policy", [None, *POLICIES])
@pytest.mark.parametrize("name", [*CENTRES, *ALL_FAMILIES])
def test_duplicates_with_the_default_regularisation(
    name: str, policy: str | None, dtype: str
) -> None:
    setting = Setting(name, 4, fit={"on_collapse": policy, "n_init": 2})
    found = fit_array(duplicates(name, dtype), setting)
    assert_sound(found)
    if name in ("full", "diagonal", "spherical"):
        # Means within a hair of the points, widths what was added to them.
        assert widths(found).min() > -1e-7


@pytest.mark.parametrize("policy", [*POLICIES, "raise"])
@pytest.mark.parametrize("name", [n for n in ALL_FAMILIES if exact_options(n)])
def test_duplicates_without_regularisation_end_soundly_or_say_so(name: str, policy: str) -> None:
    setting = Setting(name, 4, options=exact_options(name), fit={"on_collapse": policy})
    try:
        found = fit_array(duplicates(name), setting)
    except CollapseError as error:
        assert "collapse" in str(error)  # noqa: PT017 - either outcome is right
        assert "reg_covar" in str(error)  # noqa: PT017
        return
    # A prior is a regularisation.
    assert policy in ("reseed", "drop") or name in VARIATIONAL
    assert_sound(found)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", [*CENTRES, *ALL_FAMILIES])
def test_as_many_components_as_rows(name: str, policy: str) -> None:
    like = "full" if name in CENTRES else name
    x = draw(like, 24, 3, wide(like, 2))[0]
    assert_sound(fit_array(x, Setting(name, 24, fit={"on_collapse": policy, "max_iter": 20})))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", [n for n in ALL_FAMILIES if exact_options(n)])
def test_constant_features(name: str, policy: str) -> None:
    x = np.column_stack([blobs(300, 2, 2)[0], np.full(300, 7.0)])
    found = fit_array(x, Setting(name, 2, fit={"on_collapse": policy}))
    assert_sound(found)
    np.testing.assert_allclose(found.means[:, 2], 7.0, rtol=1e-12)


@pytest.mark.parametrize("name", [*CENTRES, *ALL_FAMILIES])
def test_one_row_and_one_component(name: str) -> None:
    found = fit_array(np.ones((1, 2)), Setting(name, 1))
    assert_sound(found)
    np.testing.assert_allclose(found.means, 1.0)


@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_components_below_min_weight_are_dropped(name: str) -> None:
    x = draw(name, 1000, 2, wide(name, 2))[0]
    fitting = {"on_collapse": "drop", "tol": 1e-6}
    found = fit_array(x, Setting(name, 10, min_weight=0.12, fit=fitting))
    assert_sound(found)
    # Ten of at least 0.12 each would be more than everything.
    assert len(found.means) < 9
    assert sum(r.dropped for r in found.state.history) == 10 - len(found.means)
    assert found.arrays["weights"].min() >= 0.12 - 1e-3


def test_all_components_below_min_weight_is_an_error() -> None:
    x = blobs(400, 2, 4)[0]
    setting = Setting("diagonal", 4, min_weight=0.9, fit={"on_collapse": "drop"})
    with pytest.raises(CollapseError, match=r"All components collapsed\. Lower model\.min_weight"):
        fit_array(x, setting)
    setting = Setting("diagonal", 4, min_weight=0.9, fit={"on_collapse": "raise"})
    with pytest.raises(CollapseError, match=r"collapsed: 0\.9 or less of the weight of the rows"):
        fit_array(x, setting)


@pytest.mark.parametrize("name", ["kmeans", "full", "diagonal"])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_squares_that_overflow_float64_are_refused(name: str) -> None:
    x = blobs(100, 2, 2)[0]
    with pytest.raises(DataError, match="its squares overflow"):
        fit_array(x * 1e200, Setting(name, 2))


def test_regularise_keeps_what_the_m_step_gives() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(3, 1, (50, 2)), rng.normal(10, 1, (50, 2))])
    far = np.array([[3.0, 3.0], [10.0, 10.0], [500.0, 500.0]])
    made = emdist.GaussianMixture(
        3, means_init=far, precisions_init=[np.eye(2)] * 3, weights_init=[0.4, 0.4, 0.2],
        reg_covar=1e-4, max_iter=3, tol=0,
    )  # fmt: skip
    with pytest.warns(RuntimeWarning, match="variance floor"):
        made.fit(x)
    assert made.weights_[2] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(made.covariances_[2], 1e-4 * np.eye(2), atol=1e-12)
    told = entry("GaussianMixture", "on_collapse").choices["regularise"]
    assert told.startswith("Keep it, with the parameters that the M-step gives it.")
    assert "reg_covar" in told
