"""What a storm did, as a table for people and JSON for programs."""

from __future__ import annotations

import json
import platform
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.faulted_run import STAGES, Fault, Log, is_kill


def summary(faults: Sequence[Any]) -> list[dict[str, Any]]:
    """One row for each kind: how often, when, what came of it, and how soon there was news."""
    rows = []
    for kind in sorted({f.kind for f in faults}):
        of = [f for f in faults if f.kind == kind]
        rows.append(
            {
                "kind": kind,
                "injected": len(of),
                "stages": dict(Counter(f.stage for f in of)),
                "outcomes": dict(Counter(f.outcome for f in of)),
                "median seconds": round(statistics.median(f.seconds for f in of), 2),
                "longest seconds": max(f.seconds for f in of),
            }
        )
    return rows


def show(log: Log, seed: int, seconds: float, path: Path) -> None:
    """Print what was done and what became of it; write it to `path` as JSON, beside it as text."""
    rows = summary(log.faults)
    console = Console(record=True, width=150)
    console.print(_by_kind(rows, f"{len(log.faults)} faults in {len(log.voyages)} runs, "
                                 f"seed {seed}, {seconds:.0f} s"))  # fmt: skip
    console.print(_by_phase(log))
    same = sum(bool(v["same bits"]) for v in log.voyages)
    most = max((sum(map(is_kill, of)) for of in _runs(log).values()), default=0)
    console.print(f"{same} of {len(log.voyages)} runs ended with the bits of an undisturbed one; "
                  f"most kills in one run: {most}.")  # fmt: skip
    for problem in log.problems:
        console.print(f"WRONG: {problem}", style="red", markup=False)
    told = {
        "seed": seed, "seconds": round(seconds, 1), "python": platform.python_version(),
        "kinds": rows, "most kills in one run": most, "runs": log.voyages,
        "problems": log.problems, "faults": [asdict(f) for f in log.faults],
    }  # fmt: skip
    path.write_text(json.dumps(told, indent=1))
    path.with_suffix(".txt").write_text(console.export_text())
    console.print(f"report: {path} and {path.with_suffix('.txt').name}")


def _runs(log: Log) -> dict[str, list[Fault]]:
    runs: dict[str, list[Fault]] = {}
    for fault in log.faults:
        runs.setdefault(fault.voyage, []).append(fault)
    return runs


def _by_kind(rows: Sequence[dict[str, Any]], title: str) -> Table:
    table = Table(title=title)
    for name in ("kind", "injected", "phases", "outcomes", "median s", "longest s"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row["kind"], str(row["injected"]), _counts(row["stages"]), _counts(row["outcomes"]),
            f"{row['median seconds']:.2f}", f"{row['longest seconds']:.2f}",
        )  # fmt: skip
    return table


def _by_phase(log: Log) -> Table:
    """SIGKILLs of each run by the phase that they met: several processes at once count once."""
    table = Table(title="kills by phase")
    for name in ("run", *STAGES, "kills", "same bits"):
        table.add_column(name)
    for voyage in log.voyages:
        kills: Any = voyage["kills"]
        table.add_row(
            str(voyage["voyage"]), *(str(kills.get(stage, 0)) for stage in STAGES),
            str(sum(kills.values())), "yes" if voyage["same bits"] else "NO",
        )  # fmt: skip
    return table


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda c: -c[1]))
