"""A sweep as a flow, in this process, and as a script that is killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)

from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import ConfigError
from emdist.flows.sweep import sweep
from emdist.jobs.run import open_job
from emdist.jobs.sweep import SweepJob
from tests.support.flow_processes import Script, returned, until

NAMES = ["full-2", "full-3", "full-5"]


@pytest.fixture
def swept(values: dict[str, Any]) -> dict[str, Any]:
    """A sweep over three models, nine iterations each in segments of three."""
    return values | {"sweep": {"n_components": [2, 3, 5]}}


def models(run: Path) -> dict[str, bytes]:
    return {
        path.name: (path / "model.safetensors").read_bytes() for path in (run / "models").iterdir()
    }


def plain(swept: dict[str, Any], folder: Path) -> dict[str, bytes]:
    """The models of the same configuration, without Prefect."""
    values = swept | {"run": {"folder": str(folder), "key": "plain"}}
    with open_job(make_sweep_config(values)) as job:
        assert isinstance(job, SweepJob)
        job.complete()
    return models(folder / "plain")


@pytest.mark.long
@pytest.mark.usefixtures("api")
def test_it_sweeps_with_the_bits_of_the_plain_job_and_shows_it(
    swept: dict[str, Any], tmp_path: Path
) -> None:
    state = sweep(make_sweep_config(swept), return_state=True)
    result = state.result()
    id_ = state.state_details.flow_run_id
    folder = tmp_path / "runs" / str(id_)
    assert result["run"] == str(folder)
    assert result["models"] == 3
    assert result["criterion"] == "bic"
    assert models(folder) == plain(swept, tmp_path / "plain")
    only = FlowRunFilter(id=FlowRunFilterId(any_=[id_]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[id_]))
        )

        def tasks() -> list[Any]:
            ran = client.read_task_runs(flow_run_filter=only)
            return ran if len(ran) == 7 else []

        ran = until(tasks, "seven task runs")
    names = sorted(task.name.rpartition("-")[0] for task in ran)
    assert names == ["finish", "label", *["segment"] * 3, "summarise", "survey"]
    artifacts = {str(artifact.key): artifact for artifact in found}
    assert sorted(artifacts) == [
        f"{id_}-{name}" for name in ("models", "progress", "report", "summary")
    ]
    table = json.loads(str(artifacts[f"{id_}-models"].data))
    assert [row["model"] for row in table] == NAMES
    assert min(table, key=lambda row: row["bic"])["model"] == result["best"]
    assert f"| best | {result['best']}, lowest BIC among" in str(artifacts[f"{id_}-summary"].data)
    assert float(str(artifacts[f"{id_}-progress"].data)) == 100.0


@pytest.mark.long
@pytest.mark.usefixtures("api")
def test_a_cut_sweep_goes_on_and_a_second_start_says_done(
    swept: dict[str, Any], tmp_path: Path
) -> None:
    swept["run"]["key"] = "mine"
    with open_job(make_sweep_config(swept)) as job:
        assert isinstance(job, SweepJob)
        assert job.segment().iterations == 9
    first = sweep(make_sweep_config(swept))
    assert not first["already_done"]
    assert set(first) == returned(sweep)
    assert models(tmp_path / "runs" / "mine") == plain(swept, tmp_path / "plain")
    assert sweep(make_sweep_config(swept)) == first | {"already_done": True}


@pytest.mark.usefixtures("api")
def test_errors_fail_the_flow_run_with_their_message(swept: dict[str, Any]) -> None:
    config = make_sweep_config(swept)
    # As a deployment would pass it: parameters that Prefect alone has checked.
    wrong = config.model_copy(
        update={"sweep": config.sweep.model_copy(update={"criterion": "elbow"})}
    )
    state = sweep(wrong, return_state=True)
    assert isinstance(state.result(raise_on_failure=False), ConfigError)
    assert "Use bic or aic or icl" in str(state.message)


@pytest.mark.slow
def test_a_killed_script_goes_on_with_the_same_bits(
    swept: dict[str, Any], tmp_path: Path, api: str, start: Callable[..., Script]
) -> None:
    swept["fit"]["max_iter"] = 200
    swept["run"] |= {"checkpoint_iterations": 20, "key": "long"}
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(swept))
    script = start("flows.sweep", path, PREFECT_API_URL=api)
    script.wait_for("checkpoint after")
    script.process.send_signal(signal.SIGKILL)
    assert script.end() == -signal.SIGKILL
    again = start("flows.sweep", path, PREFECT_API_URL=api)
    assert again.end() == 0, again.text
    assert "best        full-" in again.text
    del swept["run"]["key"]
    assert models(tmp_path / "runs" / "long") == plain(swept, tmp_path / "plain")
