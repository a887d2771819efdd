"""Doubts name options on the command line, and keys in files, JSON and configurations."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import zarr

import emdist as package
from emdist.fit.events import Warned
from emdist.report.display import Panel, PlainLines
from tests.support.command_line import Command

KEYS, OPTIONS = "Raise fit.max_iter, or raise fit.tol if", "Raise --max-iter, or raise --tol if"
FIT = ("fit", "x.zarr", "-k", 3, "--run", "runs/a", "--no-labels", "--tol", 0)


def test_a_command_reads_of_its_options(emdist: Command, data: Path, tmp_path: Path) -> None:
    done = emdist(*FIT, "--max-iter", 1)
    assert done.code == 0, done.err
    for shown in (done.out, done.err):
        assert OPTIONS in shown
        assert KEYS not in shown
    kept = tmp_path / "runs/a"
    for name in ("summary.md", "summary.json"):
        found = next(kept.rglob(name)).read_text()
        assert KEYS in found
        assert OPTIONS not in found


def test_who_writes_keys_reads_of_keys(emdist: Command, data: Path) -> None:
    done = emdist(*FIT, "--set", "fit.max_iter=1")
    assert done.code == 0, done.err
    for shown in (done.out, done.err):
        assert KEYS in shown
        assert OPTIONS not in shown


def test_programs_read_of_keys(emdist: Command, data: Path) -> None:
    done = emdist(*FIT, "--max-iter", 1, "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    told = [e["message"] for e in events if e["event"] == "warned"]
    assert any(KEYS in message for message in told)
    assert events[-1]["event"] == "result"
    assert KEYS in json.dumps(events[-1])


def test_a_sweep_reads_of_its_options(emdist: Command, data: Path, tmp_path: Path) -> None:
    fewest = ("sweep", "x.zarr", "-k", "1..2", "-m", "spherical", "--run", "runs/a")
    done = emdist(*fewest, "--no-labels", "--seed", 0)
    assert done.code == 0, done.err
    assert "Widen -k, for example up to 4." in done.out
    assert "Widen sweep.n_components, for example up to 4." in (
        next((tmp_path / "runs/a").rglob("summary.md")).read_text()
    )


def test_displays_name_options(capsys: pytest.CaptureFixture[str]) -> None:
    note = Warned("Set sweep.allow_degenerate.")
    for layer, word in (("command", "--allow-degenerate"), ("configuration", "sweep.allow_d")):
        PlainLines(layer=layer)(note)  # type: ignore[arg-type]
        assert word in capsys.readouterr().err
        panel = Panel(layer)  # type: ignore[arg-type]
        panel(note)
        assert word in panel._warned[0]


def wide(path: Path, features: int) -> None:
    """Write three far clusters of named features."""
    centres = np.arange(3)[:, None] * 1000.0 + np.arange(features)
    x = np.repeat(centres, [30, 20, 10], 0)
    array = zarr.create_array(path, shape=x.shape, chunks=(20, features), dtype="f8")
    array[:] = x + np.random.default_rng(0).normal(size=x.shape)
    array.attrs["feature_names"] = [f"depth={i}" for i in range(features)]


@pytest.mark.parametrize("features", [6, 7, 20, 90, 6000])
def test_means_are_shown_by_name_or_where_they_are(
    emdist: Command, tmp_path: Path, features: int
) -> None:
    wide(tmp_path / "wide.zarr", features)
    done = emdist("fit", "wide.zarr", "-k", 3, "--run", "runs/w", "--no-labels", "--n-init", 5)
    assert done.code == 0, done.err
    model = package.load(tmp_path / "runs/w")
    centres = model.cluster_centers_[
        np.argsort(-np.bincount(model.predict(tmp_path / "wide.zarr")))
    ]
    summary = json.loads((tmp_path / "runs/w/summary.json").read_text())
    for page in (done.out, emdist("inspect", "runs/w").out):
        shown = {
            name: [float(one) for one in values.split(", ")]
            for name, values in re.findall(r"\| (depth=\d+): ([^|]*) \|", page)
        }
        if features == 6:
            assert "| depth=5 |" in page
            assert not shown
        elif features <= 90:
            assert len(shown) == min(features, 20)
            for name, values in shown.items():
                at = int(name.removeprefix("depth="))
                assert values == pytest.approx(centres[:, at].tolist(), rel=1e-5)
            assert ("90 features: summary.json" in page) == (features == 90)
            means = [part["means"] for part in summary["components"]]
            assert np.allclose([list(one.values()) for one in means], model.cluster_centers_)
        else:
            assert "of 6,000 features, in Python: emdist.load(" in page
