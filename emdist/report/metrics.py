"""Metrics of a run in a file for Prometheus: the textfile collector of its node exporter reads it.

The file is replaced as a whole, so that the collector never reads a part of it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from emdist.fit.events import Event, Iterated, Listener, Planned, Progress, Saved, Warned
from emdist.runtime.tallies import tallied

#: Seconds between two versions of the file.
_EVERY = 5.0
#: Name -> (type, help), in the order of the file.
_METRICS: Mapping[str, tuple[str, str]] = {
    "iterations_total": ("counter", "Iterations of this process."),
    "rows_total": ("counter", "Rows read by these iterations."),
    "bytes_total": ("counter", "Decoded bytes of these rows."),
    "checkpoints_total": ("counter", "Checkpoints saved by this process."),
    "retries_total": ("counter", "Requests to object stores that this process repeated."),
    "stalls_total": ("counter", "Passes whose blocks were given to other Dask workers."),
    "warnings_total": ("counter", "Warnings of the run."),
    "rows_per_second": ("gauge", "Rows per second in the newest iteration."),
    "bytes_per_second": ("gauge", "Decoded bytes per second in the newest iteration."),
    "iteration": ("gauge", "Number of the newest iteration."),
    "max_iter": ("gauge", "Number of the last iteration that is allowed."),
    "objective": ("gauge", "Objective of the newest iteration."),
    "pass_ratio": ("gauge", "Part of the current pass that is done, from 0 to 1."),
    "active": ("gauge", "1 while the process works on the run, else 0."),
    "failed": ("gauge", "1 if the process ended with an error or a signal, else 0."),
    "start_time_seconds": ("gauge", "Time at which the process began with the run."),
    "update_time_seconds": ("gauge", "Time at which this file was written."),
}


class Metrics:
    """Listens to a run and keeps a file with its metrics.

    It has state: the values so far, and when they were written.

    Parameters
    ----------
    path
        The path of the file.
    run
        The location of the run, the label of each metric.
    listen
        Is told once if the file cannot be written.
    clock
        Returns seconds since the epoch.
    """

    def __init__(
        self, path: str, run: str, listen: Listener, clock: Callable[[], float] = time.time
    ) -> None:
        self._path, self._run, self._listen, self._clock = Path(path), run, listen, clock
        self._before = {"retries": tallied("retries"), "stalls": tallied("stalls")}
        self._values = {name: 0.0 for name, (kind, _) in _METRICS.items() if kind == "counter"}
        self._values |= {"active": 1.0, "failed": 0.0, "start_time_seconds": clock()}
        self._written = -math.inf
        self._failed = False

    def __call__(self, event: Event) -> None:
        """Take one event of the run."""
        values = self._values
        if isinstance(event, Iterated):
            seconds = max(event.seconds, 1e-9)
            values["iterations_total"] += 1
            values["rows_total"] += event.rows
            values["bytes_total"] += event.nbytes
            values["rows_per_second"] = event.rows / seconds
            values["bytes_per_second"] = event.nbytes / seconds
            values["iteration"] = event.record.iteration
            values["objective"] = event.record.objective
        elif isinstance(event, Planned):
            values["max_iter"] = event.max_iter
        elif isinstance(event, Saved):
            values["checkpoints_total"] += 1
        elif isinstance(event, Progress) and event.total:
            values["pass_ratio"] = event.done / event.total
        elif isinstance(event, Warned):
            values["warnings_total"] += 1
        if abs(self._clock() - self._written) >= _EVERY:
            self.write()

    def end(self, failed: bool) -> None:
        """Write the file for the last time."""
        self._values |= {"active": 0.0, "failed": float(failed)}
        self.write()

    def write(self) -> None:
        """Replace the file by one with the present values."""
        self._written = self._clock()
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(self.text(), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if not self._failed:
                self._failed = True
                self._listen(
                    Warned(
                        f"run.metrics_file: cannot write {self._path} ({error.strerror}). The run "
                        "continues. Create its folder, or check its permissions."
                    )
                )

    def text(self) -> str:
        """Return the metrics in Prometheus's text format."""
        values = {
            **self._values,
            "retries_total": tallied("retries") - self._before["retries"],
            "stalls_total": tallied("stalls") - self._before["stalls"],
            "update_time_seconds": self._clock(),
        }
        run = self._run.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        lines = []
        for name, (kind, meaning) in _METRICS.items():
            if name in values:
                full = f"emdist_{name}"
                lines += [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}"]
                lines.append(f'{full}{{run="{run}"}} {_number(values[name])}')
        return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


@contextmanager
def measured(path: str | None, run: str, listen: Listener) -> Iterator[Listener]:
    """Yield a listener that also keeps the file of metrics at `path`, if there is one."""
    if path is None:
        yield listen
        return
    metrics = Metrics(path, run, listen)

    def heard(event: Event) -> None:
        listen(event)
        metrics(event)

    metrics.write()
    failed = True
    try:
        yield heard
        failed = False
    finally:
        metrics.end(failed)
