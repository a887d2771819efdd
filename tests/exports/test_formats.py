"""Exported models give in other programs what emdist gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

import emdist
from emdist.errors import ConfigError

rng = np.random.default_rng(0)
X = np.concatenate([rng.normal(size=(300, 3)), rng.normal(size=(300, 3)) * [1, 2, 0.5] + 3])
COUNTS = rng.poisson(np.where(rng.random((400, 1)) < 0.5, 3, 9), (400, 3)).astype(float)
BITS = (rng.random((400, 4)) < np.where(rng.random((400, 1)) < 0.5, 0.2, 0.8)).astype(float)
CODES = rng.integers(0, 3, (400, 4)).astype(float)

REAL = {
    **{
        f"gaussian-{kind}": emdist.GaussianMixture(3, covariance_type=kind, random_state=0)
        for kind in ("full", "tied", "diag", "spherical")
    },
    "noise": emdist.GaussianMixture(3, noise=True, random_state=0),
    "isotropic": emdist.IsotropicMixture(3, random_state=0),
    "variational": emdist.BayesianGaussianMixture(n_components=3, random_state=0),
    "kmeans": emdist.KMeans(3, random_state=0),
    "kmedians": emdist.KMedians(3, random_state=0),
    "minibatch": emdist.MiniBatchKMeans(3, random_state=0),
}
OTHERS: dict[str, tuple[Any, NDArray[Any]]] = {
    "poisson": (emdist.PoissonMixture(2, random_state=0), COUNTS),
    "bernoulli": (emdist.BernoulliMixture(2, random_state=0), BITS),
    "categorical": (emdist.CategoricalMixture(2, n_categories=3, random_state=0), CODES),
    "multinomial": (emdist.MultinomialMixture(2, random_state=0), COUNTS + 1),
    "cosine": (emdist.KCentroids(3, dissimilarity="cosine", random_state=0), np.abs(X)),
    "squares": (emdist.KCentroids(3, random_state=0), X),
    **{
        f"prepared-{at}": (emdist.GaussianMixture(3, prepare=steps, random_state=0), np.abs(X))
        for at, steps in enumerate(
            [
                ["log1p", "standardise"],
                [{"normalise": "l2"}],
                [{"normalise": "max"}, {"clip": [0, 0.8]}],
                [{"normalise": {"total": 10}}, "log1p"],
                ["standardise", {"pca": {"components": 2}}],
            ]
        )
    },
}


def run(path: Path, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": x}), strict=True))


def compare(model: Any, x: NDArray[Any], path: Path) -> dict[str, NDArray[Any]]:
    emdist.export(model, path)
    found = run(path, x)
    np.testing.assert_array_equal(found["label"], model.predict(x))
    if "probabilities" in found:
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(x), atol=1e-10)
    else:
        np.testing.assert_allclose(found["distances"], model.transform(x), rtol=1e-10, atol=1e-12)
    return found


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("name", sorted(REAL))
def test_onnx_gives_labels_and_probabilities_also_far_from_zero(
    name: str, offset: float, tmp_path: Path
) -> None:
    compare(REAL[name].fit(X + offset), X + offset, tmp_path / "m.onnx")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted(OTHERS))
def test_onnx_of_counts_categories_dissimilarities_and_steps(name: str, tmp_path: Path) -> None:
    model, x = OTHERS[name]
    compare(model.fit(x), x, tmp_path / "m.onnx")


@pytest.mark.parametrize("dissimilarity", ["itakura_saito", "generalised_i"])
def test_onnx_of_divergences_has_labels_only(dissimilarity: str, tmp_path: Path) -> None:
    model = emdist.KCentroids(3, dissimilarity=dissimilarity, random_state=0).fit(np.abs(X) + 0.1)
    emdist.export(model, tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", np.abs(X) + 0.1)
    assert list(found) == ["label"]
    np.testing.assert_array_equal(found["label"], model.predict(np.abs(X) + 0.1))


def test_onnx_of_a_product(tmp_path: Path) -> None:
    x = np.column_stack([X[:400], COUNTS[:, 0], CODES[:, 0]])
    groups = [
        {"family": "full", "columns": [0, 1, 2]},
        {"family": "poisson", "columns": [3]},
        {"family": "categorical", "columns": [4], "options": {"categories": 3}},
    ]
    model = emdist.ProductMixture(2, groups=groups, random_state=0).fit(x)
    compare(model, x, tmp_path / "m.onnx")


def test_noise_is_minus_one_in_onnx(tmp_path: Path) -> None:
    model = REAL["noise"].fit(X)
    emdist.export(model, tmp_path / "m.onnx")
    far = np.full((1, 3), 1e3)
    assert run(tmp_path / "m.onnx", far)["label"] == model.predict(far) == [-1]


def test_a_dissimilarity_that_onnx_cannot_compute_is_refused(tmp_path: Path) -> None:
    model = emdist.KCentroids(3, dissimilarity="kullback_leibler", random_state=0)
    with pytest.raises(ConfigError, match=r"no ONNX form of this KCentroids.*\.npz"):
        emdist.export(model.fit(np.abs(X) + 0.1), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_npz_has_the_parameters_by_name(tmp_path: Path) -> None:
    model = REAL["gaussian-full"].fit(X)
    emdist.export(model, tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as found:
        np.testing.assert_array_equal(found["means"], model.means_)
        np.testing.assert_array_equal(found["covariances"], model.covariances_)
        np.testing.assert_array_equal(found["weights"], model.weights_)
        assert list(found["feature_names"]) == ["x0", "x1", "x2"]
        assert found["estimator"] == "GaussianMixture"


def test_parquet_has_a_row_for_each_component_and_feature(tmp_path: Path) -> None:
    model = REAL["gaussian-full"].fit(X)
    emdist.export(model, tmp_path / "m.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "m.parquet")
    frame = table.to_pandas()
    assert list(frame["component"]) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert list(frame["feature"]) == ["x0", "x1", "x2"] * 3
    np.testing.assert_array_equal(frame["means"], model.means_.ravel())
    np.testing.assert_array_equal(frame["weight"], np.repeat(model.weights_, 3))
    np.testing.assert_array_equal(
        np.stack(frame["covariances"]).reshape(3, 3, 3), model.covariances_
    )
    tied = REAL["gaussian-tied"].fit(X)
    emdist.export(tied, tmp_path / "m.parquet", overwrite=True)
    rest = json.loads(pyarrow.parquet.read_schema(tmp_path / "m.parquet").metadata[b"emdist"])
    np.testing.assert_array_equal(rest["covariances"], tied.covariances_)
    assert rest["estimator"] == "GaussianMixture"


def test_faiss_finds_the_nearest_centre(tmp_path: Path) -> None:
    model = REAL["kmeans"].fit(X)
    emdist.export(model, tmp_path / "m.faiss")
    index = faiss.read_index(str(tmp_path / "m.faiss"))
    _, nearest = index.search(X.astype(np.float32), 1)
    np.testing.assert_array_equal(nearest[:, 0], model.predict(X))
    far = REAL["kmeans"].fit(X + 1e9)
    with pytest.raises(ConfigError, match="float32, in which some of these centres are equal"):
        emdist.export(far, tmp_path / "far.faiss")


def test_models_and_paths_that_cannot_be_exported_are_refused(tmp_path: Path) -> None:
    model = REAL["kmeans"].fit(X)
    model.save(tmp_path / "saved")
    emdist.export(tmp_path / "saved", tmp_path / "m.npz")
    with pytest.raises(ConfigError, match="exists"):
        emdist.export(model, tmp_path / "m.npz")
    with pytest.raises(ConfigError, match=r"'m.pkl' does not say .* \.faiss, \.npz, \.onnx, \.par"):
        emdist.export(model, tmp_path / "m.pkl")
    with pytest.raises(ConfigError, match="expected a fitted estimator of emdist"):
        emdist.export(3, tmp_path / "other.npz")
