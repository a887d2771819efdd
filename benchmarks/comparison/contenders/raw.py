"""Measure the machine's rates of reading and writing the same bytes, and derive limits."""

from __future__ import annotations

import shutil

import numpy as np
import zarr

from benchmarks.comparison.contenders.labelling import label_chunks
from benchmarks.comparison.contenders.one_pass import pass_over
from benchmarks.comparison.files import all_files, nbytes, read_raw, sync, write_raw
from benchmarks.comparison.workload import Outcome, Turn, Work, timed
from emdist.store.sources.arrays import array_source

NEEDS = ("emdist",)


def disk_pass(work: Work) -> Turn:
    """Measure a lower limit of a pass from disk: the longer of raw reading and a pass in memory.

    The figures show both rates.
    """
    files, size = all_files(work.files["x"]), nbytes(work.files["x"])
    x = np.asarray(zarr.open_array(str(work.files["x"]), mode="r")[:])
    inside = pass_over(work, array_source(x))

    def turn() -> Outcome:
        reading, _ = timed(lambda: read_raw(files, 2))
        computing = inside().value
        rates = {
            "raw read GB/s": size / reading / 1e9,
            "in-memory pass GB/s": x.nbytes / computing / 1e9,
        }
        return Outcome(max(reading, computing), rates)

    return turn


def label_rows(work: Work) -> Turn:
    """Measure a lower limit of writing labels: writing the same bytes to files of these names."""
    chunks = label_chunks(work)
    place = work.scratch / "raw"

    def write() -> int:
        written = write_raw(place, chunks, 2)
        if work.options.get("synced"):
            sync(place)
        return written

    def turn() -> Outcome:
        seconds, written = timed(write)
        shutil.rmtree(place)
        return Outcome(seconds, {"GB/s written": written / seconds / 1e9})

    return turn


def allowed(work: Work) -> Turn:
    """Return the time that is allowed, ``seconds`` of the options, without measuring."""
    seconds = float(work.options["seconds"])
    return lambda: Outcome(seconds)
