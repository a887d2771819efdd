"""Cut short in any way, the same command goes on and ends with the same bits."""

from __future__ import annotations

import gc
import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.report.signals import SIGNALS, not_swallowed
from tests.support.command_line import process
from tests.support.paths import environment, module

#: Slow to converge, and a pass takes long enough to be interrupted within one.
_ROWS, _FEATURES, _K = 120_000, 8, 12
_FIT = ("-m", "full", "-k", _K, "--max-iter", 14, "--tol", 0, "--set", "data.block_size=1 MB")


@pytest.fixture(scope="module")
def slow_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slow") / "x.zarr"
    rng = np.random.default_rng(0)
    array = zarr.create_array(
        path, shape=(_ROWS, _FEATURES), chunks=(15_000, _FEATURES), dtype="f8"
    )
    array[:] = rng.normal(size=(_ROWS, _FEATURES)) + rng.integers(0, 3, (_ROWS, 1))
    return path


def sha(run: Path) -> str:
    return hashlib.sha256((run / "final/model.safetensors").read_bytes()).hexdigest()


def wait_for_line(running: subprocess.Popen[str], words: str) -> None:
    assert running.stderr is not None
    for line in running.stderr:
        if words in line:
            return
    pytest.fail(f"the command ended before it said {words!r}")


@pytest.fixture(scope="module")
def uninterrupted(slow_data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("straight")
    running = process("fit", slow_data, *_FIT, "--run", "r", "--no-labels", cwd=folder)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    return sha(folder / "r")


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_saves_what_is_done(
    number: signal.Signals,
    code: int,
    word: str,
    slow_data: Path,
    tmp_path: Path,
    uninterrupted: str,
) -> None:
    command = ("fit", slow_data, *_FIT, "--run", "r", "--no-labels")
    running = process(*command, cwd=tmp_path)
    wait_for_line(running, "iteration 3:")
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == code, err
    assert out == ""
    assert (
        err.splitlines()[-1]
        == f"emdist: {word}. Start the same command again to continue where it stopped."
    )
    assert "Traceback" not in err
    assert "checkpoint after" in err
    assert list((tmp_path / "r/ckpt").iterdir())
    assert not (tmp_path / "r/final").exists()

    again = process(*command, cwd=tmp_path)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "continuing after iteration" in err
    assert "iteration 1:" not in err
    assert sha(tmp_path / "r") == uninterrupted


def test_a_kill_loses_only_the_last_segment(
    slow_data: Path, tmp_path: Path, uninterrupted: str
) -> None:
    command = ("fit", slow_data, *_FIT, "--run", "r", "--no-labels")
    saving = (*command, "--set", "run.checkpoint_iterations=2")
    running = process(*saving, cwd=tmp_path)
    wait_for_line(running, "checkpoint after 4")
    running.kill()
    running.communicate(timeout=60)
    again = process(*command, cwd=tmp_path)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "iteration 1:" not in err
    assert sha(tmp_path / "r") == uninterrupted


@pytest.mark.long
def test_a_signal_before_the_first_iteration(slow_data: Path, tmp_path: Path) -> None:
    running = process("fit", slow_data, *_FIT, "--run", "r", cwd=tmp_path)
    wait_for_line(running, "surveying")
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 143
    assert "Traceback" not in err


@pytest.mark.long
@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "plain"])
def test_a_closed_pipe_ends_without_a_traceback(
    options: list[str], slow_data: Path, tmp_path: Path
) -> None:
    running = process("fit", slow_data, *_FIT, "--run", "r", *options, cwd=tmp_path)
    if options:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        running.stdout = None
    else:
        # The tables at the end go to a pipe that nobody reads.
        assert running.stdout is not None
        running.stdout.close()
        running.stdout = None
    _, err = running.communicate(timeout=60)
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert running.returncode != 0


@pytest.mark.long
def test_labels_go_on_where_they_were_cut(slow_data: Path, tmp_path: Path) -> None:
    fit = process(
        "fit", slow_data, "-k", 3, "--max-iter", 2, "--run", "r", "--no-labels", cwd=tmp_path
    )
    fit.communicate(timeout=120)
    command = ("label", "r", slow_data, "l.zarr", "--set", "data.block_size=1 MB")
    running = process(*command, cwd=tmp_path)
    began = time.monotonic()
    while not (tmp_path / "l.zarr/zarr.json").exists() and time.monotonic() < began + 60:
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode in (0, 143), err
    again = process(*command, "--quiet", cwd=tmp_path)
    out, err = again.communicate(timeout=60)
    assert (again.returncode, out) == (0, f"{tmp_path}/l.zarr\n"), err
    labels = zarr.open_array(tmp_path / "l.zarr/labels", mode="r")[:]
    assert set(labels.tolist()) == {0, 1, 2}


#: A command that is over, which a thread tells that Python waits for at its end.
_OVER = """
import signal, sys, threading, time
from emdist.report.answer import ending

def told():
    first = [signal.SIG_DFL, signal.default_int_handler]
    while {signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)} & set(first):
        time.sleep(0.001)
    print("done", flush=True)
    sys.stdin.read()

with ending():
    threading.Thread(target=told).start()
    sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_end_changes_nothing(number: signal.Signals) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", _OVER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline() == "done\n"
    running.send_signal(number)
    assert running.wait(60) == 7
    _, err = running.communicate()
    assert err == ""


#: A command that was cut short, with a thread that waits for a lock for good.
_STUCK = """
import sys, threading
from emdist.report import answer

answer._PATIENCE = 0.2
with answer.ending():
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=lock.acquire).start()
    sys.exit(143)
"""


def test_a_thread_that_hangs_does_not_keep_what_was_cut_short() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _STUCK], timeout=60, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (143, "")


#: A command that gets a signal while the garbage is collected, as Dask watches it: always there.
_COLLECTING = """
import gc, os, signal, sys, time
from emdist.report.answer import ending, reported
from emdist.report.signals import SIGNALS, heed_signals, not_swallowed

def watch(phase, info):
    if phase == "start":
        gc.callbacks.remove(watch)
        os.kill(os.getpid(), number)
        for _ in range(10):
            pass  # the handler is called at the latest where this goes round

number = int(sys.argv[1])
heed_signals()
with not_swallowed(SIGNALS), ending(), reported(False, "go on."):
    gc.callbacks.append(watch)
    gc.collect()
    while True:
        time.sleep(0.01)  # a signal just before Python sleeps is heeded after it
"""


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_while_garbage_is_collected(number: signal.Signals, code: int, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COLLECTING, str(int(number))],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", f"emdist: {word}. go on.\n")
    assert done.returncode == code


@pytest.mark.covering
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "kind",
    [
        "fails_while_it_cleans_up",
        "raises_another",
        "raises_one_of_emdist",
        "forgets_what_it_came_of",
        "puts_it_into_a_group",
        "swallows_it",
        "ends_with_one",
    ],
)
def test_a_library_that_spoils_an_interrupt(kind: str, number: signal.Signals) -> None:
    done = subprocess.run(
        [*module("tests.cli.lost_signals"), kind, str(int(number))], env=environment(),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert (done.stdout, done.stderr) == ("", f"emdist: {word}. go on.\n")
    assert done.returncode == 128 + number


#: The command line, which is interrupted before a command of it has begun.
_EARLY = """
import os, sys, time
import emdist.jobs.records
from emdist.cli.application import main

def versions():
    os.kill(os.getpid(), int(sys.argv.pop()))
    time.sleep(60)

emdist.jobs.records.versions = versions
sys.argv[1:1] = ["--version"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_command(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _EARLY, str(int(number))],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    last = f"emdist: {word}. Nothing was finished. Start the same command again."
    assert done.stderr.splitlines()[-1] == last
    assert "Traceback" not in done.stderr
    assert done.returncode == 128 + number


#: Signals itself when Python has given back all else, as one that is sent again may.
_LATE = """
import os, signal, sys
from emdist.report.signals import heed_signals
heed_signals()
class Late:
    def __init__(self, number):
        self.kill, self.pid, self.number = os.kill, os.getpid(), number
    def __del__(self):
        self.kill(self.pid, self.number)
sys.modules["late"] = Late(signal.{name})
sys.exit({code})
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("code", [0, 130])
def test_a_signal_that_comes_while_python_ends_leaves_the_exit_code(name: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LATE.format(name=name, code=code)],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert (done.returncode, done.stderr) == (code, "")


def test_what_an_interrupt_left_half_made_is_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Half:
        def __init__(self) -> None:
            raise KeyboardInterrupt

        def __del__(self) -> None:
            self.handle.close()  # type: ignore[attr-defined]

    class Broken:
        def __del__(self) -> None:
            raise ValueError("a fault of its own")

    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda met: told.append(met.exc_type))
    with not_swallowed(SIGNALS):
        with pytest.raises(KeyboardInterrupt):
            Half()
        gc.collect()
        assert told == []
        Broken()
        gc.collect()
    assert told == [ValueError]
