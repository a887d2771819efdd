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


def show(
    faults: Sequence[Any],
    problems: Sequence[str],
    voyages: Sequence[dict[str, object]],
    seed: int,
    seconds: float,
    path: str,
) -> None:
    """Print the table; write everything to `path`."""
    rows = summary(faults)
    table = Table(
        title=f"{len(faults)} faults in {len(voyages)} runs, seed {seed}, {seconds:.0f} s"
    )
    for name in ("kind", "injected", "stages", "outcomes", "median s", "longest s"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row["kind"], str(row["injected"]), _counts(row["stages"]), _counts(row["outcomes"]),
            f"{row['median seconds']:.2f}", f"{row['longest seconds']:.2f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    same = sum(bool(v["same bits"]) for v in voyages)
    most = max((int(str(v["faults"])) for v in voyages), default=0)
    console.print(f"{same} of {len(voyages)} runs ended with the bits of an undisturbed one; "
                  f"most faults in one run: {most}.")  # fmt: skip
    for problem in problems:
        console.print(f"WRONG: {problem}", style="red", markup=False)
    Path(path).write_text(
        json.dumps(
            {
                "seed": seed, "seconds": round(seconds, 1), "python": platform.python_version(),
                "kinds": rows, "runs": list(voyages), "problems": list(problems),
                "faults": [asdict(f) for f in faults],
            },
            indent=1,
        )
    )  # fmt: skip
    console.print(f"report: {path}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda c: -c[1]))
