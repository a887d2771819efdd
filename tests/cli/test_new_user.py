"""What a new user calls first: help, the shipped configurations, a flow without Prefect."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from emdist.cli.application import app
from emdist.cli.configurations import shipped
from tests.support.command_line import Command
from tests.support.paths import ROOT


def commands(command: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of a command and of those below it."""
    inner = getattr(command, "commands", {})
    return [above, *(one for name in inner for one in commands(inner[name], (*above, name)))]


@pytest.mark.parametrize("words", commands(get_command(app)), ids=" ".join)
def test_every_command_has_the_short_help_option(emdist: Command, words: tuple[str, ...]) -> None:
    short, long = emdist(*words, "-h"), emdist(*words, "--help")
    assert short.code == long.code == 0
    assert short.out == long.out
    assert " ".join(("Usage: emdist", *words)) in short.out


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("words", commands(get_command(app)), ids=" ".join)
def test_help_fits_the_terminal_and_keeps_examples_whole(
    words: tuple[str, ...], width: int, emdist: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    command = get_command(app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    shown = [line.rstrip() for line in emdist(*words, "--help").out.splitlines()]
    assert max(map(len, shown)) <= width
    assert not any("…" in line for line in shown)
    examples = [line for line in str(command.help).splitlines() if line.startswith("  emdist ")]
    assert examples, "every command shows an example"
    assert [line for line in examples if f" {line}" not in shown] == []


def test_python_runs_the_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emdist", "config", "quickstart"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == shipped()["quickstart"]


def test_config_lists_and_prints_what_is_shipped(emdist: Command) -> None:
    listed = emdist("config")
    assert listed.code == 0
    names = [line.split()[0] for line in listed.out.splitlines()]
    assert names[:2] == ["quickstart", "reference"]
    assert set(names) == {path.stem for path in (ROOT / "config").glob("*.yaml")}
    for line in listed.out.splitlines():
        name, _, about = line.partition(" ")
        assert about.strip().endswith(".")
        printed = emdist("config", name)
        assert printed.out == (ROOT / "config" / f"{name}.yaml").read_text()
        assert emdist("config", f"{name}.yaml").out == printed.out


def test_an_unknown_configuration_is_refused(emdist: Command) -> None:
    found = emdist("config", "quikstart")
    assert found.code == 2
    assert found.out == ""
    assert "no configuration 'quikstart' (did you mean 'quickstart'?)" in found.err


def test_the_package_contains_the_configurations() -> None:
    """`config` of a clone is a link to them, so that there is one of each."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = data["package-data"]["emdist"]
    for name in shipped():
        path = f"configurations/{name}.yaml"
        assert any(fnmatch(path, pattern) for pattern in patterns)
        assert (ROOT / "emdist" / path).samefile(ROOT / "config" / f"{name}.yaml")


def test_the_printed_quickstart_fits(emdist: Command, tmp_path: Path) -> None:
    values = yaml.safe_load(emdist("config", "quickstart").out)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    done = emdist("fit", "-f", "c.yaml", "--set", "fit.max_iter=2", "--no-labels", "--quiet")
    assert done.code == 0, done.err
    assert (tmp_path / "runs/quickstart/final/model.json").exists()


@pytest.mark.parametrize("name", ["cluster", "sweep", "label", "ingest"])
def test_a_flow_without_prefect_says_how_to_get_it(
    emdist: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in [m for m in sys.modules if m.split(".")[0] == "prefect"]:
        monkeypatch.delitem(sys.modules, module)
    for module in [m for m in sys.modules if m.startswith("emdist.flows")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "prefect", None)
    arguments = {"label": ["m", "x.zarr", "y.zarr"], "ingest": ["x.npy", "y.zarr"]}
    found = emdist("flow", name, *arguments.get(name, ["c.yaml"]))
    assert found.code == 2
    assert found.out == ""
    (line,) = found.err.splitlines()
    wanted = "emdist: emdist flow needs the package prefect, which is not installed. Run: "
    assert line.startswith(wanted)
    assert "[flows]" in line


@pytest.mark.parametrize("command", ["fit", "sweep"])
@pytest.mark.parametrize("name", ["c.yaml", "C.YML"])
def test_a_configuration_in_the_place_of_data_is_told_where_it_belongs(
    emdist: Command, tmp_path: Path, command: str, name: str
) -> None:
    (tmp_path / name).write_text("data: {path: x.zarr}")
    found = emdist(command, name, "-k", "2")
    assert found.code == 2
    assert found.err == (
        f"emdist: {name} is a configuration, expected data. "
        f"Pass it with -f: `emdist {command} -f {name}`.\n"
    )
