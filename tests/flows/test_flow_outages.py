"""A real Prefect API that goes and comes back while a flow is at work; the flow goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun

from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.flow_processes import Script, until
from tests.support.tcp_relay import Relay

Start = Callable[..., Script]


@pytest.fixture
def relay(api: str) -> Iterator[Relay]:
    """Between a script and the API."""
    at = urlsplit(api)
    assert at.hostname is not None
    assert at.port is not None
    found = Relay(at.hostname, at.port)
    yield found
    found.close()


@pytest.fixture
def long(values: dict[str, Any], tmp_path: Path) -> Path:
    """A configuration that runs for seconds."""
    values["fit"]["max_iter"] = 100
    values["run"] |= {"checkpoint_iterations": 20, "key": "long"}
    values["cluster"] = {"kind": "threads", "threads": 1}
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def by(relay: Relay) -> dict[str, str]:
    """The environment of a script that meets the API at the relay."""
    return {
        "PREFECT_API_URL": f"http://127.0.0.1:{relay.port}/api",
        "PREFECT_CLIENT_MAX_RETRIES": "5",
    }


def same_as_plain(run: Path, long: Path, folder: Path) -> bool:
    """Whether the run has the model of the plain job."""
    values = yaml.safe_load(long.read_text())
    values["run"] = {"folder": str(folder), "key": "plain"}
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        job.complete()
    name = "final/model.safetensors"
    return (run / name).read_bytes() == (folder / "plain" / name).read_bytes()


def flow_run_of(script: Script) -> FlowRun:
    """The flow run of a script, as the server has it."""
    name = script.text.partition("Flow run '")[2].partition("'")[0]
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[name]))
        )
    return run


@pytest.mark.slow
def test_an_api_that_comes_back_is_told_the_end(
    relay: Relay, start: Start, long: Path, tmp_path: Path
) -> None:
    script = start("flows.cluster", long, **by(relay))
    script.wait_for("iteration 5:")
    relay.cut()
    # A segment begins and ends meanwhile.
    script.wait_for("checkpoint after 60 iterations")
    relay.restore()
    assert script.end() == 0, script.text
    assert "Traceback" not in script.text
    run = flow_run_of(script)
    assert run.state is not None
    assert run.state.is_completed()
    assert same_as_plain(tmp_path / "runs" / "long", long, tmp_path / "plain")


@pytest.mark.long
def test_an_api_that_is_gone_for_good_is_not_waited_for(
    relay: Relay, start: Start, long: Path, tmp_path: Path
) -> None:
    script = start("flows.cluster", long, **by(relay))
    script.wait_for("iteration 5:")
    relay.cut()
    # Well below the two minutes that Prefect would try for: `end` waits no longer than that.
    assert script.end() == 0, script.text
    assert "so it does not know that the flow has ended. The run itself is complete" in script.text
    assert same_as_plain(tmp_path / "runs" / "long", long, tmp_path / "plain")


@pytest.mark.slow
def test_terminated_while_the_api_is_gone(
    relay: Relay, start: Start, long: Path, tmp_path: Path
) -> None:
    """Saved, 143 and how to go on; Prefect alone would try for minutes to tell of it."""
    script = start("flows.cluster", long, **by(relay))
    script.wait_for("iteration 5:")
    relay.cut()
    script.wait_for("iteration 25:")
    script.process.send_signal(signal.SIGTERM)
    assert script.end() == 143, script.text
    last = script.text.rstrip().splitlines()[-1]
    assert last.endswith(
        "terminated. To continue, start it again with the same configuration and --key long"
    ), last
    numbers = [int(p.parent.name[:8]) for p in tmp_path.glob("runs/long/ckpt/*/manifest.json")]
    assert max(numbers) >= 25


@pytest.mark.slow
def test_a_crashed_flow_run_is_retried_and_goes_on(
    api: str, start: Start, long: Path, tmp_path: Path
) -> None:
    """Killed with a cluster of its own: no process is left, and the next flow run resumes."""
    values = yaml.safe_load(long.read_text())
    values["cluster"] = {"kind": "local", "n_workers": 1}
    long.write_text(yaml.safe_dump(values))
    first = start("flows.cluster", long, PREFECT_API_URL=api)
    first.wait_for("checkpoint after 20 iterations")
    assert any("spawn_main" in command for command in first.left_behind())
    first.process.kill()
    assert first.end() == -signal.SIGKILL
    until(lambda: not first.left_behind(), "its workers to end")
    second = start("flows.cluster", long, PREFECT_API_URL=api)
    assert second.end() == 0, second.text
    assert "iteration 1:" not in second.text
    values["cluster"] = {"kind": "threads", "threads": 1}
    long.write_text(yaml.safe_dump(values))
    assert same_as_plain(tmp_path / "runs" / "long", long, tmp_path / "plain")
