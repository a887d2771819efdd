"""`emdist describe`: what the clusters of a run are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn.datasets import load_iris

from emdist.jobs.describe import stored_profile
from emdist.store.places.location import Location
from tests.support.command_line import Command


def test_a_run_is_described_and_its_profile_stored(emdist: Command, tmp_path: Path) -> None:
    X, _ = load_iris(return_X_y=True)
    zarr.save_array(str(tmp_path / "iris.zarr"), X)
    fit = ("fit", "iris.zarr", "-k", 3, "--prepare", "standardise", "--run", "runs/a")
    assert emdist(*fit).code == 0
    run = Location(str(tmp_path / "runs/a"))
    assert stored_profile(run) is None
    answer = emdist("describe", "runs/a", "--json", "-o", "features.parquet")
    assert answer.code == 0, answer.err
    labels = zarr.open_group(str(tmp_path / "runs/a/labels.zarr"), mode="r")["labels"][:]  # type: ignore[index]
    found = answer.lines[-1]
    assert [one["rows"] for one in found["clusters"]] == np.bincount(labels).tolist()
    means = [one["mean"] for one in found["features"]]
    wanted = [X[labels == c].mean(axis=0) for c in range(3)]
    np.testing.assert_allclose(means, np.concatenate(wanted), rtol=1e-12)
    kept = stored_profile(run)
    assert kept is not None
    assert kept["features"] == found["features"]
    frame = pd.read_parquet(tmp_path / "features.parquet")
    np.testing.assert_allclose(frame["mean"], means)
    page = emdist("describe", "runs/a", "-o", "all.md")
    assert "| cluster | rows | share |" in page.out
    assert "## Cluster 2" in (tmp_path / "all.md").read_text()
    assert emdist("describe", "runs/a", "-o", "all.json").code == 0
    assert json.loads((tmp_path / "all.json").read_text())["clusters"] == found["clusters"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("runs/none",), 3, "no folder"),
        (("runs/none", "-o", "x.txt"), 2, "expected one of .md, .json, .parquet"),
    ],
)
def test_what_cannot_be_described_is_said(
    emdist: Command, arguments: tuple[str, ...], code: int, told: str
) -> None:
    answer = emdist("describe", *arguments)
    assert (answer.code, told in answer.err) == (code, True), answer.err
