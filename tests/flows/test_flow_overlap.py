"""Two flow runs with one key at once, and flow runs that fail: states, messages, results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from tests.flows.test_flow_orchestrated import same_as_plain
from tests.support.flow_processes import Script, until
from tests.support.flow_services import comes_to, deployed, worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file: while it is there, fits wait after nine iterations."""
    path = tmp_path / "gate"
    path.touch()
    return path


@pytest.fixture
def pool(client: SyncPrefectClient, start: Callable[..., Script], gate: Path) -> tuple[str, Script]:
    """The name of a work pool, and a worker that takes its flow runs."""
    name = f"pool-{uuid4().hex[:8]}"
    client.create_work_pool(WorkPoolCreate(name=name, type="process"))
    return name, worker(start, name, EMDIST_TEST_GATE=str(gate))


@pytest.fixture
def long(values: dict[str, Any]) -> dict[str, Any]:
    values["fit"]["max_iter"] = 30
    values["run"]["key"] = "long"
    values["cluster"] = {"kind": "threads", "threads": 1}
    return values


def submitted(client: SyncPrefectClient, pool: str, values: dict[str, Any]) -> FlowRun:
    deployed(client, pool, pool, values, "tests.flows.gated.cluster")
    found: Any = run_deployment(f"cluster/{pool}", timeout=0)
    return found


def at_work_too(script: Script, folder: Path, if_running: str) -> bool:
    """Whether the second flow run has seen the first, and done what it does about it."""
    if if_running == "take_over":
        return (folder / "long/owners/00000002.json").exists()
    seen = {"wait": "is claimed by", "skip": "another process is working on"}
    return seen[if_running] in script.text


@pytest.mark.parametrize(
    ("if_running", "first", "second"),
    [
        ("take_over", "Cancelled", "Completed"),
        ("wait", "Completed", "Completed"),
        ("skip", "Completed", "Skipped"),
    ],
)
def test_an_overlap_fails_in_no_mode(
    client: SyncPrefectClient,
    pool: tuple[str, Script],
    gate: Path,
    long: dict[str, Any],
    if_running: str,
    first: str,
    second: str,
) -> None:
    name, script = pool
    before = submitted(client, name, long)
    script.wait_for("checkpoint after 9 iterations")
    long["run"]["if_running"] = if_running
    after = submitted(client, name, long)
    folder = Path(long["run"]["folder"])
    until(lambda: at_work_too(script, folder, if_running), "the second flow run")
    gate.unlink()
    ends = [comes_to(client, before, first), comes_to(client, after, second)]
    if if_running == "take_over":
        assert "Superseded: " in (ends[0].message or "")
        assert "was taken over by" in (ends[0].message or "")
    if if_running == "skip":
        assert ends[1].is_completed()
        assert "another process is working on" in (ends[1].message or "")
    assert "Traceback" not in script.text
    assert script.text.count("iteration 1:") == 1
    assert client.read_flow_run(after.id).name == "x full-4 long"
    assert same_as_plain(long, folder / "plain")


def test_a_failed_flow_run_shows_a_message_and_no_traceback(
    client: SyncPrefectClient, pool: tuple[str, Script], long: dict[str, Any]
) -> None:
    name, script = pool
    long["data"]["path"] += "-gone"
    run = submitted(client, name, long)
    state = comes_to(client, run, "Failed")
    assert "NotFoundError: There is " in (state.message or "")
    # The worker prints what the flow logs, and the end of the flow.
    until(lambda: "Finished in state Failed" in script.text, "the end in the log")
    assert len(re.findall("There is ", script.text)) <= 3, script.text
    assert "Traceback" not in script.text
