"""``make bench``: compare emdist and its peers on the same data in the same run.

python -m benchmarks.comparison --size small [--only NAME ...] [--out FOLDER]
python -m benchmarks.comparison --write-docs docs/benchmarks.md --out FOLDER
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.comparison import report, results, workloads
from benchmarks.comparison.measuring import run
from benchmarks.comparison.rows import Row, rows_of
from benchmarks.comparison.sizes import SIZES, Size
from benchmarks.comparison.workload import Workload

#: Characters per line of a table that is written to a file or a log.
_WIDTH = 200


def all_workloads(size: Size) -> list[Workload]:
    """Return the workloads of every file in `workloads`, in the order of the files' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(workloads.__path__))
    modules = [importlib.import_module(f"{workloads.__name__}.{name}") for name in names]
    return [workload for module in modules for workload in module.workloads(size)]


def chosen(every: Sequence[Workload], only: Sequence[str]) -> list[Workload]:
    """Return workloads whose names begin with one of `only`; all if `only` is empty."""
    found = [w for w in every if not only or any(w.name.startswith(name) for name in only)]
    if not found:
        names = ", ".join(w.name for w in every)
        raise SystemExit(f"--only {' '.join(only)}: no such workload; there are {names}.")
    return found


def measured(
    these: Sequence[Workload], repeats: int, folder: Path, console: Console
) -> Iterator[list[Row]]:
    """Yield the rows of one workload after another; its data are made before and removed after."""
    for at, workload in enumerate(these):
        began = time.monotonic()
        with (
            tempfile.TemporaryDirectory(dir=folder, prefix="data-") as place,
            console.status(f"{workload.title}: making the data") as status,
        ):
            sides, labels = run(workload, Path(place), repeats, status.update)
        console.print(
            f"{at + 1}/{len(these)} {workload.name}: {time.monotonic() - began:.0f} s", style="dim"
        )
        yield rows_of(workload, sides, labels)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write ``results.json``, ``results.md`` and ``ratios.png``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of names of workloads")
    parser.add_argument("--repeats", type=int, help="rounds; default by the size")
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--data", type=Path, help="folder for the data; default the output's")
    parser.add_argument("--write-docs", type=Path, help="put what --out holds into a document")
    parser.add_argument("--list", action="store_true", help="name the workloads and stop")
    given = parser.parse_args(arguments)
    console, file = Console(), given.out / "results.json"
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    if given.write_docs:
        results.write_document(given.write_docs, file)
        return
    size = SIZES[given.size]
    these = chosen(all_workloads(size), given.only)
    if given.list:
        console.print("\n".join(f"{w.name}: {w.title}" for w in these), highlight=False)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    data: Path = given.data or given.out
    data.mkdir(parents=True, exist_ok=True)
    about = results.machine()
    rows: list[Row] = []
    for found in measured(these, given.repeats or size.repeats, data, console):
        rows += found
        # Write after each workload: whoever stops a run of an hour keeps what was measured.
        write(given.out, size.name, about, rows, bool(given.only))
    report.show(rows, console)
    console.print(f"{file}, results.md and ratios.png in {given.out}")


def write(out: Path, size: str, about: dict[str, object], rows: list[Row], partly: bool) -> None:
    """Write the three files; results of some workloads are merged into those of the same size."""
    from benchmarks.comparison.figure import draw

    file = out / "results.json"
    if partly and file.exists():
        found, old = results.load(file)
        rows = results.merged(old, rows) if found["size"] == size else rows
    results.save(file, size, about, rows)
    (out / "results.md").write_text(report.markdown(rows))
    draw(rows, out / "ratios.png", results.caption(size, about))


if __name__ == "__main__":
    main()
