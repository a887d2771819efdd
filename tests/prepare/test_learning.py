"""Laws of learning: moments add, any engine gives the same bits, any chunking the same numbers."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from emdist.engines.loop import Loop
from emdist.engines.threads import LocalEngine
from emdist.errors import CheckpointError, ConfigError, WeightError
from emdist.fit.preparing import decoded, encoded
from emdist.interfaces import Array
from emdist.prepare.moments import moments_of
from emdist.prepare.source import prepared
from emdist.store.sources.arrays import array_source
from tests.prepare.rows import correlated, learned, with_gaps

X = correlated()
STEPS: list[Any] = ["standardise", {"pca": 3}]
PAIRS: list[Any] = ["standardise", {"pca": {"components": 3, "missing": "pairwise"}}]


def arrays(made: Any) -> list[Array]:
    return [one[name] for one in made.learned for name in sorted(one)]


@pytest.mark.parametrize("steps", [STEPS, PAIRS], ids=["complete", "pairs"])
def test_every_engine_learns_the_same_bits(steps: list[Any]) -> None:
    x = X if steps is STEPS else with_gaps(X)
    missing = steps is PAIRS
    engines = [LocalEngine(1), LocalEngine(3), Loop()]
    found = [learned(x, steps, missing=missing, engine=one) for one in engines]
    for made, y in found[1:]:
        assert all(
            np.array_equal(a, b) for a, b in zip(arrays(made), arrays(found[0][0]), strict=True)
        )
        assert np.array_equal(y, found[0][1], equal_nan=True)


@pytest.mark.parametrize("steps", [STEPS, PAIRS], ids=["complete", "pairs"])
def test_any_chunking_learns_the_same_to_ten_digits(steps: list[Any]) -> None:
    x = X if steps is STEPS else with_gaps(X)
    missing = steps is PAIRS
    first, _ = learned(x, steps, missing=missing, block_bytes=5_000)
    other, _ = learned(x, steps, missing=missing, block_bytes=60_000)
    for a, b in zip(arrays(first), arrays(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("need", ["spread", "covariance", "pairs"])
def test_moments_of_parts_add_to_those_of_the_whole(need: Any) -> None:
    x = with_gaps(X) if need == "pairs" else X
    x = x + 1e6
    weight = np.random.default_rng(2).random(len(x)) + 0.5
    parts = [moments_of([(x[a : a + 400].copy(), weight[a : a + 400])], 8, need)
             for a in range(0, len(x), 400)]  # fmt: skip
    left = (parts[0] + parts[1]) + ((parts[2] + parts[3]) + parts[4])
    right = parts[0] + (parts[1] + (parts[2] + (parts[3] + parts[4])))
    whole = moments_of([(x.copy(), weight)], 8, need)
    nothing = moments_of([], 8, need)
    for found in (left, right, nothing + left, left + nothing):
        a, b = found.known(), whole.known()
        np.testing.assert_allclose(a.mean, b.mean, rtol=1e-14)
        np.testing.assert_allclose(a.variance, b.variance, rtol=1e-9)
        if need != "spread":
            np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-8, atol=1e-8)


def test_a_first_tile_far_from_the_rest_costs_few_digits() -> None:
    x = np.random.default_rng(0).normal(size=(4000, 3))
    x[:200] += 1e4
    found = moments_of(
        ((x[a : a + 100].copy(), None) for a in range(0, 4000, 100)), 3, "covariance"
    )
    np.testing.assert_allclose(found.known().covariance, np.cov(x.T), rtol=1e-11)


def test_masked_rows_and_rows_without_weight_do_not_count() -> None:
    x = X.copy()
    x[7] = np.nan
    x[9] = 1e30
    weight = np.ones(len(x))
    weight[9] = 0
    source = array_source(x, weight, 20_000, "drop")
    from emdist.prepare.learning import learn
    from emdist.prepare.making import make_steps

    made = learn(make_steps(STEPS), source, LocalEngine(2))
    kept = np.delete(X, [7, 9], axis=0)
    scaler = StandardScaler().fit(kept)
    pca = PCA(3, svd_solver="full").fit(scaler.transform(kept))
    ready = prepared(source, made)
    blocks = [ready.read(i) for i in range(len(ready))]
    assert not blocks[0].mask[7]  # type: ignore[index]
    y = np.delete(np.concatenate([one.x for one in blocks]), [7, 9], axis=0)
    np.testing.assert_allclose(y, pca.transform(scaler.transform(kept)), rtol=1e-10, atol=1e-10)


def test_wrong_weights_are_refused() -> None:
    weight = np.ones(len(X))
    weight[33] = -1
    with pytest.raises(WeightError, match="row 33: -1"):
        learned(X, STEPS, weight)


def test_what_is_learned_is_stored_exactly() -> None:
    made, y = learned(with_gaps(X), PAIRS, missing=True)
    stored, meta = encoded(made)
    again = decoded(stored, meta)
    assert again.config() == made.config()
    assert all(np.array_equal(a, b) for a, b in zip(arrays(made), arrays(again), strict=True))
    twin = pickle.loads(pickle.dumps(again))
    source = array_source(with_gaps(X), None, 20_000, "missing")
    ready = prepared(source, twin)
    found = np.concatenate([ready.read(i).x for i in range(len(ready))])
    assert np.array_equal(found, y, equal_nan=True)


def test_damaged_steps_are_refused() -> None:
    made, _ = learned(X, STEPS)
    stored, meta = encoded(made)
    for name, value in (
        ("learned/0/mean", np.zeros(3)),
        ("learned/0/scale", np.full(8, np.nan)),
        ("learned/1/components", np.zeros((3, 7))),
        ("learned/1/variance", np.zeros(2)),
    ):
        assert name in stored
        with pytest.raises(CheckpointError):
            decoded({**stored, name: value}, meta)
    for wrong in (None, {}, {**meta, "steps": ["pca"]}, {**meta, "steps": ["x", "y"]}):
        with pytest.raises(CheckpointError):
            decoded(stored, wrong)


def wide(n: int = 1500, d: int = 300) -> Array:
    rng = np.random.default_rng(3)
    signal = rng.normal(size=(n, 12)) * np.geomspace(10, 1, 12) @ rng.normal(size=(12, d))
    return signal + rng.normal(size=(n, d)) + 50


def test_the_range_finder_states_an_error_that_holds() -> None:
    x = wide()
    step = {"pca": {"components": 5, "solver": "randomised"}}
    made, y = learned(x, ["standardise", step], block_bytes=400_000)
    z = StandardScaler().fit_transform(x)
    wanted = PCA(5, svd_solver="full").fit(z)
    found = made.learned[1]
    assert (np.abs(found["variance"] - wanted.explained_variance_) <= found["error"]).all()
    np.testing.assert_allclose(found["variance"], wanted.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(found["ratio"], wanted.explained_variance_ratio_, rtol=1e-4)
    np.testing.assert_allclose(np.abs(y), np.abs(wanted.transform(z)), atol=0.3)
    assert "in 4 passes" in made.notes[0]
    assert made.notes[1] == "prepare learned in 5 passes over the data."
    more, _ = learned(
        x, ["standardise", {"pca": {**step["pca"], "passes": 12}}], block_bytes=400_000
    )  # type: ignore[dict-item]
    np.testing.assert_allclose(more.learned[1]["components"], wanted.components_, atol=1e-6)
    assert more.learned[1]["error"].max() < found["error"].max()


def test_a_rough_range_is_doubted() -> None:
    x = np.random.default_rng(0).normal(size=(900, 200))
    step = {"pca": {"components": 5, "solver": "randomised", "passes": 1, "oversampling": 0}}
    made, _ = learned(x, [step], block_bytes=300_000)
    assert "Raise passes" in made.doubts[0]


def test_many_features_need_a_number_of_components() -> None:
    x = np.random.default_rng(0).normal(size=(300, 5001)).astype(np.float32)
    with pytest.raises(ConfigError, match="needs a whole number of components"):
        learned(x, [{"pca": 0.9}], block_bytes=3_000_000)
    made, y = learned(x, [{"pca": {"components": 2, "passes": 2}}], block_bytes=3_000_000)
    assert y.shape == (300, 2)
    assert "randomised" in made.notes[0]
