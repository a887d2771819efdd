"""Flow runs that Prefect cancels, retries and reschedules: they stop or resume, and leave nothing.

A process that serves a deployment starts each flow run in a process of its own, as a worker
does. What it starts is known by a mark in the environment.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments import run_deployment
from prefect.states import Cancelling, Scheduled, State

from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.flow_processes import Script, until

pytestmark = pytest.mark.slow

Start = Callable[..., Script]


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def long(values: dict[str, Any]) -> dict[str, Any]:
    """A configuration that runs for seconds, on a cluster of its own."""
    values["fit"]["max_iter"] = 120
    values["run"] |= {"checkpoint_iterations": 10, "key": "long"}
    values["cluster"] = {"kind": "local", "n_workers": 1}
    return values


@pytest.fixture
def served(api: str, start: Start, client: SyncPrefectClient) -> Iterator[Script]:
    """What serves a deployment, once it is known; its name is `name_of`."""
    name = f"d-{uuid4().hex[:8]}"
    script = start(
        "tests.flows.served", name, PREFECT_API_URL=api, PREFECT_RUNNER_POLL_FREQUENCY="1"
    )
    until(lambda: script.process.poll() is not None or known(client, name), "the deployment")
    assert script.process.poll() is None, script.text
    yield script
    for process in processes_of(script):
        with suppress(psutil.Error):
            process.kill()


def known(client: SyncPrefectClient, name: str) -> bool:
    return name in {found.name for found in client.read_deployments()}


def submitted(script: Script, values: dict[str, Any]) -> FlowRun:
    """A flow run of the deployment, which its server will start."""
    name = f"cluster/{script.process.args[-1]}"  # type: ignore[index]
    parameters = {"config": make_config(values).model_dump(mode="json")}
    found: Any = run_deployment(name, parameters=parameters, timeout=0)
    return found


def wait_for(client: SyncPrefectClient, run: UUID, wanted: str, script: Script) -> State:
    """The state of a flow run, once it has that name."""

    def there() -> State | None:
        state = client.read_flow_run(run).state
        return state if state is not None and state.name == wanted else None

    try:
        found: State = until(there, f"{run} to be {wanted}")
    except AssertionError:
        pytest.fail(f"{client.read_flow_run(run).state!r} and not {wanted}: {script.text}")
    return found


def processes_of(script: Script) -> list[psutil.Process]:
    """Flow runs that the server has started, their workers; not what it has for itself."""
    with suppress(psutil.NoSuchProcess):
        server = psutil.Process(script.process.pid)
        own = [p for p in server.children() if "resource_tracker" in " ".join(p.cmdline())]
        return [p for p in server.children(recursive=True) if p not in own]
    return []


def checkpoints(values: dict[str, Any]) -> list[int]:
    """Numbers of the committed checkpoints."""
    folder = Path(values["run"]["folder"])
    return sorted(int(p.parent.name[:8]) for p in folder.glob("long/ckpt/[0-9]*/manifest.json"))


def model(folder: Path) -> bytes:
    return (folder / "final" / "model.safetensors").read_bytes()


def same_as_plain(values: dict[str, Any], folder: Path) -> bool:
    """Whether the run has the model and the labels of the plain job."""
    plain = values | {
        "run": {"folder": str(folder), "key": "plain"},
        "cluster": {"kind": "threads", "threads": 1},
    }
    with open_job(make_config(plain)) as job:
        assert isinstance(job, Job)
        job.complete()
    run = Path(values["run"]["folder"]) / "long"
    chunks = [p.relative_to(run) for p in (run / "labels.zarr/labels/c").rglob("*") if p.is_file()]
    assert chunks
    return model(run) == model(folder / "plain") and all(
        (run / p).read_bytes() == (folder / "plain" / p).read_bytes() for p in chunks
    )


def test_a_cancelled_flow_run_saves_stops_and_is_gone_on_with(
    served: Script, client: SyncPrefectClient, long: dict[str, Any], tmp_path: Path
) -> None:
    run = submitted(served, long)
    served.wait_for("checkpoint after 20 iterations")
    assert len(processes_of(served)) > 1
    client.set_flow_run_state(run.id, Cancelling())
    state = wait_for(client, run.id, "Cancelled", served)
    until(lambda: not processes_of(served), "the flow run's processes to end")
    assert state.is_cancelled()
    saved = max(checkpoints(long))
    assert 20 <= saved < 120
    again = submitted(served, long)
    wait_for(client, again.id, "Completed", served)
    assert served.text.count("iteration 1:") == 1
    assert same_as_plain(long, tmp_path / "plain")


def test_a_crashed_flow_run_is_retried_as_itself(
    served: Script, client: SyncPrefectClient, long: dict[str, Any], tmp_path: Path
) -> None:
    """SIGKILL of the flow's process; then what ``prefect flow-run retry`` does."""
    del long["run"]["key"]  # the flow run's id is the key
    run = submitted(served, long)
    served.wait_for("checkpoint after 20 iterations")
    flow = next(p for p in processes_of(served) if p.ppid() == served.process.pid)
    os.kill(flow.pid, signal.SIGKILL)
    wait_for(client, run.id, "Crashed", served)
    until(lambda: not processes_of(served), "the flow run's workers to end")
    client.set_flow_run_state(run.id, Scheduled(message="Retried via CLI"), force=True)
    wait_for(client, run.id, "Completed", served)
    assert served.text.count("iteration 1:") == 1
    folder = Path(long["run"]["folder"])
    (folder / str(run.id)).rename(folder / "long")
    assert same_as_plain(long, tmp_path / "plain")


def test_a_server_that_is_told_to_end_ends_its_flow_runs(
    served: Script, client: SyncPrefectClient, long: dict[str, Any]
) -> None:
    run = submitted(served, long)
    served.wait_for("checkpoint after 20 iterations")
    served.process.terminate()
    served.end()
    state = client.read_flow_run(run.id).state
    assert state is not None
    assert not state.is_completed()
    assert max(checkpoints(long)) >= 20


def written(values: dict[str, Any], folder: Path) -> Path:
    path = folder / "long.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def the_run(client: SyncPrefectClient, script: Script) -> FlowRun:
    """The flow run that a script tells of."""
    script.wait_for("use --key ")
    name = script.text.partition("use --key ")[2].split()[0]
    only = FlowRunFilter(name=FlowRunFilterName(like_=f" {name}"))
    newest = FlowRunSort.EXPECTED_START_TIME_DESC
    return client.read_flow_runs(flow_run_filter=only, sort=newest)[0]


def test_a_failed_flow_is_retried_by_prefect_and_goes_on(
    api: str, start: Start, client: SyncPrefectClient, long: dict[str, Any], tmp_path: Path
) -> None:
    """A chunk of the data is gone for a while."""
    own = tmp_path / "x.zarr"
    shutil.copytree(long["data"]["path"], own)
    long["data"]["path"] = str(own)
    long["cluster"] = {"kind": "threads", "threads": 1}
    script = start("tests.flows.retried", written(long, tmp_path), PREFECT_API_URL=api)
    run = the_run(client, script)
    script.wait_for("checkpoint after 20 iterations")
    (own / "c/3/0").rename(tmp_path / "chunk")
    wait_for(client, run.id, "AwaitingRetry", script)
    (tmp_path / "chunk").rename(own / "c/3/0")
    assert script.end() == 0, script.text
    run = client.read_flow_run(run.id)
    assert run.state is not None
    assert run.state.is_completed()
    assert run.run_count > 1
    assert script.text.count("iteration 1:") == 1
    assert same_as_plain(long, tmp_path / "plain")


def test_a_script_whose_flow_run_is_cancelled_stops_and_is_gone_on_with(
    api: str, start: Start, client: SyncPrefectClient, long: dict[str, Any], tmp_path: Path
) -> None:
    """Nobody but the script itself can end it."""
    long["fit"]["max_iter"] = 600
    config = written(long, tmp_path)
    script = start("flows.cluster", config, PREFECT_API_URL=api)
    run = the_run(client, script)
    script.wait_for("checkpoint after 20 iterations")
    client.set_flow_run_state(run.id, Cancelling())
    assert script.end() == 143, script.text
    assert "Traceback" not in script.text
    assert script.text.splitlines()[-1].startswith(
        "emdist: terminated. To continue, start it again with"
    )
    state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.is_cancelled()
    assert 20 <= max(checkpoints(long)) < 600
    again = start("flows.cluster", config, PREFECT_API_URL=api)
    assert again.end() == 0, again.text
    assert same_as_plain(long, tmp_path / "plain")
