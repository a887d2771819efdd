"""``emdist fit --repeat``: the record of a run is enough to do it again, to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.support.command_line import Answer, process


def run(*arguments: object, cwd: Path) -> Answer:
    running = process(*arguments, cwd=cwd)
    out, err = running.communicate(timeout=120)
    return Answer(running.returncode, out, err)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run with labels, of data that lie beside it."""
    array = zarr.create_array(tmp_path / "x.zarr", shape=(600, 3), chunks=(100, 3), dtype="float32")
    array[:] = np.random.default_rng(0).normal(size=(600, 3)).astype("f4")
    done = run("fit", "x.zarr", "-m", "full", "-k", 3, "--max-iter", 5, "--seed", 3,
               "--run", "runs/a", "--quiet", cwd=tmp_path)  # fmt: skip
    assert done.code == 0, done.err
    return tmp_path / "runs/a"


@pytest.mark.long
def test_a_run_is_repeated_from_its_record_alone(finished: Path, tmp_path: Path) -> None:
    done = run("fit", "--repeat", "runs/a", "--json", cwd=tmp_path)
    assert done.code == 0, done.err + done.out
    told = done.lines[-1]
    assert told["same_bits"]
    assert told["same_model"]
    assert told["same_labels"]
    assert told["differs"] == []
    assert (tmp_path / "runs/a-repeated/final/model.json").exists()


@pytest.mark.long
def test_what_is_not_as_it_was_is_said(finished: Path, tmp_path: Path) -> None:
    array = zarr.open_array(tmp_path / "x.zarr", mode="r+")
    array[100:200] = 7.0
    done = run("fit", "--repeat", "runs/a", "--json", cwd=tmp_path)
    assert done.code == 1, done.err
    told = done.lines[-1]
    assert not told["same_bits"]
    assert any(line.startswith("data.") for line in told["differs"])


@pytest.mark.long
def test_a_repetition_takes_nothing_that_decides_the_result(finished: Path, tmp_path: Path) -> None:
    done = run("fit", "--repeat", "runs/a", "--seed", 4, cwd=tmp_path)
    assert done.code == 2
    assert "--repeat takes the section 'fit' from the run, but you also set --seed" in done.err
    nowhere = run("fit", "--repeat", "runs/none", cwd=tmp_path)
    assert nowhere.code == 3


@pytest.mark.long
def test_inspect_tells_all_that_a_repetition_needs(finished: Path, tmp_path: Path) -> None:
    told = json.loads(run("inspect", "runs/a", "--json", cwd=tmp_path).out)
    assert told["config"]["fit"]["seed"] == 3
    assert {"python", "numpy", "numba", "zarr", "emdist", "cpu"} <= set(told["versions"])
    assert told["data"]
    assert told["plan"]
    assert len(told["result"]["sha256"]) == 64


@pytest.mark.long
def test_a_sweep_is_not_repeated_as_a_fit(finished: Path, tmp_path: Path) -> None:
    run("sweep", "x.zarr", "-k", "2..3", "--max-iter", 2, "--run", "runs/s", cwd=tmp_path)
    done = run("fit", "--repeat", "runs/s", cwd=tmp_path)
    assert done.code == 2
    assert "runs/s is a sweep, but --repeat can only repeat a fit" in done.err
