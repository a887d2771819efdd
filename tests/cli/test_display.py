"""What a fit shows: the panel's arithmetic, its lines, and a page that cuts nothing off."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from emdist.fit.events import Began, Event, Iterated, Planned, Progress, Saved, Warned
from emdist.fit.state import Record
from emdist.report.display import JsonLines, Panel, PlainLines, display
from emdist.report.outlook import duration, iterations_left
from emdist.report.page import Page, page_of


def iterated(number: int, change: float = -1.0, shift: float = 0.5, restart: int = 0) -> Iterated:
    record = Record(restart, number, 123.456, change, shift, 0, 0)
    return Iterated(record, 2.0, 1_000_000, 4_000_000_000)


EVENTS: list[Event] = [
    Began("open", "kmeans, 3 components; x.zarr: 10 rows x 2 float64 in 4 block(s)"),
    Began("survey"),
    Progress("survey", 2, 4),
    Began("fit"),
    Planned("shift", 1e-4, 300, 0),
    Progress("iteration 1", 0, 4),
    iterated(1, math.nan),
    iterated(2),
    Saved(2, "/runs/r"),
    Warned("3 of 10 rows are left out."),
]


def drawn(*events: Event, width: int = 100) -> str:
    panel, console = (
        Panel(clock=lambda: 0.0),
        Console(file=io.StringIO(), width=width, force_terminal=False),
    )
    for event in events:
        panel(event)
    console.print(panel)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_checkpoint_says_whose_iterations_it_counts() -> None:
    assert str(Saved(20, "r")) == "checkpoint after 20 iterations, saved in r"
    assert "after 88 iterations of 8 restarts together, saved" in str(Saved(88, "r", 1, 8))
    assert "after 30 iterations of 3 models together, saved" in str(Saved(30, "r", 3, 3))
    assert "of 3 models and 6 restarts together" in str(Saved(30, "r", 3, 6))
    line = PlainLines(clock=lambda: 0.0)._line(Saved(88, "r", 1, 8))
    assert line == "checkpoint after 88 iterations of 8 restarts together, saved in r"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.0123, "12 ms"),
        (0.0996, "0.1 s"),
        (3.24, "3.2 s"),
        (59.9, "59.9 s"),
        (59.97, "1 min 0 s"),
        (250, "4 min 10 s"),
        (3599.9, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (math.inf, "?"),
        (math.nan, "?"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("values", "tol", "left", "wanted"),
    [
        ([1.0, 0.1, 0.01], 1e-4, 100, 2),
        ([1.0, 0.1, 0.01], 1e-4, 1, 1),
        ([1.0, 0.1], 1e-4, 100, 100),
        ([1.0, 2.0, 3.0], 1e-4, 100, 100),
        ([1.0, 0.1, 0.01], 0, 100, 100),
        ([1.0, 0.1, 0.01], 1, 100, 1),
        ([math.nan, 1.0, 0.5, 0.25], 0.25 / 1024, 100, 10),
    ],
)
def test_iterations_left(values: list[float], tol: float, left: int, wanted: int) -> None:
    assert iterations_left(values, tol, left) == wanted


def test_the_panel_shows_where_a_fit_stands() -> None:
    shown = drawn(*EVENTS)
    assert shown.startswith("kmeans, 3 components; x.zarr")
    assert "fitting for 0.0 s, left at most 9 min 56 s (298 iterations)" in shown
    assert "500,000" in shown  # rows/s
    assert "2.000" in shown  # GB/s
    assert "note: 3 of 10 rows are left out." in shown
    assert "checkpoint after 2 iterations, saved in /runs/r" in shown
    assert "0 of 4 blocks" in shown


def test_the_panel_before_anything_has_come() -> None:
    assert drawn() == "starting for 0.0 s\n"


def test_the_panel_shows_the_last_iterations_only() -> None:
    shown = drawn(*EVENTS, *(iterated(n) for n in range(3, 40)))
    numbers = [line.split()[0] for line in shown.splitlines() if line.endswith(" 2.0 s")]
    assert numbers == [str(n) for n in range(32, 40)]


def test_a_second_restart_is_numbered() -> None:
    assert drawn(*EVENTS).count("restart") == 0
    shown = drawn(*EVENTS, Planned("shift", 1e-4, 300, 0, restarts=10), iterated(1, restart=1))
    assert "2 of 10" in shown
    assert "restart" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_the_table_of_the_panel_fits_the_terminal(width: int) -> None:
    """By fewer columns, not by cut numbers."""
    of_a_sweep = [replace(iterated(n, restart=1), fit="variational_diagonal-16") for n in (1, 2)]
    shown = drawn(*EVENTS, Planned("shift", 1e-4, 300, 0, restarts=10), *of_a_sweep, width=width)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    assert ("variational_diagonal-16" in shown) == (width >= 80)
    assert "123.456" in shown
    assert ("GB/s" in shown) == (width >= 100)
    assert ("rows/s" in shown) == (width >= 100)


def test_the_first_iteration_of_a_process_says_nothing_of_what_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It may include minutes of compilation."""
    lines = PlainLines()
    lines(Planned("shift", 1e-4, 300, 0))
    lines(replace(iterated(1), seconds=60.0))
    lines(replace(iterated(2), seconds=1.0))
    first, second = capsys.readouterr().err.splitlines()[1:]
    assert "left" not in first
    assert second.endswith("left at most 4 min 58 s (298 iterations)")


def test_a_narrow_terminal_is_no_error() -> None:
    assert drawn(*EVENTS, width=20)


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines()
    for event in [*EVENTS, Planned("shift", 1e-4, 300, 2)]:
        lines(event)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "starting: kmeans, 3 components; x.zarr: 10 rows x 2 float64 in 4 block(s)",
        "surveying all rows in one pass",
        "fitting",
        "stopping when the shift is at most 0.0001, or after iteration 300",
        "iteration 1: objective 123.456, shift 5.000e-01, pass 2.0 s (500,000 rows/s, 2.000 GB/s)",
        "iteration 2: objective 123.456, change -1.000e+00, shift 5.000e-01, pass 2.0 s (500,000 "
        "rows/s, 2.000 GB/s), left at most 9 min 56 s (298 iterations)",
        "checkpoint after 2 iterations, saved in /runs/r",
        "note: 3 of 10 rows are left out.",
    ]


def test_a_line_says_how_much_is_left_by_the_iterations_of_its_own_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = PlainLines()
    lines(Planned("shift", 1e-4, 300, 0))
    for number in range(1, 5):
        lines(iterated(number, shift=10.0**-number, restart=0))
        lines(iterated(number, shift=1.0 + number, restart=1))
    shown = capsys.readouterr().err.splitlines()[1:]
    assert shown[4].endswith(", left about 2.0 s (1 iteration)")
    assert shown[5].endswith(", left at most 9 min 54 s (297 iterations)")
    assert shown[4].startswith("iteration 3: objective")
    assert shown[5].startswith("restart 2, iteration 3: objective")
    lines(iterated(300))
    assert capsys.readouterr().err.endswith("GB/s)\n"), "the last one that may be"


def test_a_line_says_of_how_many_restarts(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines()
    lines(Planned("objective", 1e-3, 100, 4, restarts=10))
    lines(iterated(5))
    lines(replace(iterated(5, restart=9), fit="full-2"))
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == (
        "continuing after iteration 4; stopping when the change of the objective is below 0.001, "
        "or after iteration 100"
    )
    assert shown[1].startswith("restart 1 of 10, iteration 5: objective 123.456, ")
    assert shown[2].startswith("model full-2, restart 10 of 10, iteration 5: objective 123.456, ")


def test_a_pass_that_takes_long_has_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Fewer and fewer of them, and none where other lines come often."""
    now = [0.0]
    lines = PlainLines(lambda: now[0])
    lines(Began("survey"))
    for second in range(100):
        now[0] = float(second)
        lines(Progress("survey", second, 1000))
    lines(Began("fit"))
    for chosen in range(0, 2000, 100):
        now[0] += 1.0
        lines(Progress("seeding", chosen, 2000))
    now[0] += 30
    lines(Progress("clustering the sample", 3, 300))
    assert capsys.readouterr().err.splitlines() == [
        "surveying all rows in one pass",
        "survey: 10 of 1,000 blocks (1 %), left 16 min 30 s",
        "survey: 30 of 1,000 blocks (3 %), left 16 min 10 s",
        "survey: 70 of 1,000 blocks (7 %), left 15 min 30 s",
        "fitting",
        "seeding: 900 of 2,000 centres (45 %), left 11.0 s",
        "clustering the sample: 3 of at most 300 iterations",
    ]


def test_the_panel_shows_how_far_seeding_is() -> None:
    shown = drawn(*EVENTS, Progress("seeding", 0, 1), Progress("seeding", 500, 2000))
    assert "500 of 2,000 centres" in shown


def test_json_lines_are_few_and_finite(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines()
    lines(iterated(1, math.nan, math.inf))
    for done in range(1001):
        lines(Progress("iteration 1", done, 1000))
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert shown[0]["record"]["change"] is None
    assert shown[0]["record"]["shift"] is None
    assert shown[-1] == {"event": "progress", "what": "iteration 1", "done": 1000, "total": 1000}
    assert len(shown) < 10


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with display("quiet") as listen:
        for event in EVENTS:
            listen(event)
    assert capsys.readouterr() == ("", "")


def test_a_page_cuts_nothing_off() -> None:
    path = "/a/very/long/path/" + "x" * 200
    console = Console(file=io.StringIO(), width=60)
    console.print(Page([("run", path), ("markup", "[bold]no[/]")], ("k", "n"), [("1", "[2]")]))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "…" not in shown
    assert path in "".join(shown.split())
    assert "[bold]no[/]" in shown
    assert "[2]" in shown


def test_a_page_as_markdown() -> None:
    page = page_of({"a": {"b": 1, "c": {"d": "x|y"}}, "l": ["one", "two"], "s": [3, 4], "n": None})
    assert page.to_markdown() == (
        "| | |\n|---|---|\n| a.b | 1 |\n| a.c.d | x\\|y |\n| l | one |\n|  | two |\n| s | 3, 4 |\n"
    )


def test_doubts_are_no_cells_of_a_table_in_markdown() -> None:
    """Prefect's page of an artifact cuts long cells off."""
    page = Page([("status", "done"), ("doubt", "It is small."), ("", "Too small."), ("data", "x")])
    assert page.to_markdown() == (
        "**doubt:** It is small. Too small.\n\n| | |\n|---|---|\n| status | done |\n| data | x |\n"
    )
