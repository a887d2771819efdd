"""Store the results of a run as JSON, and write their tables into a document."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison.report import markdown
from benchmarks.comparison.rows import Row, row_of

FORMAT = 1
_PACKAGES = (
    "numpy", "numba", "scipy", "scikit-learn", "scikit-learn-intelex", "faiss-cpu", "dask-ml",
    "dask", "zarr",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Describe the machine, its software, and how busy it was before the run."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cpus": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def save(path: Path, size: str, about: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write all rows, the size and the machine as JSON."""
    found = {"format": FORMAT, "size": size, "machine": about}
    path.write_text(json.dumps({**found, "rows": [row.to_dict() for row in rows]}, indent=1) + "\n")


def load(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """Read a file that `save` wrote."""
    found = json.loads(path.read_text())
    return found, [row_of(row) for row in found.pop("rows")]


def merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Replace the rows of workloads in `old` by those in `new`, and append further ones."""
    names = {row.workload for row in new}
    told: list[Row] = []
    for row in old:
        if row.workload not in names:
            told.append(row)
        elif not any(t.workload == row.workload for t in told):
            told.extend(n for n in new if n.workload == row.workload)
    return told + [n for n in new if not any(t.workload == n.workload for t in told)]


def caption(size: str, about: dict[str, Any]) -> str:
    """Describe in one line the size, the machine and the packages."""
    return (
        f"size {size}; {about['cpu']}, {about['cpus']} CPUs, load {about['load']:.1f} before the "
        f"run; {', '.join(f'{name} {found}' for name, found in about['packages'].items())}"
    )


def write_document(document: Path, results: Path) -> None:
    """Replace the tables in `document` for the size of `results` by those of `results`."""
    found, rows = load(results)
    begin, end = marks(found["size"])
    text = document.read_text()
    if begin not in text:
        raise SystemExit(f"{document} has no place for the size {found['size']}: no {begin}")
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    tables = f"{caption(found['size'], found['machine'])}\n\n{markdown(rows)}"
    document.write_text(f"{before}{begin}\n{tables}{end}{after}")


def marks(size: str) -> tuple[str, str]:
    """Return the marks before and after the tables of a size in a document."""
    return f"<!-- measured {size}: begin -->", f"<!-- measured {size}: end -->"
