"""The flows as scripts: exit codes, signals, kills, a server of their own, an API that goes."""

from __future__ import annotations

import os
import signal
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from emdist.errors import EmdistError
from emdist.flows.script import Outcome, run_as_script
from emdist.flows.workarounds.server import _start, _stop, _wait, prefect_api
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.flow_processes import Script, ran, until

Start = Callable[..., Script]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Scripts called in this process leave no signal handler behind."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def long(values: dict[str, Any], tmp_path: Path) -> Path:
    """A configuration that runs for seconds: 300 iterations in segments of 20."""
    values["fit"]["max_iter"] = 300
    values["run"] |= {"checkpoint_iterations": 20, "key": "long"}
    values["cluster"] = {"kind": "threads", "threads": 1}
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="session")
def expected(data: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """final/model.safetensors of `long`, uninterrupted and without Prefect."""
    folder = tmp_path_factory.mktemp("expected")
    config = make_config(
        {
            "data": {"path": str(data), "block_size": "14400 B"},
            "model": {"name": "full", "n_components": 4},
            "fit": {"tol": 0.0, "max_iter": 300},
            "run": {"folder": str(folder), "key": "plain"},
        }
    )
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()
    return model(folder / "plain")


def model(run: Path) -> bytes:
    return (run / "final" / "model.safetensors").read_bytes()


def checkpoints(folder: Path) -> list[int]:
    """Numbers of the committed checkpoints."""
    return sorted(int(p.parent.name[:8]) for p in folder.glob("long/ckpt/[0-9]*/manifest.json"))


@pytest.mark.long
def test_a_killed_script_started_again_gives_the_same_bits(
    api: str, start: Start, long: Path, tmp_path: Path, expected: bytes
) -> None:
    runs = tmp_path / "runs"
    first = start("flows.cluster", long, PREFECT_API_URL=api)
    until(lambda: checkpoints(runs) or first.process.poll() is not None, "a checkpoint")
    first.process.kill()
    assert first.end() == -signal.SIGKILL
    assert not (runs / "long" / "final").exists()
    second = start("flows.cluster", long, PREFECT_API_URL=api)
    assert second.end() == 0, second.text
    assert "iteration 1:" not in second.text
    assert model(runs / "long") == expected


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "code", "text"),
    [(signal.SIGTERM, 143, "emdist: terminated."), (signal.SIGINT, 130, "emdist: interrupted.")],
)
def test_a_signal_saves_what_is_done_and_says_how_to_go_on(
    api: str, start: Start, long: Path, tmp_path: Path, number: int, code: int, text: str
) -> None:
    long.write_text(long.read_text().replace("checkpoint_iterations: 20", "keep_last: 3"))
    script = start("flows.cluster", long, PREFECT_API_URL=api)
    script.wait_for("iteration 12:")
    script.process.send_signal(number)
    assert script.end() == code, script.text
    assert script.text.rstrip().endswith(
        f"{text} To continue, start it again with the same configuration and --key long"
    )
    assert "Traceback" not in script.text
    assert "Finished in state Crashed" in script.text
    assert checkpoints(tmp_path / "runs")[0] >= 12


def test_faults_are_one_clear_message_and_their_exit_code(
    api: str, config_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cases = [
        ([str(config_file), "--set", "model.nmae=full"], 2, "did you mean 'name'?"),
        ([str(config_file.with_name("none.yaml"))], 3, "There is no configuration file"),
        ([str(config_file), "--set", "run.key=a", "--key", "b"], 2, "Leave one of them out"),
        ([str(config_file), "--set", "data.path=/nowhere.zarr"], 3, "nothing at /nowhere.zarr"),
        ([str(config_file), "--set", "model.n_components=9999"], 2, "9999 components"),
    ]
    for arguments, code, text in cases:
        assert ran("cluster", *arguments) == code
        shown = capfd.readouterr().err
        assert text in shown.splitlines()[-1] or "fault(s)" in shown
        assert text in shown
        assert "Traceback" not in shown


def test_an_interrupt_that_prefect_trips_over_is_an_interrupt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def call() -> None:
        try:
            raise KeyboardInterrupt
        except BaseException:  # noqa: BLE001 - as Prefect does
            raise ValueError("Task run is not set")  # noqa: B904

    outcome = Outcome()
    outcome.advice = "Go on."
    assert run_as_script(call, outcome) == 130
    assert capsys.readouterr().err == "emdist: interrupted. Go on.\n"


@pytest.mark.long
def test_a_key_and_a_second_start(
    api: str,
    config_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", "prefect.flow_runs"):
        assert ran("cluster", str(config_file), "--key", "mine") == 0
    assert f"run folder  {tmp_path / 'runs' / 'mine'}" in capfd.readouterr().out
    assert "to resume it, use --key mine" in caplog.text
    assert ran("cluster", str(config_file), "--key", "mine") == 0
    assert "This run is already complete" in capfd.readouterr().out


@pytest.mark.long
def test_labels_of_new_data(
    api: str, config_file: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ran("cluster", str(config_file), "--key", "mine") == 0
    arguments = [str(tmp_path / "runs" / "mine"), str(data), str(tmp_path / "out.zarr")]
    assert ran("label", *arguments, "--output", "labels", "--output", "score") == 0
    told = yaml.safe_load("model: " + capfd.readouterr().out.partition("model: ")[2])
    assert told["rows"] == 6000
    new = zarr.open_group(tmp_path / "out.zarr", mode="r")
    own = zarr.open_group(tmp_path / "runs" / "mine" / "labels.zarr", mode="r")
    assert np.array_equal(new["labels"], own["labels"])
    assert np.isfinite(np.asarray(new["score"])).all()
    assert ran("label", *arguments) == 0  # the same model: other outputs may replace them
    arguments[2] = str(data)
    assert ran("label", *arguments) == 4
    assert "did not write" in capfd.readouterr().err


@pytest.mark.long
def test_an_ingest(api: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    arguments = [str(tmp_path / "x.npy"), str(tmp_path / "x.zarr")]
    assert ran("ingest", *arguments) == 0
    assert "6 rows x 2 float64" in capfd.readouterr().out
    stored = np.asarray(zarr.open_array(tmp_path / "x.zarr", mode="r"))
    assert stored.tolist() == np.arange(12.0).reshape(6, 2).tolist()
    assert ran("ingest", *arguments) == 0
    assert "done already" in capfd.readouterr().out
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    assert ran("ingest", *arguments) == 4
    assert ran("ingest", *arguments, "--overwrite") == 0
    assert ran("ingest", str(tmp_path / "none.csv"), str(tmp_path / "y.zarr")) == 3


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PREFECT_HOME for servers that tests start and kill."""
    return str(tmp_path_factory.mktemp("home"))


@pytest.mark.long
def test_a_server_of_its_own_ends_with_the_script_however_that_ends(
    start: Start, long: Path, home: str, tmp_path: Path, expected: bytes
) -> None:
    script = start("flows.cluster", long, PREFECT_HOME=home)
    script.wait_for("starting a Prefect server for this command")
    script.wait_for("checkpoint after 20 iterations")
    assert any("flows.workarounds.server" in command for command in script.left_behind())
    script.process.kill()
    assert script.end() == -signal.SIGKILL
    again = start("flows.cluster", long, PREFECT_HOME=home)
    assert again.end() == 0, again.text
    assert model(tmp_path / "runs" / "long") == expected
    assert "Error logging to API" not in again.text


@pytest.mark.slow
def test_an_api_that_dies_mid_run_fails_nothing(
    start: Start, long: Path, home: str, tmp_path: Path, expected: bytes
) -> None:
    os.environ["PREFECT_HOME"], before = home, os.environ["PREFECT_HOME"]
    server = _start()
    os.environ["PREFECT_HOME"] = before
    try:
        url = _wait(server, float("inf"))
        script = start("flows.cluster", long, PREFECT_API_URL=url, PREFECT_CLIENT_MAX_RETRIES="1")
        script.wait_for("iteration 5:")
        server.kill()
        assert script.end() == 0, script.text
    finally:
        _stop(server)
    assert "The run itself is complete" in script.text
    assert "Traceback" not in script.text
    assert model(tmp_path / "runs" / "long") == expected


def refusal(text: str) -> str:
    """The one line of a command that did nothing because of its API."""
    (line,) = text.splitlines()
    assert line.startswith("emdist: The Prefect API at http://127.0.0.1:")
    assert len(line) < 520
    return line


@pytest.mark.long
def test_an_api_that_is_not_there_is_refused(start: Start, long: Path, tmp_path: Path) -> None:
    """Whoever names a server wants the run to be seen there: no other takes its place."""
    script = start("flows.cluster", long, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert script.end() == 1
    line = refusal(script.text)
    assert "http://127.0.0.1:1/api (PREFECT_API_URL) does not answer: [Errno 111]" in line
    assert "To run with a server that emdist starts and stops, unset PREFECT_API_URL." in line
    assert not (tmp_path / "runs").exists()


def test_an_api_of_the_settings_that_is_not_there_is_refused(
    long: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "PREFECT_API_URL" not in os.environ
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        assert ran("cluster", long) == 1
    line = refusal(capfd.readouterr().err)
    assert "`prefect config view --show-sources` shows where it is set" in line
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def guarded() -> Iterator[str]:
    """URL of an API that is healthy and lets nobody in but me:secret."""
    wanted = "Basic " + b64encode(b"me:secret").decode()

    class Guard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            open_ = self.path == "/api/health" or self.headers["Authorization"] == wanted
            self.send_response(200 if open_ else 401)
            self.end_headers()
            self.wfile.write(b'"3.9.1"' if open_ else b'{"exception_message": "Unauthorized"}')

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Guard) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("given", "text"), [(None, "not set"), ("me:other", "is not accepted")])
def test_an_api_that_denies_access_names_the_credentials(
    guarded: str,
    long: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    given: str | None,
    text: str,
) -> None:
    with temporary_settings({PREFECT_API_URL: guarded, PREFECT_API_AUTH_STRING: given}):
        assert ran("cluster", long) == 1
    line = refusal(capfd.readouterr().err)
    assert "denies access (401): PREFECT_API_AUTH_STRING" in line
    assert f"{text}. Set it to the user:password of the server" in line
    assert "me:other" not in line
    assert not (tmp_path / "runs").exists()


def test_the_right_credentials_are_let_in(guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = {PREFECT_API_URL: guarded, PREFECT_API_AUTH_STRING: "me:secret"}
    with temporary_settings(right), prefect_api():
        assert PREFECT_API_URL.value() == guarded


@pytest.mark.parametrize("url", ["http://127.0.0.1:port/api", "127.0.0.1:4200/api", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(EmdistError, match=r"\(PREFECT_API_URL\) does not answer: .+Start that"),
        prefect_api(),
    ):
        pytest.fail("refused before anything is done")


def test_a_deployment_that_is_not_there_or_has_no_server(
    api: str, config_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ran("cluster", config_file, "--deployment", "cluster/nobody") == 2
    told = capfd.readouterr().err
    assert (
        "--deployment: the server has no deployment 'cluster/nobody'. Nothing is deployed yet. Run"
        in told
    )
    with temporary_settings({PREFECT_API_URL: None}):
        assert ran("cluster", config_file, "--deployment", "cluster/emdist") == 2
    assert "--deployment needs a running Prefect server" in capfd.readouterr().err
