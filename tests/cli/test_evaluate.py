"""`emdist evaluate`: figures of the clusters of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as theirs
import zarr
from sklearn.datasets import load_iris

from tests.support.command_line import Command


def _iris(where: Path) -> None:
    X, y = load_iris(return_X_y=True)
    zarr.save_array(str(where / "iris.zarr"), X)
    zarr.save_array(str(where / "y.zarr"), y.astype("i2"))


def test_a_run_is_evaluated_in_prepared_rows(emdist: Command, tmp_path: Path) -> None:
    _iris(tmp_path)
    fit = ("fit", "iris.zarr", "-k", 3, "--prepare", "standardise", "--run", "runs/a")
    assert emdist(*fit).code == 0
    answer = emdist("evaluate", "runs/a", "--truth", "y.zarr", "--json")
    assert answer.code == 0, answer.err
    found = answer.lines[-1]
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    labels = zarr.open_group(str(tmp_path / "runs/a/labels.zarr"), mode="r")["labels"][:]  # type: ignore[index]
    assert found["silhouette"] == pytest.approx(
        theirs.silhouette_score(X, labels, metric="sqeuclidean"), abs=1e-10
    )
    assert found["davies_bouldin"] == pytest.approx(theirs.davies_bouldin_score(X, labels))
    assert found["calinski_harabasz"] == pytest.approx(theirs.calinski_harabasz_score(X, labels))
    assert found["truth"]["adjusted_rand"] == pytest.approx(theirs.adjusted_rand_score(y, labels))
    assert [one["rows"] for one in found["clusters"]] == np.bincount(labels).tolist()
    page = emdist("evaluate", "runs/a", "--truth", "runs/a")
    assert "| adjusted Rand | 1.0000" in page.out


def test_what_cannot_be_evaluated_is_said(emdist: Command, tmp_path: Path) -> None:
    _iris(tmp_path)
    assert emdist("fit", "iris.zarr", "-k", 1, "--run", "runs/one").code == 0
    for arguments, code, told in (
        (("runs/none",), 3, "no folder"),
        (("runs/one",), 3, "1 different value"),
        (("runs/one", "--truth", "iris.zarr"), 3, "1 different value"),
        (("runs/one/final",), 2, "--data"),
    ):
        answer = emdist("evaluate", *arguments)
        assert (answer.code, told in answer.err) == (code, True), answer.err
