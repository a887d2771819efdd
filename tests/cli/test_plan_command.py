"""`emdist plan` says what a fit needs, stores nothing, and ends as the fit would be refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Command


@pytest.fixture
def config(data: Path, tmp_path: Path) -> Path:
    values = {
        "data": {"path": str(data), "block_size": "1600 B"},
        "model": {"name": "kmeans", "n_components": 3},
        "run": {"folder": "runs"},
    }
    path = tmp_path / "fit.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_page_and_nothing_is_stored(emdist: Command, config: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    answer = emdist("plan", "-f", config, "--seconds", 0.05)
    assert answer.code == 0, answer.err
    for fact in ("300 rows x 2", "threads", "memory, driver", "an iteration", "time, all", "trial"):
        assert fact in answer.out
    assert sorted(tmp_path.rglob("*")) == before


def test_json_and_settings(emdist: Command, config: Path) -> None:
    answer = emdist("plan", "-f", config, "--seconds", 0.05, "--json", "--set", "fit.max_iter=7")
    found = answer.lines[-1]
    assert found["event"] == "result"
    assert found["iterations"] == 7
    assert found["seconds"]["all"] > 0
    assert json.loads(answer.out.splitlines()[-1])["problem"] is None


def test_quiet_prints_the_time(emdist: Command, config: Path) -> None:
    answer = emdist("plan", "-f", config, "--seconds", 0.05, "--quiet")
    assert answer.out.strip().endswith("s")
    assert len(answer.out.splitlines()) == 1
    assert emdist("plan", "-f", config, "--seconds", 0, "--quiet").out == "unknown\n"


def test_a_problem_is_on_the_page_and_is_the_exit_code(emdist: Command, config: Path) -> None:
    answer = emdist("plan", "-f", config, "--set", "cluster.memory=1 MiB")
    assert answer.code == 2
    assert "| problem |" in answer.out
    assert "cluster.memory" in answer.out


def test_a_sweep(emdist: Command, config: Path) -> None:
    answer = emdist("plan", "-f", config, "--seconds", 0.05, "--set", "sweep.n_components=[1, 2]")
    assert answer.code == 0, answer.err
    assert "time, score" in answer.out


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ("data.path=none.zarr", 3, "nothing at"),
        ("model.n_components=999", 2, "999 components for 300 rows"),
        ("fit.max_itre=3", 2, "fit.max_itre is not a known key"),
        ("run.key='{scheduled}'", 2, "emdist flow cluster"),
    ],
)
def test_what_a_fit_would_refuse(
    change: str, code: int, text: str, emdist: Command, config: Path
) -> None:
    answer = emdist("plan", "-f", config, "--set", change)
    assert answer.code == code
    assert text in answer.err


def test_no_configuration(emdist: Command) -> None:
    assert "There is no configuration file none.yaml" in emdist("plan", "-f", "none.yaml").err
    assert emdist("plan").code == 2
