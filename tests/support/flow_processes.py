"""Scripts in processes of their own, and waiting for what they do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import Flow
from typer.main import get_command

from emdist.cli import flow
from tests.support.paths import ROOT

#: Seconds for anything that a test waits for.
PATIENCE = 90.0
_MARK = "EMDIST_TEST_SCRIPT"


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for `condition` and give its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(0.02)
    return value


@dataclass
class Script:
    """A script; its output in a file, its children known by a mark in their environment."""

    process: subprocess.Popen[bytes]
    log: Path
    mark: str

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.text or self.process.poll() is not None, repr(text))
        assert text in self.text, self.text

    def end(self) -> int:
        """The exit code, once nobody that it started is left."""
        code = self.process.wait(PATIENCE)
        until(lambda: not self.left_behind(), f"the children of {self.log} to end")
        return code

    def left_behind(self) -> list[str]:
        """Command lines of its living processes."""
        wanted = f"{_MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
        return [command for command in found if command]


def begin(
    place: Path, module: str, arguments: Sequence[object], environment: Mapping[str, str]
) -> Script:
    """``python -m module arguments`` in a session of its own."""
    log = place.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **environment, _MARK: str(place)},
            start_new_session=True,
        )
    return Script(process, log, str(place))


def ran(name: str, *arguments: object) -> int:
    """The exit code of ``emdist flow NAME arguments`` in this process."""
    command = get_command(flow.app)
    try:
        command.main([name, *map(str, arguments)], prog_name="emdist flow")
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("a command ends with SystemExit")


def returned(flow: Flow[..., Any]) -> set[str]:
    """What the documentation of a flow says that it returns."""
    return set(re.findall(r"``(\w+)``", (flow.fn.__doc__ or "").partition("JSON values: ")[2]))
