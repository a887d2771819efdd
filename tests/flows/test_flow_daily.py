"""The flow for data that grow: ticks over several days, one of which is killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from prefect.client.orchestration import get_client

from emdist.composition.daily_config import make_daily_config
from emdist.flows.daily import daily
from tests.support.flow_processes import Script, until

pytestmark = pytest.mark.usefixtures("api")


def grow(path: Path, number: int, rows: int = 600) -> None:
    rng = np.random.default_rng(number)
    x = rng.normal(size=(rows, 2)) + 8.0 * rng.integers(0, 2, (rows, 1))
    if number == 1:
        zarr.create_array(path, shape=(0, 2), chunks=(200, 2), dtype="float64")
    zarr.open_array(path, mode="r+").append(x)


@pytest.fixture
def days(tmp_path: Path) -> dict[str, Any]:
    grow(tmp_path / "growing.zarr", 1)
    return {
        "data": {"path": str(tmp_path / "growing.zarr"), "block_size": "3200 B"},
        "model": {"name": "diagonal", "n_components": 2},
        "fit": {"max_iter": 5, "tol": 0.0},
        "run": {"folder": str(tmp_path / "runs"), "checkpoint_iterations": 1},
        "daily": {"folder": str(tmp_path / "published"), "refit_every": "7d"},
    }


def test_ticks_of_the_flow_label_refit_and_publish(days: dict[str, Any], tmp_path: Path) -> None:
    state = daily(make_daily_config(days), return_state=True)
    first = state.result()
    assert (first["number"], first["rows"]) == (1, 600)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert run.name.startswith("growing diagonal-2 daily ")
    assert set(run.tags) >= {"emdist", "diagonal"}
    grow(tmp_path / "growing.zarr", 2)
    second = daily(make_daily_config(days), ["daily.refit_share=1"])
    assert (second["new_rows"], second["fitted"]) == (600, None)
    assert json.loads((tmp_path / "published/current.json").read_text())["rows"] == 1200


@pytest.mark.newest
def test_a_killed_tick_is_continued_by_the_same_command(
    api: str, start: Callable[..., Script], days: dict[str, Any], tmp_path: Path
) -> None:
    days["fit"]["max_iter"] = 60
    path = tmp_path / "daily.yaml"
    path.write_text(yaml.safe_dump(days))
    script = start(
        "flows.daily", path, "--scheduled", "2026-11-01T02:00",
        PREFECT_API_URL=api,
    )  # fmt: skip
    saved = tmp_path / "runs/daily-000001/ckpt"
    until(lambda: len(list(saved.glob("*/manifest.json"))) >= 2 or script.process.poll(), "a save")
    script.process.send_signal(signal.SIGKILL)
    script.process.wait()
    assert not (tmp_path / "published/current.json").exists(), script.text
    grow(tmp_path / "growing.zarr", 2)
    # With fewer checkpoints, it is the same run.
    script = start(
        "flows.daily", path, "--scheduled", "2026-11-02T02:00",
        "--set", "run.checkpoint_iterations=1000", PREFECT_API_URL=api,
    )  # fmt: skip
    assert script.end() == 0, script.text
    told = json.loads((tmp_path / "published/current.json").read_text())
    assert (told["rows"], told["run"], told["number"]) == (1200, 1, 1)
    # The fit went on with the rows that it had begun with.
    assert json.loads((tmp_path / "runs/daily-000001/run.json").read_text())["rows"] == "0:600"
