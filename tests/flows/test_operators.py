"""Operators end workers; flow runs crash, never begin or fall silent: all go on by themselves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.states import Crashed, Pending

from emdist.flows import setup
from emdist.flows.setup import Care
from tests.support.flow_processes import Script, begin, until
from tests.support.flow_services import Server, comes_to, deployed, state_of, whole_server, worker
from tests.support.services import postgresql

pytestmark = pytest.mark.long

POOL = "operated"
#: Seconds are short here; the commands ask for minutes.
CARE = Care(POOL, limit=1, heartbeat=3600, start_timeout=30, retries=2, retry_delay=10)
Start = Callable[..., Script]


@pytest.fixture(
    scope="module", params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.slow)]
)
def server(
    api: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A whole server with the work pool and its automations."""
    folder = tmp_path_factory.mktemp("server")

    def start(module: str, *arguments: object, **environment: str) -> Script:
        return begin(folder / "server", module, arguments, environment)

    with ExitStack() as stack:
        database = stack.enter_context(postgresql()) if request.param == "PostgreSQL" else None
        found = stack.enter_context(whole_server(start, folder / "home", database))
        assert setup.run(CARE) == 0
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def long(values: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose fit a test interrupts; its flow waits at the gate of `gate`."""
    values["fit"]["max_iter"] = 60
    values["run"] |= {"checkpoint_iterations": 10, "key": "long"}
    values["cluster"] = {"kind": "threads", "threads": 1}
    return values


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file: while it is there, fits wait after 30 iterations."""
    path = tmp_path / "gate"
    path.touch()
    return path


def submitted(client: SyncPrefectClient, name: str, values: dict[str, Any]) -> FlowRun:
    deployed(client, name, POOL, values, "tests.flows.gated.cluster")
    found: Any = run_deployment(f"cluster/{name}", timeout=0)
    return found


def engines(script: Script) -> list[psutil.Process]:
    """The processes in which the flow runs of a worker are at work."""
    found = psutil.Process(script.process.pid).children(recursive=True)
    return [one for one in found if "prefect.engine" in " ".join(one.cmdline())]


def ended(script: Script) -> str:
    """What a worker has written, once it was told to end and has ended."""
    script.process.terminate()
    assert script.end() == 143, script.text
    return script.text


def test_a_worker_that_is_told_to_end_lets_its_flow_run_save_and_another_goes_on(
    client: SyncPrefectClient, start: Start, long: dict[str, Any], gate: Path, tmp_path: Path
) -> None:
    run = submitted(client, "drained", long)
    first = worker(start, POOL, EMDIST_TEST_GATE=str(gate))
    first.wait_for("checkpoint after 30 iterations")
    text = ended(first)
    assert "1 flow run saves and is scheduled again" in text
    assert "Traceback" not in text
    assert state_of(client, run).name == "AwaitingRetry"
    second = worker(start, POOL)
    comes_to(client, run, "Completed")
    text = ended(second)
    assert "iteration 31:" in text
    assert "iteration 30:" not in text
    assert (tmp_path / "runs/long/final/model.json").exists()


def test_a_killed_flow_run_is_retried_after_a_delay(
    client: SyncPrefectClient, start: Start, long: dict[str, Any], gate: Path
) -> None:
    run = submitted(client, "killed", long)
    script = worker(start, POOL, EMDIST_TEST_GATE=str(gate))
    script.wait_for("checkpoint after 30 iterations")
    gate.unlink()
    for one in engines(script):
        one.kill()
    crash = comes_to(client, run, "Crashed")
    retry = comes_to(client, run, "AwaitingRetry", "Pending", "Running", "Completed")
    assert (retry.timestamp - crash.timestamp).total_seconds() >= CARE.retry_delay
    comes_to(client, run, "Completed")
    assert script.text.count("iteration 1:") == 1
    ended(script)


def test_a_flow_run_that_never_begins_frees_its_slot_and_is_retried(
    client: SyncPrefectClient, start: Start, values: dict[str, Any]
) -> None:
    """A worker took it and was gone: it is Pending for ever, and the pool allows one flow run."""
    run = submitted(client, "stuck", values)
    client.set_flow_run_state(run.id, Pending())
    script = worker(start, POOL)
    crash = comes_to(client, run, "Crashed")
    assert "did not begin within 30 s" in (crash.message or "")
    comes_to(client, run, "Completed")
    ended(script)


class Told(BaseHTTPRequestHandler):
    """Notes what it is told."""

    texts: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.texts.append(json.loads(self.rfile.read(size))["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def told() -> Iterator[str]:
    """The URL of a server that is told of crashes, in `Told.texts`."""
    with HTTPServer(("127.0.0.1", 0), Told) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_flow_run_that_crashes_again_and_again_fails_and_is_told(
    client: SyncPrefectClient, values: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    block: Any = CustomWebhookNotificationBlock(
        name="here", url=told, json_data={"text": "{{subject}}: {{body}}"}
    )
    block.save("here")
    setup.run(replace(CARE, notify="custom-webhook/here"))
    assert "created    emdist: crashed and failed flow runs" in capsys.readouterr().out
    run = submitted(client, "hopeless", values)
    for attempt in range(CARE.retries + 1):
        client.set_flow_run_state(run.id, Crashed(message=f"crash {attempt}"), force=True)
        if attempt < CARE.retries:
            comes_to(client, run, "AwaitingRetry", "Late")
    end = comes_to(client, run, "Failed")
    assert "crashed 3 times within a day" in (end.message or "")
    until(lambda: any("is Failed" in text for text in Told.texts), "to be told")
    assert any("is Crashed: crash 0" in text for text in Told.texts)


def test_setting_up_again_changes_what_differs_and_nothing_twice(
    server: Server, client: SyncPrefectClient, capsys: pytest.CaptureFixture[str]
) -> None:
    care = replace(CARE, pool="again")
    setup.run(care)
    assert capsys.readouterr().out.count("created  ") == 4
    setup.run(care)
    assert capsys.readouterr().out.count("unchanged  ") == 5
    setup.run(replace(care, limit=7, retries=9))
    assert capsys.readouterr().out.count("updated  ") == 2
    assert client.read_work_pool("again").concurrency_limit == 7
    found = client.request("POST", "/automations/filter", json={}).json()
    names = [one["name"] for one in found]
    assert len(names) == len(set(names))
