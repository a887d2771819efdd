"""``emdist completion``: prints scripts that complete commands and options in a shell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]


class Shell(StrEnum):
    """The shells for which there is a script."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print a script that completes commands in your shell.

    Save the output where your shell reads it when it starts.

    Examples:
      emdist completion bash >> ~/.bashrc
      emdist completion zsh >> ~/.zshrc
      emdist completion fish > ~/.config/fish/completions/emdist.fish
    """
    print(
        get_completion_script(
            prog_name="emdist", complete_var="_EMDIST_COMPLETE", shell=shell.value
        )
    )
