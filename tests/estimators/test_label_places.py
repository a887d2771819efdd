"""Places of labels: what is asked is checked first, and what was cut off never looks complete."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import emdist
from emdist import GaussianMixture, KMeans
from emdist.errors import CheckpointError, ConfigError, OutputExistsError, ShapeError
from emdist.jobs.inspect import inspect
from emdist.store.labels import creation
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location

X = np.random.default_rng(0).normal(size=(400, 3))


class Killed(BaseException):
    """Ends a call as a signal would: nothing cleans up."""


def test_components_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    est, out = GaussianMixture(3, random_state=0).fit(X), tmp_path / "labels.zarr"
    wrong: list[Any] = [[True], [0.0], [1, 2.0], 1, "0", b"0", [None], ["0"], [3], [], [0, 0]]
    for one in wrong:
        with pytest.raises(ConfigError, match="component"):
            est.label(X, out, outputs=["probability"], components=one)
        assert not out.exists()
    right: list[Any] = [np.array([0, 2]), [np.int64(0), 2], (0, 2), range(0, 3, 2), iter([0, 2])]
    want = est.predict_proba(X)[:, [0, 2]]
    for one in right:
        est.label(X, out, outputs=["probability"], components=one)  # All are the same labelling.
        found = emdist.open_labels(out)["probability"].transpose("row", "component")
        np.testing.assert_allclose(found, want)


@pytest.mark.parametrize("deletions", [0, 1, 2])
def test_labels_whose_replacement_was_cut_off_are_none(
    deletions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "labels.zarr"
    KMeans(4, random_state=0).fit(X).label(X, out)
    other = KMeans(5, random_state=0).fit(X)
    left, kind = [deletions], type(open_folder(Location(str(out))))
    delete = kind.delete

    def counted(folder: Any, name: str) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        delete(folder, name)

    with monkeypatch.context() as patched:
        patched.setattr(kind, "delete", counted)
        with pytest.raises(Killed):
            other.label(X, out, overwrite=True)
    for look in (
        lambda: emdist.open_labels(out),
        lambda: inspect(Location(str(out))),
        lambda: inspect(Location(str(out)), verify=True),
    ):
        with pytest.raises(CheckpointError, match=r"no labels at .* yet.*same labelling again"):
            look()
    other.label(X, out)
    np.testing.assert_array_equal(emdist.open_labels(out)["labels"], other.predict(X))
    assert inspect(Location(str(out)), verify=True)["complete"]


def test_two_that_create_labels_in_one_place_are_told_of_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, create = tmp_path / "labels.zarr", creation._create
    est = KMeans(3, random_state=0).fit(X)

    def removed(*arguments: Any) -> None:
        create(*arguments)
        shutil.rmtree(out / "labels")  # Another process begins to create them.

    with monkeypatch.context() as patched:
        patched.setattr(creation, "_create", removed)
        with pytest.raises(OutputExistsError, match="another process seems to create labels there"):
            est.label(X, out)
    shutil.rmtree(out)
    est.label(X, out)
    np.testing.assert_array_equal(emdist.open_labels(out)["labels"], est.predict(X))


@pytest.mark.parametrize("name", ["zarr.json", ".zarray", ".zattrs", "."])
def test_coordinates_that_no_array_can_be_named_are_refused(name: str, tmp_path: Path) -> None:
    ds = xr.Dataset({"v": ((name, "z"), X)}, coords={name: np.arange(len(X))})
    x = emdist.rows(ds, "v", features="z")
    est = KMeans(2, random_state=0).fit(x)
    with pytest.raises(ConfigError, match="no Zarr array can have this name"):
        est.label(x, tmp_path / "labels.zarr")
    assert not (tmp_path / "labels.zarr").exists()


@pytest.mark.parametrize("form", ["path", "lazy", "loaded"])
def test_variables_without_rows_are_refused(form: str, tmp_path: Path) -> None:
    ds = xr.Dataset(
        {"v": (("t", "z"), np.zeros((0, 3))), "u": (("y", "t", "z"), np.zeros((2, 0, 3))), "s": 1.0}
    )
    ds.to_zarr(tmp_path / "x.zarr", consolidated=False)
    data: Any = {"path": tmp_path / "x.zarr", "lazy": ds.chunk(), "loaded": ds}[form]
    for name in "uv":
        with pytest.raises(ShapeError, match="the dimension t has the size 0"):
            KMeans(1).fit(emdist.rows(data, name, features="z"))
    with pytest.raises(ShapeError, match="s has no dimensions, and so no rows"):
        KMeans(1).fit(emdist.rows(data, "s"))
