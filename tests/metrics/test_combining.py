"""Components combined by entropy: against mclust's clustCombi and a slow twin."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from scipy.cluster.hierarchy import dendrogram
from scipy.special import entr

import emdist
from emdist.errors import ConfigError
from tests.support.faithful import faithful


def of_mclust() -> Any:
    """Return Mclust(faithful, G = 4, modelNames = "VVV") of mclust 6.0.0."""
    return emdist.GaussianMixture.from_parameters(
        weights=[0.09408056845, 0.13102814941, 0.54940541434, 0.22548586780],
        means=[
            [4.115260734, 87.097576525], [1.838229459, 52.094760203],
            [4.321098797, 78.765582111], [2.154113447, 55.891538291],
        ],
        covariances=[
            [[0.185930314245, 1.349153039219], [1.349153039219, 17.478154783505]],
            [[0.004287968716, -0.082751904536], [-0.082751904536, 23.570907864407]],
            [[0.159109231581, 1.097510280314], [1.097510280314, 28.818193095718]],
            [[0.072352227786, 0.319953440879], [0.319953440879, 34.488942193791]],
        ],
        covariance_type="full",
    )  # fmt: skip


def slow(resp: NDArray[Any], weight: NDArray[Any]) -> tuple[list[float], list[list[Any]]]:
    """Combine columns of responsibilities in memory, step by step."""
    groups = [(c,) for c in range(resp.shape[1])]
    steps, entropies = [groups], [float(weight @ entr(resp).sum(axis=1))]
    while len(groups) > 1:
        tried = []
        for a, b in combinations(groups, 2):
            rest = [group for group in groups if group not in (a, b)]
            new = [*rest, tuple(sorted(a + b))]
            joined = np.stack([resp[:, list(group)].sum(axis=1) for group in new])
            tried.append((float(entr(np.minimum(joined, 1)).sum(axis=0) @ weight), new))
        least, groups = min(tried, key=lambda one: one[0])
        steps.append(sorted(groups))
        entropies.append(least)
    return entropies[::-1], steps


def test_old_faithful_is_combined_as_mclust_does() -> None:
    found = of_mclust().combine_components(faithful())
    # clustCombi(m)$combiM and the entropies of clustCombiOptim, which takes two clusters, with the
    # responsibilities of these parameters: m$z <- estep(...)$z.
    assert found.clusters(3) == [(0, 2), (1,), (3,)]
    assert found.clusters(2) == [(0, 2), (1, 3)]
    wanted = [0.0, 0.5842951321, 26.95635218, 54.51729927]
    np.testing.assert_allclose(found.tree.entropy, wanted, rtol=1e-7, atol=1e-9)
    assert found.n_clusters == 2
    assert found.to_frame()["combined"].tolist() == ["", "0 + 2", "1 + 3", "{0, 2} + {1, 3}"]
    proba = of_mclust().predict_proba(faithful())
    np.testing.assert_allclose(found.predict_proba(proba)[:, 0], proba[:, 0] + proba[:, 2])
    assert set(found.predict(proba).tolist()) == {0, 1}


@pytest.mark.parametrize("weighted", [False, True])
def test_passes_over_blocks_do_what_memory_does(tmp_path: Path, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(c, 1, (150, 2)) for c in (0, 1.5, 7, 8, 15)])
    weight = rng.integers(1, 4, len(X)).astype(float) if weighted else np.ones(len(X))
    path, weights = str(tmp_path / "x.zarr"), str(tmp_path / "w.zarr")
    zarr.create_array(path, shape=X.shape, dtype=X.dtype, chunks=(100, 2))[:] = X
    zarr.create_array(weights, shape=weight.shape, dtype=float, chunks=(100,))[:] = weight
    model = emdist.GaussianMixture(6, random_state=0, block_size="1600 B").fit(X)
    found = model.combine_components(path, weights if weighted else None)
    entropies, steps = slow(model.predict_proba(X), weight)
    np.testing.assert_allclose(found.tree.entropy, entropies, rtol=1e-9, atol=1e-9)
    for n, groups in zip(range(6, 0, -1), steps, strict=True):
        assert found.clusters(n) == groups
    assert len(dendrogram(found.tree.linkage(), no_plot=True)["leaves"]) == 6


def test_noise_stays_and_one_component_is_one_cluster() -> None:
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(0, 1, (200, 2)), rng.uniform(-30, 30, (20, 2))])
    noisy = emdist.GaussianMixture(2, noise=0.1, random_state=0).fit(X)
    found = noisy.combine_components(X)
    assert found.clusters(1) == [(0, 1)]
    assert set(found.predict(noisy.predict_proba(X), 1).tolist()) == {-1, 0}
    one = emdist.GaussianMixture(1).fit(X).combine_components(X)
    assert (one.clusters(), one.to_dict()["linkage"]) == ([(0,)], [])


def test_centres_and_impossible_numbers_are_refused() -> None:
    X = faithful()
    with pytest.raises(ConfigError, match="model of centres"):
        emdist.KMeans(2, random_state=0).fit(X).combine_components(X)
    found = of_mclust().combine_components(X)
    with pytest.raises(ConfigError, match="expected 1 to 4"):
        found.clusters(5)
    with pytest.raises(ConfigError, match=r"expected \(rows, 4\)"):
        found.predict(np.zeros((3, 2)))
