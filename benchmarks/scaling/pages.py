"""Format the tables in Markdown, and write them into docs/scaling.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.scaling.check import Checked
from benchmarks.scaling.formulas import predict
from benchmarks.scaling.quantities import GB, MODELS, TB, Cluster, Job, Machine, Times
from benchmarks.scaling.simulation import simulate

SIZES, WORKERS = (TB, 100 * TB), (10, 100, 1000)
#: Differences between machines (sigma), and deaths per worker and hour: three in a thousand.
SLOWNESS, FAILURES = 0.15, 0.003
MIB = 1 << 20


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table; all columns but the first two are right-aligned."""
    rule = ["---" if i < 2 else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *rows))


def span(seconds: float) -> str:
    """Format seconds with a suitable unit."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 90:
        return f"{seconds / 60:.1f} min"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def amount(nbytes: float) -> str:
    """Format bytes with a suitable unit."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= size:
            return f"{nbytes / size:.3g} {unit}"
    return f"{nbytes:.3g} B"


def calibration(machine: Machine) -> str:
    """Format two tables: general constants, and constants of models."""
    m = machine
    general = [
        (
            "q, plain",
            "rate of reading uncompressed blocks from the page cache",
            f"{amount(m.plain)}/s a core",
        ),
        (
            "q, packed",
            "rate of reading and decoding blocks, Zstandard 3",
            f"{amount(m.packed)}/s a core",
        ),
        ("c", "stored bytes per decoded byte of these blocks", f"{m.stored:.2f}"),
        ("a", "fixed cost of a pass on Dask", span(m.first)),
        ("g", "work of client and scheduler per task, before the first block", span(m.graph)),
        ("s", "work of client and scheduler per task, after that", span(m.task)),
        ("w", "work of a worker per task", span(m.leaf)),
        ("m", "memory of client and scheduler per task", amount(m.task_bytes)),
        ("h", "placing blocks, per block and worker, once a run", span(m.place)),
        ("b", "memory for placing blocks, per block and worker", amount(m.place_bytes)),
        ("A", "rate of adding sums", f"{amount(m.add)}/s"),
        ("Z", "rate of pickling and unpickling sums", f"{amount(m.pickle)}/s"),
        ("", "rate of sums from worker to worker, loopback", f"{amount(m.move)}/s"),
        ("l", "time to submit, fetch and answer", span(m.latency)),
        (
            "",
            "time of the smallest checkpoint; rate of larger ones",
            f"{span(m.checkpoint)}, {amount(m.seal)}/s",
        ),
        ("", "listing a chunk file and reading its time", span(m.listing)),
    ]
    models = [
        (
            shape.name,
            f"{shape.flops:,}",
            span(one.row),
            f"{shape.flops / one.row / GB:.0f}",
            span(one.block),
            span(one.update),
            f"{amount(one.sums)} ({amount(shape.sums_bytes)})",
            f"{amount(one.task)} ({amount(shape.params_bytes)})",
        )
        for shape in MODELS
        for one in (m.models[shape.name],)
    ]
    head = (
        "model", "f: flops a row", "t: a row, one core", "Gflop/s", "e: a block", "u: M-step",
        "S: sums (formula)", "P: task (formula)",
    )  # fmt: skip
    return f"{table(('symbol', 'what', 'measured'), general)}\n\n{table(head, models)}"


def checks(found: Sequence[Checked]) -> str:
    """Format the table of predicted and measured seconds."""
    rows = [
        (
            one.where,
            one.what,
            span(one.formula),
            span(one.simulated),
            span(one.measured),
            f"{one.error:+.0%}",
            f"{span(one.predicted_cpu)}, {span(one.cpu)}",
            f"{one.cpu_error:+.0%}",
        )
        for one in found
    ]
    head = (
        "where", "model", "formula", "simulated", "measured", "error", "CPU: formula, measured",
        "error of CPU",
    )  # fmt: skip
    return table(head, rows)


def _cells(machine: Machine, simulated: int) -> Iterator[tuple[str, ...]]:
    for model in MODELS:
        for nbytes in SIZES:
            for workers in WORKERS:
                job = Job(model, nbytes, stored=machine.stored)
                times = Times(job, Cluster(workers), machine)
                found = predict(times)
                yield (
                    model.name,
                    f"{amount(nbytes)}, {workers:,}",
                    span(found.seconds),
                    _simulated(times, simulated),
                    found.limit,
                    span(found.workers),
                    span(found.graph + found.scheduler),
                    span(found.driver + found.load + found.tail),
                    amount(found.read_bytes),
                    amount(found.moved_bytes),
                    flagged(found.worker_bytes, times.cluster.memory),
                    flagged(found.driver_bytes, times.cluster.memory),
                )


def flagged(nbytes: float, limit: float) -> str:
    """Format bytes, in bold if they exceed `limit`."""
    return f"**{amount(nbytes)}**" if nbytes > limit else amount(nbytes)


def _simulated(times: Times, limit: int) -> str:
    if times.job.blocks > limit:
        return "-"
    plain = simulate(times).seconds
    cluster = replace(times.cluster, slowness=SLOWNESS, failures=FAILURES)
    return f"{span(plain)}, {span(simulate(replace_cluster(times, cluster)).seconds)}"


def replace_cluster(times: Times, cluster: Cluster) -> Times:
    """Return the times of the same job and machine on another cluster."""
    return Times(times.job, cluster, times.machine)


def predictions(machine: Machine, simulated: int) -> str:
    """Format the predicted iterations of every model, data size and number of workers."""
    head = (
        "model", "data, workers", "formula", "simulated: even, uneven", "limit", "workers",
        "scheduler and graph", "driver, task, last joins", "read", "sums moved", "memory: worker",
        "memory: driver",
    )  # fmt: skip
    return table(head, list(_cells(machine, simulated)))


def settings(machine: Machine) -> str:
    """Format what other settings change for the hardest row of K-means and for large sums."""
    kmeans, large = MODELS[0], MODELS[-1]
    many = Cluster(1000)
    cases = [
        ("128 MiB, the default", Job(kmeans, 100 * TB, stored=machine.stored), many),
        ("block_size 512 MiB", Job(kmeans, 100 * TB, 512 * MIB, stored=machine.stored), many),
        ("... and read ahead", Job(kmeans, 100 * TB, 512 * MIB, stored=machine.stored),
         replace(many, ahead=True)),
        ("... and 64 GB a worker", Job(kmeans, 100 * TB, 512 * MIB, stored=machine.stored),
         replace(many, memory=64e9)),
        ("128 MiB, sums of full d=512", Job(large, TB, stored=machine.stored), Cluster(100)),
        ("... and 512 MiB", Job(large, TB, 512 * MIB, stored=machine.stored), Cluster(100)),
        ("... and one thread a worker", Job(large, TB, 512 * MIB, stored=machine.stored),
         Cluster(400, 1, 4e9)),
        ("... 128 MiB, 64 GB a worker", Job(large, TB, stored=machine.stored),
         Cluster(100, memory=64e9)),
    ]  # fmt: skip
    rows = []
    for what, job, cluster in cases:
        times = Times(job, cluster, machine)
        found, played = predict(times), simulate(times)
        rows.append(
            (
                f"{job.model.name}, {amount(job.nbytes)}, {cluster.workers:,}",
                what,
                f"{job.tasks:,}",
                span(found.seconds),
                span(played.seconds),
                span(found.graph + found.scheduler),
                span(found.workers),
                f"{played.held}",
                flagged(found.worker_bytes, cluster.memory),
                flagged(found.driver_bytes, 16e9),
            )
        )
    head = (
        "job", "setting", "tasks", "formula", "simulated", "scheduler and graph", "workers",
        "sums waiting on a worker", "memory: worker", "memory: driver",
    )  # fmt: skip
    return table(head, rows)


def between(text: str, name: str, content: str) -> str:
    """Replace the part of `text` between the marks of `name`."""
    pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)"
    found, times = re.subn(
        pattern, lambda m: m[1] + "\n" + content + "\n" + m[2], text, flags=re.DOTALL
    )
    if times != 1:
        raise ValueError(f"wanted one part between the marks <!-- {name} -->, found {times}.")
    return found


def write_page(path: Path, parts: dict[str, str]) -> None:
    """Write every part between its marks in the page."""
    text = path.read_text(encoding="utf-8")
    for name, content in parts.items():
        text = between(text, name, content)
    path.write_text(text, encoding="utf-8")
