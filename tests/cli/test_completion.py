"""Completion of commands and options, as three shells ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: A bash that has sourced the script, and asks for what follows.
_BASH = """
source {script}
COMP_WORDS=(emdist {words}); COMP_CWORD={at}
_emdist_completion emdist "${{COMP_WORDS[$COMP_CWORD]}}" emdist
echo "${{COMPREPLY[@]}}"
"""


def _asked(variables: dict[str, str]) -> str:
    found = subprocess.run(
        [sys.executable, "-m", "emdist"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout


def _script(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "emdist", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "at", "wanted"),
    [
        ("fi", 1, "fit"),
        ("fit --max", 2, "--max-iter"),
        ("fit -m kmed", 3, "kmedians"),
        ("label -o resp", 3, "responsibilities"),
    ],
)
def test_bash_completes(words: str, at: int, wanted: str, tmp_path: Path) -> None:
    script = tmp_path / "emdist.bash"
    script.write_text(_script("bash"))
    command = tmp_path / "emdist"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m emdist "$@"\n')
    command.chmod(0o755)
    text = _BASH.format(script=script, words=words, at=at)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", text], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.stdout.split() == [wanted]


@pytest.mark.long
def test_zsh_and_fish_are_answered() -> None:
    zsh = {"_EMDIST_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "emdist fit --max"}
    assert "--max-iter" in _asked(zsh)
    fish = {
        "_EMDIST_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_ARGS": "emdist swe",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "sweep" in _asked(fish)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_there_is_a_script_for_other_shells(shell: str) -> None:
    assert "_EMDIST_COMPLETE" in _script(shell)
