"""Options that texts name are options of some command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import typer

import emdist
from emdist.cli.application import app
from emdist.wording import KEYS

#: Options of other programs: dask scheduler, uv, pip, prefect config view.
FOREIGN = {"--protocol", "--scheduler-file", "--python", "--upgrade", "--show-sources",
           "--faint"}  # fmt: skip
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")


#: A setting that is to be changed, without its section.
_BARE = re.compile(r"\b(?:[Ss]et|larger|smaller) ([a-z_]+)(?= to '|\.)")


@lru_cache
def _literals() -> list[tuple[str, str]]:
    """String literals, with the file and line where they stand."""
    folder = Path(emdist.__file__).parent
    return [
        (node.value, f"{path.relative_to(folder).as_posix()}:{node.lineno}")
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _named() -> Iterator[tuple[str, str]]:
    for text, place in _literals():
        for option in _OPTION.findall(text):
            yield option, place


def _options(command: Any) -> set[str]:
    own = {name for one in command.params for name in [*one.opts, *one.secondary_opts]}
    # A group has commands; of which class it is depends on the version of Typer.
    inner = getattr(command, "commands", {}).values()
    return own.union(*(_options(one) for one in inner), {"--help"})


@pytest.mark.long
def test_every_option_that_a_text_names_is_one() -> None:
    known = _options(typer.main.get_command(app))
    assert {"--column", "--max-iter", "--weight-column"} <= known
    named = list(_named())
    assert "--column" in {option for option, _ in named}
    assert [at for at in named if at[0] not in known | FOREIGN] == []


def test_settings_to_change_are_named_with_their_section() -> None:
    assert _BARE.findall("or set non_finite to 'drop'.") == ["non_finite"]
    known = {key for keys in KEYS.values() for key in keys.split()}
    bare = [
        (word, place)
        for text, place in _literals()
        for word in _BARE.findall(text)
        # Estimators have parameters, and nobody else reads of these.
        if word in known and not place.startswith("estimators/")
    ]
    assert bare == []
