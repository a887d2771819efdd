"""Every workload runs, tiny: benchmarks never rot, and contenders do the same work. No times."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks.comparison import figure, report, results
from benchmarks.comparison.__main__ import all_workloads, chosen, main
from benchmarks.comparison.child import ready, taken
from benchmarks.comparison.files import all_files, evict, nbytes, read_raw, write_raw
from benchmarks.comparison.measuring import Measured, Side, run
from benchmarks.comparison.rows import Row, row_of, rows_of
from benchmarks.comparison.sizes import SIZES
from benchmarks.comparison.workload import Absent, Contender, Outcome, Work, Workload

WORKLOADS = {w.name: w for w in all_workloads(SIZES["tiny"])}
#: These start a cluster for each contender.
CLUSTERS = {"disk-dask", "disk-convergence", "dask-threads-64", "blocks-dask"}


class Inline:
    """A contender in this process: a new one takes seconds to import what is here already."""

    def __init__(self, title: str, job: dict[str, Any], place: Path, stack: ExitStack) -> None:
        self.title, self.labels, self._job, self._stack = title, place / "labels.npy", job, stack

    def answer(self, timeout: float) -> dict[str, Any]:
        try:
            self._turn = ready(self._job, self._stack)
        except Absent as reason:
            return {"absent": str(reason)}
        return {}

    def turn(self, timeout: float) -> dict[str, Any]:
        found = taken(self._turn, self.labels)
        json.dumps(found)
        return found


@contextmanager
def inline(title: str, job: dict[str, Any], place: Path) -> Iterator[Side]:
    with ExitStack() as stack:
        yield Inline(title, job, place, stack)


def names() -> list[Any]:
    slow = pytest.mark.slow
    return [pytest.param(n, marks=slow) if n in CLUSTERS else n for n in WORKLOADS]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", names())
def test_a_workload_runs_and_all_agree(name: str, tmp_path: Path) -> None:
    workload = WORKLOADS[name]
    sides, labels = run(workload, tmp_path, 1, lambda what: None, inline)
    rows = rows_of(workload, sides, labels)
    assert [row.rival for row in rows] == [rival.title for rival in workload.rivals]
    for row in rows:
        assert not row.disagreements, row
    absent = [f"{side.title}: {side.absent}" for side in sides if side.absent]
    for side in sides:
        assert side.values or "not installed" in side.absent or "no " in side.absent, side
        assert all(value > 0 for value in side.values)
    if absent:
        pytest.skip("; ".join(absent))


def test_every_target_of_the_comparison_is_a_row() -> None:
    wanted = {w.name for size in SIZES.values() for w in all_workloads(size)}
    assert wanted >= set(WORKLOADS)
    for name in ("lloyd-3x16", "kmeans-separated", "gmm-full-float32", "bernoulli", "disk-dask"):
        assert all(rival.at_least for rival in WORKLOADS[name].rivals if rival.module != "emdist")


@pytest.mark.long
def test_contenders_take_turns_in_processes_of_their_own(tmp_path: Path) -> None:
    rivals = (Contender("raw", "allowed", task="allowed", agrees=False),)
    ours = Contender("raw", "emdist", {"seconds": 2.0}, task="allowed")
    options = {"seconds": 3.0}
    workload = Workload("-", "-", "limits", "-", lambda _: {}, rivals, ours, options)
    heard: list[str] = []
    sides, _ = run(workload, tmp_path, 2, heard.append)
    assert [side.values for side in sides] == [(2.0, 2.0), (3.0, 3.0)]
    assert all(side.peak and side.peak > 10 << 20 for side in sides)
    assert [text.split(", ")[1] for text in heard if "round" in text] == ["emdist", "allowed"] * 2


@pytest.mark.long
def test_a_contender_that_fails_or_is_missing_leaves_the_others(tmp_path: Path) -> None:
    rivals = (Contender("raw", "broken", {"seconds": "?"}), Contender("raw", "fine"))
    workload = Workload("-", "-", "limits", "allowed", lambda _: {}, rivals, rivals[1])
    sides, labels = run(replace(workload, options={"seconds": 1.0}), tmp_path, 1, lambda what: None)
    rows = rows_of(workload, sides, labels)
    assert [row.ratio for row in rows] == [None, 1.0]
    assert "broken: failed (1): ValueError" in rows[0].note


def test_a_package_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.comparison.contenders import raw

    monkeypatch.setattr(raw, "NEEDS", ("no_such_package",))
    job = {"module": "raw", "task": "allowed", "files": {}, "options": {}, "scratch": "."}
    with pytest.raises(Absent, match="no_such_package not installed"):
        ready(job, ExitStack())


def side(title: str, *values: float, **figures: float) -> Measured:
    return Measured(title, values, figures, 100, 10)


def test_ratios_are_medians_of_rounds_and_disagreements_are_loud() -> None:
    workload = Workload(
        "w", "A [workload]", "peers", "t", lambda _: {}, (Contender("x", "peer", at_least=2.5),),
        tolerances={"inertia": 1e-3, "labels": 0.1}, budget=50,
    )  # fmt: skip
    sides = (side("emdist", 1.0, 2.0, 4.0, inertia=1.0), side("peer", 2.0, 8.0, 12.0, inertia=1.1))
    labels = {"emdist": np.zeros(4, np.int32), "peer": np.array([0, 0, 1, 1], np.int32)}
    (row,) = rows_of(workload, sides, labels)
    assert (row.ratio, row.low, row.high, row.met) == (3.0, 2.0, 4.0, True)
    console = Console(width=200, record=True, file=sys.stderr)
    report.show([row], console)
    text = console.export_text()
    assert "DISAGREEMENT: A [workload], emdist and peer: inertia 1 here, 1.1 there" in text
    assert "50.00% of the labels differ" in text
    assert "OVER BUDGET" in text
    assert row_of(json.loads(json.dumps(row.to_dict()))) == row


def test_results_are_kept_merged_drawn_and_put_into_a_document(tmp_path: Path) -> None:
    rows = [Row("a", "peers", "A", "x", "s", 2.0, 1.0, 3.0, 1.5, 1.0, 2.0),
            Row("b", "limits", "B", "y", "passes", None, note="y: not installed")]  # fmt: skip
    new = [Row("b", "limits", "B", "y", "passes", 4.0, 4.0, 4.0, 5.0, 1.0, 4.0)]
    both = results.merged(rows, new)
    assert [(row.workload, row.ratio) for row in both] == [("a", 2.0), ("b", 4.0)]
    file, document = tmp_path / "results.json", tmp_path / "page.md"
    results.save(file, "tiny", results.machine(), both)
    assert results.load(file)[1] == both
    begin, end = results.marks("tiny")
    document.write_text("no marks\n")
    with pytest.raises(SystemExit, match="no place for the size tiny"):
        main(["--write-docs", str(document), "--out", str(tmp_path)])
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    for _ in range(2):  # the same again
        main(["--write-docs", str(document), "--out", str(tmp_path)])
        text = document.read_text()
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "| A | x | 2.00 | 1.00..3.00 | 1.50 |" in text
        assert "old" not in text
    figure.draw(both, tmp_path / "ratios.png", "caption")
    assert (tmp_path / "ratios.png").stat().st_size > 5000


@pytest.mark.long
def test_the_command_measures_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--size", "tiny", "--out", str(tmp_path), "--only", "labels-cached"])
    assert "raw write of the same" in capsys.readouterr().out
    found, rows = results.load(tmp_path / "results.json")
    assert found["size"] == "tiny"
    assert [row.workload for row in rows] == ["labels-cached"]
    assert list(tmp_path.glob("data-*")) == []
    with pytest.raises(SystemExit, match="no such workload"):
        chosen(list(WORKLOADS.values()), ["nothing"])


def test_raw_rates_touch_every_byte(tmp_path: Path) -> None:
    names = ("c/0", "c/1", "d/0")
    assert write_raw(tmp_path / "a", dict.fromkeys(names, b"x" * 1000), 2) == 3000
    files = all_files(tmp_path / "a")
    assert [str(file.relative_to(tmp_path / "a")) for file in files] == [*names]
    assert nbytes(tmp_path / "a") == 3000
    evict({"a": tmp_path / "a"})
    assert read_raw(files, 2, buffer=64) == 3000


def test_an_iteration_is_a_difference_of_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.comparison import workload

    taken_by: list[int] = []
    monkeypatch.setattr(workload, "timed", lambda call: (call() * 2.0 + 5.0, call()))

    def fit(iterations: int) -> int:
        taken_by.append(iterations)
        return iterations

    work = Work({}, {"span": 4}, Path(), ExitStack())
    assert workload.per_iteration(work, fit) == (2.0, 5)
    assert set(taken_by) == {1, 5}
    assert Outcome(1.0).peak is None
