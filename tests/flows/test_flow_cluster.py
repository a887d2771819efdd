"""The main job as a flow, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import Artifact, FlowRun

from emdist.errors import ConfigError, NotFoundError, SchedulerError
from emdist.flows.cluster import cluster
from emdist.flows.workarounds.private import storage_options
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.flow_processes import returned, until

pytestmark = pytest.mark.usefixtures("api")


@pytest.fixture
def client(api: str) -> SyncPrefectClient:
    return get_client(sync_client=True)


def ran(flow: Flow[..., Any], *arguments: Any) -> tuple[Any, FlowRun]:
    """The state that `flow` ended in, and its run as the server has it."""
    state = flow(*arguments, return_state=True)
    with get_client(sync_client=True) as client:
        return state, client.read_flow_run(state.state_details.flow_run_id)


def artifacts(client: SyncPrefectClient, run: FlowRun) -> dict[str, Artifact]:
    found = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    )
    return {str(artifact.key): artifact for artifact in found}


def fitted_without(values: dict[str, Any], folder: Path) -> bytes:
    """final/model.safetensors of the same configuration, without Prefect."""
    config = make_config(values | {"run": {"folder": str(folder), "key": "plain"}})
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()
    return model(folder / "plain")


def model(run: Path) -> bytes:
    return (run / "final" / "model.safetensors").read_bytes()


@pytest.mark.long
@pytest.mark.newest
@pytest.mark.newest_short
def test_it_fits_and_labels_with_the_bits_of_the_plain_job(
    values: dict[str, Any], tmp_path: Path, client: SyncPrefectClient
) -> None:
    state, run = ran(cluster, make_config(values))
    result = state.result()
    assert run.state is not None
    assert run.state.is_completed()
    # Without a key, the run has the flow run's id.
    folder = tmp_path / "runs" / str(run.id)
    assert result["run"] == str(folder)
    assert result["iterations"] == 9
    assert not result["already_done"]
    assert set(result) == returned(cluster)
    assert model(folder) == fitted_without(values, tmp_path / "plain")
    labels = np.asarray(zarr.open_group(folder / "labels.zarr", mode="r")["labels"])
    assert set(labels.tolist()) == {0, 1, 2, 3}
    assert json.loads((folder / "summary.json").read_text())["result"]["iterations"] == 9


@pytest.mark.long
def test_each_stage_is_a_task_that_keeps_no_result(
    values: dict[str, Any], client: SyncPrefectClient
) -> None:
    _, run = ran(cluster, make_config(values))
    only = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))

    def tasks() -> list[Any]:
        found = client.read_task_runs(flow_run_filter=only)
        # Prefect learns of the ends of tasks by events, which may come later than the flow's end.
        done = [task for task in found if task.state is not None and task.state.is_completed()]
        return done if len(done) == 7 else []

    found = until(tasks, "seven completed task runs")
    names = sorted(task.name.rpartition("-")[0] for task in found)
    assert names == ["finish", "label", *["segment"] * 3, "summarise", "survey"]
    assert all(task.state.data is None for task in found)


def test_artifacts_show_the_progress_and_the_result(
    values: dict[str, Any], client: SyncPrefectClient
) -> None:
    _, run = ran(cluster, make_config(values))
    found = artifacts(client, run)
    assert sorted(found) == [
        f"{run.id}-{name}" for name in ("components", "progress", "report", "summary")
    ]
    assert float(str(found[f"{run.id}-progress"].data)) == 100.0
    table = json.loads(str(found[f"{run.id}-components"].data))
    assert len(table) == 4
    assert sum(row["labelled"] for row in table) == 6000
    assert [row["labelled"] for row in table] == sorted(
        (r["labelled"] for r in table), reverse=True
    )
    assert "| status | not converged (max_iter was reached) |" in str(
        found[f"{run.id}-summary"].data
    )


def test_a_plan_is_an_artifact_and_the_summary_compares_it(
    values: dict[str, Any], client: SyncPrefectClient
) -> None:
    values["run"]["plan"] = "always"
    _, run = ran(cluster, make_config(values))
    found = artifacts(client, run)
    assert "| time, all | at most" in str(found[f"{run.id}-plan"].data)
    assert "predicted" in str(found[f"{run.id}-summary"].data)


def test_iterations_are_logged_and_sent_as_events(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "emdist.flows.telling.emit_event",
        lambda name, resource, payload: sent.extend(payload["iterations"]),
    )
    with caplog.at_level("INFO", "prefect.task_runs"):
        cluster(make_config(values))
    assert [line["iteration"] for line in sent] == list(range(1, 10))
    assert sent[0]["change"] is None
    assert all(line["rows_per_second"] > 0 for line in sent)
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("iteration ")]
    assert len(lines) == 9
    assert "change" not in lines[0]
    assert "rows/s" in lines[1]


def test_a_second_start_says_done_and_changes_nothing(
    values: dict[str, Any], tmp_path: Path
) -> None:
    values["run"]["key"] = "mine"
    first = cluster(make_config(values))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("*") if p.is_file()}
    second = cluster(make_config(values))
    assert second == first | {"already_done": True}
    assert {
        p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("*") if p.is_file()
    } == before


@pytest.mark.newest
@pytest.mark.newest_short
def test_a_cut_run_goes_on_from_its_checkpoint(values: dict[str, Any], tmp_path: Path) -> None:
    values["run"]["key"] = "mine"
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        assert job.segment().iterations == 3
    assert cluster(make_config(values))["iterations"] == 9
    del values["run"]["key"]
    assert model(tmp_path / "runs" / "mine") == fitted_without(values, tmp_path / "plain")


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"data": {"path": "/nowhere/x.zarr"}}, NotFoundError, "nothing at /nowhere/x.zarr"),
        ({"data": {"path": "x.zarr", "block_size": "big"}}, ConfigError, "'big' is not a size"),
        (
            {"data": {"path": "s3://b/x.zarr", "storage_options": {"secret_access_key": "xyzzy"}}},
            ConfigError,
            "EMDIST_STORAGE_OPTIONS",
        ),
        ({"data": {"path": "https://me:xyzzy@h/x.zarr"}}, ConfigError, "password"),
    ],
)
def test_errors_fail_the_flow_run_with_their_message(
    values: dict[str, Any], change: dict[str, Any], error: type[Exception], text: str
) -> None:
    config = make_config(values)
    # As a deployment would pass it: parameters that Prefect alone has checked.
    config = config.model_copy(update={"data": config.data.model_copy(update=change["data"])})
    state, run = ran(cluster, config)
    assert isinstance(state.result(raise_on_failure=False), error)
    assert run.state is not None
    assert run.state.is_failed()
    assert text in str(run.state.message)
    assert "xyzzy" not in str(run.state.message)


def test_storage_options_reach_the_job_from_the_workers_file(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("data: {region: zurich}\nlabels: {timeout: 3}\n")
    monkeypatch.setenv("EMDIST_STORAGE_OPTIONS", str(path))
    assert storage_options() == {"data": {"region": "zurich"}, "labels": {"timeout": "3"}}
    seen = {}

    def opened(config: Any, *_: Any) -> Any:
        seen.update(data=config.data.storage_options, run=config.run.storage_options)
        raise NotFoundError("enough")

    monkeypatch.setattr("emdist.flows.stages.open_job", opened)
    _, run = ran(cluster, make_config(values))
    assert seen == {"data": {"region": "zurich"}, "run": {}}
    assert "zurich" not in json.dumps(run.parameters)


def test_no_call_of_the_api_can_fail_a_fit(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def broken(*arguments: Any, **more: Any) -> Any:
        called.append(arguments)
        raise OSError("the API is gone")

    for name in ("create_progress_artifact", "create_table_artifact", "create_markdown_artifact"):
        monkeypatch.setattr(f"emdist.flows.telling.{name}", broken)
    monkeypatch.setattr("emdist.flows.telling.emit_event", broken)
    result = cluster(make_config(values))
    assert called
    assert model(Path(result["run"])) == fitted_without(values, tmp_path / "plain")


def lossy(monkeypatch: pytest.MonkeyPatch, iterations: int) -> list[int]:
    """Have the first segment lose its cluster after so many iterations; the starts seen."""
    whole: Callable[[Job], Any] = Job.segment
    starts: list[int] = []

    def segment(self: Job) -> Any:
        starts.append(self.run.state().iterations)
        if len(starts) > 1 or iterations == 0:
            if iterations == 0:
                raise SchedulerError("the scheduler was lost.")
            return whole(self)
        whole(self)
        raise SchedulerError("the scheduler was lost.")

    monkeypatch.setattr(Job, "segment", segment)
    return starts


@pytest.mark.long
def test_a_lost_cluster_is_replaced_and_the_fit_goes_on(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        starts = lossy(patch, 3)
        result = cluster(make_config(values))
    assert starts == [0, 3, 6]
    assert model(Path(result["run"])) == fitted_without(values, tmp_path / "plain")


def test_a_cluster_that_gets_nowhere_is_given_up(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = lossy(monkeypatch, 0)
    with pytest.raises(SchedulerError):
        cluster(make_config(values))
    assert starts == [0]


@pytest.mark.newest
def test_on_a_dask_cluster_the_bits_are_the_same(values: dict[str, Any], tmp_path: Path) -> None:
    values["cluster"] = {"kind": "local", "n_workers": 1}
    result = cluster(make_config(values))
    del values["cluster"]
    assert model(Path(result["run"])) == fitted_without(values, tmp_path / "plain")
