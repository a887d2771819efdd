"""Streams that programs read come in whole lines, whatever threads and signals do meanwhile."""

from __future__ import annotations

import array
import fcntl
import json
import signal
import subprocess
import sys
import termios
import time
from typing import IO

import pytest

#: Four threads that tell events at the same time, changed at every opportunity.
_THREADS = """
import sys, threading
from emdist.fit.events import Warned
from emdist.report.display import display
from emdist.report.lines import keep_lines_whole

keep_lines_whole()
sys.setswitchinterval(1e-6)
with display(sys.argv[1]) as listen:
    def tell(number):
        for i in range(1500):
            listen(Warned(f"{number}-{i}"))
    threads = [threading.Thread(target=tell, args=(n,)) for n in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


@pytest.mark.parametrize("mode", ["json", "plain"])
def test_events_of_several_threads_are_a_line_each(mode: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _THREADS, mode],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    wanted = {f"{n}-{i}" for n in range(4) for i in range(1500)}
    if mode == "json":
        told = [json.loads(line)["message"] for line in done.stdout.splitlines()]
    else:
        told = [line.removeprefix("note: ") for line in done.stderr.splitlines()]
    assert set(told) == wanted
    assert len(told) == len(wanted)


#: A command that writes long lines until a signal comes.
_LONG = """
import sys
from emdist.fit.events import Warned
from emdist.report.answer import ending, reported
from emdist.report.display import display
from emdist.report.lines import keep_lines_whole
from emdist.report.signals import heed_signals

heed_signals()
keep_lines_whole()
with ending(), reported(True, "go on."), display("json") as listen:
    while True:
        listen(Warned("x" * 300_000))
"""


def _full(pipe: IO[str]) -> int:
    """Bytes in the pipe."""
    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_does_not_tear_a_line_that_is_being_written(number: int, code: int) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", _LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    before = -1
    while (now := _full(running.stdout)) != before or now < 1 << 12:
        before = now
        time.sleep(0.05)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    events = [json.loads(line) for line in out.splitlines()]
    assert running.returncode == code, err
    assert events[-1]["event"] == "error"
    assert events[-1]["exit_code"] == code
    assert {len(event["message"]) for event in events[:-1]} == {300_000}
