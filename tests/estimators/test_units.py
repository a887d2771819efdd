"""`model.safetensors` read by other tools: values in the units of the data, under plain names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import emdist
from emdist import GaussianMixture, KMeans
from emdist.fit.soundness import check_params
from emdist.jobs.records import load_fitted
from emdist.jobs.units import RELATIVE
from emdist.store.places.location import Location
from emdist.store.runs.codec import encode
from emdist.store.runs.model_files import save_model
from tests.support.every_estimator import EVERY, REAL


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


@EVERY
def test_arrays_under_plain_names_are_in_the_units_of_the_data(
    est: Any, x: Any, tmp_path: Path
) -> None:
    fitted = est.fit(x)
    fitted.save(tmp_path / "m")
    found = arrays_of(tmp_path / "m")
    for name in ("means_", "cluster_centers_", "covariances_", "rates_"):
        if not hasattr(fitted, name) or f"params/components/{name[:-1]}" not in found:
            continue
        np.testing.assert_array_equal(
            found[f"params/components/{name[:-1]}"], getattr(fitted, name)
        )
    if hasattr(fitted, "cluster_centers_"):
        np.testing.assert_array_equal(found["params/components/means"], fitted.cluster_centers_)
    np.testing.assert_allclose(found["spread/mean"], np.mean(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["spread/low"], np.min(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["spread/high"], np.max(x, axis=0), rtol=1e-12)


@EVERY
def test_the_bits_come_back_whatever_stands_beside_them(est: Any, x: Any, tmp_path: Path) -> None:
    fitted = est.fit(x)
    fitted.save(tmp_path / "m")
    wanted, _ = encode(fitted._fitted)
    for name, value in encode(load_fitted(Location(str(tmp_path / "m")))[1])[0].items():
        np.testing.assert_array_equal(value, wanted[name])
    found = arrays_of(tmp_path / "m")
    for name, value in found.items():
        if name.endswith(RELATIVE):
            np.testing.assert_array_equal(value, wanted[name.removesuffix(RELATIVE)])
    assert {name.removesuffix(RELATIVE) for name in found} == set(wanted)


def test_what_is_relative_says_so_in_its_name_and_in_the_metadata(tmp_path: Path) -> None:
    est = GaussianMixture(2, random_state=0).fit(REAL)
    est.save(tmp_path / "m")
    found = arrays_of(tmp_path / "m")
    relative = found[f"params/components/means{RELATIVE}"]
    assert np.abs(relative - est.means_).max() > 50  # REAL lies far from zero.
    np.testing.assert_array_equal(relative + found["spread/origin"], est.means_)
    with safe_open(tmp_path / "m" / "model.safetensors", "numpy") as file:
        told = json.loads(file.metadata()["emdist"])
    assert "units of the data" in told["about"]
    assert RELATIVE in told["about"]
    assert "spread/origin" in told["tensors"]
    assert not any(name.endswith(RELATIVE) and "covariances" in name for name in found)


def test_a_model_of_an_older_version_still_loads(tmp_path: Path) -> None:
    est = KMeans(2, random_state=0).fit(REAL)
    arrays, value = encode(est._fitted)
    del value["items"]["feature_names"]
    meta = {"value": value | {"schema": 1}, "model": est._section.model_dump(), "versions": {}}
    save_model(Location(str(tmp_path / "old")), arrays, meta)
    back = emdist.load(tmp_path / "old")
    np.testing.assert_array_equal(back.cluster_centers_, est.cluster_centers_)
    np.testing.assert_array_equal(back.predict(REAL), est.labels_)
    assert not hasattr(back, "feature_names_in_")
    check_params(back._model(), back._fitted.params, 2)


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        KMeans(2, random_state=0).fit(REAL).save(tmp_path / name)
    a, b = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert a == b
    with pytest.raises(KeyError):
        arrays_of(tmp_path / "a")["means"]
