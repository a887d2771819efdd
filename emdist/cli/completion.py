"""``emdist completion``: prints scripts that complete commands and options in a shell."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from emdist.cli.options import completed

#: The shells for which there is a script.
SHELLS = ("bash", "zsh", "fish")


def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL",
            help="Your shell: bash, zsh or fish.",
            autocompletion=completed(*SHELLS),
        ),
    ],
) -> None:
    """Print a script that completes commands in your shell.

    Save the output where your shell reads it when it starts.

    Examples:
      emdist completion bash >> ~/.bashrc
      emdist completion zsh >> ~/.zshrc
      emdist completion fish > ~/.config/fish/completions/emdist.fish
    """
    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r:.40}; expected bash, zsh or fish.", param_hint="SHELL")
    print(get_completion_script(prog_name="emdist", complete_var="_EMDIST_COMPLETE", shell=shell))
