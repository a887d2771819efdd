"""Without what Linux alone has, everything works and gives the same bits."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.store.places import files_local
from emdist.store.places.files_local import flush
from tests.support.paths import ROOT


def ran(script: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *script.split(), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.long
def test_a_fit_without_what_linux_has(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4000, 5)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    macos = "-m tests.support.as_macos"
    taken = ran(macos, "ingest", "x.npy", "x.zarr", folder=tmp_path).stderr
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x.zarr", mode="r")[:], x)
    options = ("-m", "full", "-k", 3, "--seed", 1, "--max-iter", 6)
    taken += ran(macos, "fit", "x.zarr", *options, "--run", "there", folder=tmp_path).stderr
    ran("-m emdist", "fit", "x.zarr", *options, "--run", "here", folder=tmp_path)
    # A run that goes on, and one that is done.
    taken += ran(
        macos, "fit", "x.zarr", "-m", "full", "-k", 3, "--seed", 1, "--max-iter", 9, "--extend",
        "--run", "there", folder=tmp_path,
    ).stderr  # fmt: skip
    ran(
        "-m emdist", "fit", "x.zarr", "-m", "full", "-k", 3, "--seed", 1, "--max-iter", 9,
        "--run", "whole", folder=tmp_path,
    )  # fmt: skip
    runs = {name: tmp_path / name for name in ("there", "here", "whole")}
    models = {name: (run / "final/model.safetensors").read_bytes() for name, run in runs.items()}
    assert models["there"] == models["whole"] != models["here"]
    labels = {
        name: zarr.open_group(run / "labels.zarr", mode="r")["labels"][:]
        for name, run in runs.items()
    }
    np.testing.assert_array_equal(labels["there"], labels["whole"])
    ran(macos, "inspect", "there", "--verify", folder=tmp_path)
    assert "files" in taken.split(), "nothing was taken away"


@pytest.mark.long
def test_a_cluster_without_what_linux_has(tmp_path: Path) -> None:
    zarr.save(str(tmp_path / "x.zarr"), np.random.default_rng(0).normal(size=(500, 3)))
    macos = "-m tests.support.as_macos"
    ran(macos, "fit", "x.zarr", "-k", 3, "--workers", 1, "--run", "there", folder=tmp_path)
    ran("-m emdist", "fit", "x.zarr", "-k", 3, "--run", "here", folder=tmp_path)
    there, here = (tmp_path / name / "final/model.safetensors" for name in ("there", "here"))
    assert there.read_bytes() == here.read_bytes()


def test_on_macos_data_reach_the_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(files_local.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda *args: called.append(args))
    monkeypatch.setattr(os, "fsync", lambda fd: called.append(("fsync", fd)))
    flush(7)
    assert called == [(7, 51)]

    def unsupported(*args: Any) -> None:
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr(fcntl, "fcntl", unsupported)
    flush(7)
    assert called == [(7, 51), ("fsync", 7)]
