"""Options that texts name are options of some command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import emdist
from emdist.cli import app

#: Options of other programs: dask scheduler, uv, pip, prefect config view.
FOREIGN = {"--protocol", "--scheduler-file", "--python", "--upgrade", "--show-sources"}
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")


def _named() -> Iterator[tuple[str, str]]:
    """Options in string literals, with the file and line where they stand."""
    folder = Path(emdist.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for option in _OPTION.findall(node.value):
                    yield option, f"{path.relative_to(folder)}:{node.lineno}"


def _options(command: Any) -> set[str]:
    own = {name for one in command.params for name in [*one.opts, *one.secondary_opts]}
    # A group has commands; of which class it is depends on the version of Typer.
    inner = getattr(command, "commands", {}).values()
    return own.union(*(_options(one) for one in inner), {"--help"})


def test_every_option_that_a_text_names_is_one() -> None:
    known = _options(typer.main.get_command(app))
    assert {"--column", "--max-iter", "--weight-column"} <= known
    named = list(_named())
    assert "--column" in {option for option, _ in named}
    assert [at for at in named if at[0] not in known | FOREIGN] == []
