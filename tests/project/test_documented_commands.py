"""Every command line that pages, deployments and help texts show is one that its program takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from emdist.cli import flow
from emdist.cli.application import app
from tests.support.documented_commands import PAGES, ROOT, SHOWN, Line, calls, lines_of

LINES = [line for path in SHOWN for line in lines_of(path)]
#: Typer brings a Click of its own, or uses the one that is installed.
USAGE: Any = typer.BadParameter.__base__
MAKEFILE = (ROOT / "Makefile").read_text()


def help_lines(command: Any) -> list[Line]:
    """The examples in the help of a command and of those below it."""
    text = command.help or ""
    found = [
        Line(f"help of {command.name}", words, True)
        for example in re.findall(r"^\s*(?:Example: )?(emdist .*)$", text, re.MULTILINE)
        for words in calls(example)
    ]
    for inner in getattr(command, "commands", {}).values():
        found += help_lines(inner)
    return found


HELP = help_lines(get_command(app))


def of(program: str) -> list[Line]:
    return list(dict.fromkeys(line for line in LINES if line.words[0] == program))


def command_of(words: tuple[str, ...], root: Any) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after it."""
    command, rest = root, list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"there is no command {rest[0]!r}"
        command = command.commands[rest.pop(0)]
    return command, rest


def check(command: Any, rest: list[str], whole: bool) -> None:
    """UsageError or AssertionError unless `command` takes these arguments."""
    if whole:
        context = command.make_context(command.name, list(rest))
        given = [context.params.get("data")]
    else:
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        known |= {"-h", "--help"}
        options = {word.partition("=")[0] for word in rest if word.startswith("-")}
        assert options <= known, f"unknown: {', '.join(sorted(options - known))}"
        given = [word for word in rest[:1] if any(p.name == "data" for p in command.params)]
    # A configuration is no data: it is accepted as an argument and refused later.
    assert not any(str(one).endswith((".yaml", ".yml")) for one in given), "say -f"


@pytest.mark.parametrize("line", [*of("emdist"), *HELP], ids=str)
def test_emdist_takes_it(line: Line) -> None:
    check(*command_of(line.words[1:], get_command(app)), line.whole)


@pytest.mark.parametrize("line", of("python"), ids=str)
def test_python_finds_it(line: Line) -> None:
    name, *rest = line.words[1:]
    if name != "-m":
        path = Path(name.lstrip("/"))  # /deploy of a container is deploy/ here
        assert (ROOT / path).is_file()
        return
    module = ROOT / rest[0].replace(".", "/")
    sources = [module.with_suffix(".py")] if module.with_suffix(".py").exists() else []
    sources += module.glob("*.py")
    assert sources, f"there is no module {rest[0]}"
    if rest[0].startswith("flows."):
        check(get_command(flow.app).commands[module.name], rest[1:], line.whole)
        return
    text = "".join(path.read_text() for path in sources)
    for option in (word for word in rest[1:] if word.startswith("--")):
        assert f'"{option}"' in text


@pytest.mark.parametrize("line", of("make"), ids=str)
def test_make_has_it(line: Line) -> None:
    for word in line.words[1:]:
        name = word.partition("=")[0]
        pattern = rf"^{name}:" if name == word else rf"^{name} \?=|\$\({name}\)"
        if name.isupper() or name == word:
            assert re.search(pattern, MAKEFILE, re.MULTILINE), word


@pytest.mark.parametrize("line", of("pip"), ids=str)
def test_extras_that_are_installed_exist(line: Line) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"emdist\[([\w,]+)", " ".join(line.words)):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("line", of("dask"), ids=str)
def test_dask_takes_it(line: Line) -> None:
    from distributed.cli import dask_scheduler, dask_worker

    if line.words[1:]:
        programs: dict[str, Any] = {"worker": dask_worker.main, "scheduler": dask_scheduler.main}
        check(programs[line.words[1]], list(line.words[2:]), False)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("fit c.yaml", "say -f"),
        ("fit x.zarr --clusters 3", "clusters"),
        ("label a b", "(?i)out"),
        ("flow clusters c.yaml", "no command 'clusters'"),
        ("inspect a b", "b"),
    ],
)
def test_a_line_that_is_wrong_is_found(words: str, fault: str) -> None:
    with pytest.raises((USAGE, AssertionError), match=fault):
        check(*command_of(tuple(words.split()), get_command(app)), True)


def test_a_mention_that_is_wrong_is_found() -> None:
    with pytest.raises(AssertionError, match="say -f"):
        check(*command_of(("fit", "CONFIG.yaml"), get_command(app)), False)
    with pytest.raises(AssertionError, match="--verfiy"):
        check(*command_of(("inspect", "--verfiy"), get_command(app)), False)


def test_lines_are_found() -> None:
    """Fences, indented blocks, mentions across lines, comments, containers, help texts."""
    shown = {" ".join(line.words) for line in LINES}
    assert len(of("emdist")) > 30
    assert len(HELP) > 8
    assert {"emdist fit pixels.zarr -k 16", "emdist fit --repeat RUN"} <= shown
    assert "emdist fit counts.zarr --model geometric -k 4" in shown
    assert "emdist flow cluster /config/config.yaml" in shown
    assert any(line.words[:2] == ("dask", "worker") for line in LINES)


TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    for name, test in re.findall(r"`(?:[\w/]*/)?(test_\w+\.py)(?:::([\w.]+))?`", page.read_text()):
        assert name in TESTS, name
        pattern = rf"def {re.escape(test).replace(re.escape('...'), '.*')}"
        assert re.search(pattern + r"\b", TESTS[name].read_text()), f"{name}::{test}"
