"""The ratio test for speed: its statistics, and that it runs. No times."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import ratio, ratio_child
from benchmarks.ratio import Result, Side, TurnError, code_of, confidence_of, interval_of
from benchmarks.ratio_rows import Row, rows
from tools.artefacts import commit_of

ROWS = {row.name: row for row in rows(tiny=True)}


def result(whole: Sequence[float], work: Sequence[float] | None = None) -> Result:
    """Ratios as given, of sides whose times differ from round to round."""
    olds = [1.0 + at for at in range(len(whole))]
    ratios = {"whole": whole, "work": whole if work is None else work}
    new = {
        which: [r * old for r, old in zip(rs, olds, strict=True)] for which, rs in ratios.items()
    }
    return Result("row", "a row", {"whole": olds, "work": olds}, new)


@pytest.fixture
def sides() -> tuple[Side, Side]:
    """The present interpreter stands for both."""
    return Side("old", Path(sys.executable)), Side("new", Path(sys.executable))


@pytest.mark.parametrize(
    ("n", "rank", "confidence"),
    [(7, 1, 1 - 2 / 128), (7, 2, 1 - 16 / 128), (6, 1, 0.96875), (5, 1, 0.9375), (1, 1, 0.0)],
)
def test_the_confidence_is_that_of_the_binomial(n: int, rank: int, confidence: float) -> None:
    assert confidence_of(n, rank) == confidence


def test_the_confidence_is_the_share_of_all_ways_to_lie_about_the_median() -> None:
    ways = [sum(way) for way in itertools.product((0, 1), repeat=9)]
    assert confidence_of(9, 2) == np.mean([2 <= below <= 7 for below in ways])


@pytest.mark.parametrize(
    ("n", "low", "high"), [(7, 1, 7), (8, 1, 8), (9, 2, 8), (12, 3, 10), (20, 6, 15), (3, 1, 3)]
)
def test_the_interval_is_the_shortest_of_95_per_cent(n: int, low: int, high: int) -> None:
    found = interval_of([float(value) for value in np.random.default_rng(n).permutation(n) + 1])
    assert (found.low, found.high, found.rank, found.median) == (low, high, low, (n + 1) / 2)
    assert (found.confidence >= 0.95) == (n >= 6)


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.06, 1.07, 1.06, 1.30, 1.08, 1.051, 1.09], "lost"),
        ([1.06, 1.07, 1.06, 1.30, 1.08, 1.050, 1.09], "open"),
        ([1.20, 1.20, 1.20, 1.20, 1.20, 0.90, 1.20], "open"),
        ([1.00, 1.01, 0.99, 1.04, 0.97, 1.05, 1.02], "kept"),
        ([0.50] * 7, "kept"),
        ([2.00] * 5, "too few rounds"),
        ([2.00] * 6, "lost"),
    ],
)
def test_a_row_has_lost_only_where_the_whole_interval_is_above(
    ratios: list[float], verdict: str
) -> None:
    assert interval_of(ratios).verdict == verdict
    found = result(ratios)
    assert code_of([result([1.0] * 7), found]) == (found.verdict == "lost")


def test_noise_about_the_limit_rarely_loses() -> None:
    rng = np.random.default_rng(0)
    drawn = ratio.LIMIT * np.exp(0.05 * rng.standard_normal((4000, 7)))
    lost = np.mean([interval_of(list(ratios)).verdict == "lost" for ratios in drawn])
    # 1 / 128 is expected, with a standard deviation of 0.0014.
    assert 0.003 < lost < 0.013


def test_either_time_loses_a_row() -> None:
    fine, slow, noisy = [1.0] * 7, [1.2] * 7, [0.9, 1.2] * 3 + [1.0]
    assert result(fine, slow).verdict == result(slow, noisy).verdict == "lost"
    assert result(fine, noisy).verdict == result(noisy, fine).verdict == "open"
    assert result(fine, fine).verdict == "kept"


def test_a_time_that_is_noise_is_not_judged() -> None:
    found = replace(result([1.0] * 7, [2.0] * 7), judged=("whole",))
    assert found.verdict == "kept"
    assert replace(result([2.0] * 7, [1.0] * 7), judged=("whole",)).verdict == "lost"
    assert ROWS["start-import"].judged == ("whole",)
    assert {row.judged for name, row in ROWS.items() if name != "start-import"} == {ratio.TIMES}


def test_a_row_that_failed_is_told_apart() -> None:
    failed = Result("row", "a row", failed="old: exit code 2: no such option")
    assert [code_of(found) for found in ([failed], [failed, result([1.2] * 7)])] == [2, 1]
    assert failed.plain()["verdict"] == "failed"


def test_a_row_runs_against_itself(
    tmp_path: Path, sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratio, "PAUSE", 0)
    console = Console(record=True, width=120)
    (found,) = ratio.all_compared([ROWS["start-import"]], sides, 2, tmp_path, console)
    assert not found.failed
    assert found.verdict == "too few rounds"
    for side, which in itertools.product((found.old, found.new), ratio.TIMES):
        assert len(side[which]) == 2
        assert min(side[which]) > 0
    assert all(w > p for w, p in zip(found.old["whole"], found.old["work"], strict=True))
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["rows"][0]["new"] == found.new
    assert told["rows"][0]["ratio"]["whole"]["confidence"] == 0.5
    shown = " ".join(console.export_text().split())
    assert "2 rounds; " in shown
    assert "confidence 50.0%" in shown
    assert not [*tmp_path.glob("turn-*")]


def test_sides_take_turns_in_alternating_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sides: tuple[Side, Side]
) -> None:
    taken: list[str] = []

    def turn(side: Side, *_: object) -> dict[str, float]:
        taken.append(side.name)
        return {"whole": len(taken), "work": len(taken)}

    monkeypatch.setattr(ratio, "turn", turn)
    monkeypatch.setattr(ratio, "PAUSE", 0)
    found = ratio.compared(Row("a", "a", ()), sides, 3, tmp_path, lambda what: None)
    assert taken == ["old", "new", "old", "new", "new", "old", "old", "new"]
    assert (found.old["work"], found.new["work"]) == ([3, 6, 7], [4, 5, 8])


@pytest.mark.long
def test_the_estimator_of_a_row_fits(tmp_path: Path) -> None:
    row = ROWS["estimator"]
    files = row.make(tmp_path)
    text = json.dumps({"work": row.work, "warm": ()}).replace("{x}", files["x"])
    assert ratio_child.taken(json.loads(text)) > 0


def test_a_turn_that_fails_says_which_side_and_why(
    tmp_path: Path, sides: tuple[Side, Side]
) -> None:
    row = Row("a", "a", ({"import": "emdist.no_such_module", "names": []},))
    with pytest.raises(TurnError, match=r"^old: exit code 1: .*No module named 'emdist\.no_such"):
        ratio.turn(sides[0], row, {}, tmp_path)


def test_names_of_rows_are_checked() -> None:
    every = rows()
    assert [row.name for row in ratio.chosen(every, ["kmed", "full"])] == ["kmedians", "full"]
    assert ratio.chosen(every, []) == list(every)
    assert [row.name for row in every] == list(ROWS)
    with pytest.raises(SystemExit, match="--only kmode: no row begins so; there are start-import"):
        ratio.chosen(every, ["full", "kmode"])


def test_a_reference_that_git_does_not_know_is_refused() -> None:
    with pytest.raises(SystemExit, match=re.escape("git knows no commit 'no-such-branch'")):
        commit_of("no-such-branch")


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_every_row_runs(name: str, tmp_path: Path, sides: tuple[Side, Side]) -> None:
    row = ROWS[name]
    seconds = ratio.turn(sides[1], row, row.make(tmp_path), tmp_path)
    assert all(value > 0 for value in seconds.values())
