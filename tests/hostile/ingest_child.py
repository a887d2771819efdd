"""Ingest what each line names, in a cage: ``[source, target]`` in, how it ended out, as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from PIL import Image

from emdist.errors import EmdistError
from emdist.ingest import ingest
from tests.hostile.spoilt_files import PATIENCE, _out_of_time, cage


def peak() -> int:
    """Bytes that this process had at most since the peak was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def how(source: str, target: str) -> tuple[str, str]:
    """("answer", shape) or (class, message)."""
    try:
        summary = ingest(source, target)
    except EmdistError as error:
        return type(error).__name__, str(error)
    except BaseException as error:  # noqa: BLE001  that is the point
        return f"FAULT {type(error).__name__}", repr(error)[:300]
    return "answer", str((summary.rows, summary.features, summary.dtype))


def warm(folder: Path) -> None:
    """What is imported is no bomb."""
    x = np.zeros((4, 4))
    np.save(folder / "w.npy", x)
    np.savez(folder / "w.npz", x)
    (folder / "w.csv").write_text("1,2\n3,4\n")
    pa.parquet.write_table(pa.table({"a": x[0]}), folder / "w.parquet")
    Image.fromarray(x.astype("u1")).save(folder / "w.png")
    Image.fromarray(x.astype("u1")).save(folder / "w.tif")
    for i, suffix in enumerate(("npy", "npz", "csv", "parquet", "png", "tif")):
        ingest(folder / f"w.{suffix}", folder / f"w{i}.zarr", overwrite=True)


def main(folder: Path) -> None:
    """The child."""
    warm(folder)
    reset = os.open("/proc/self/clear_refs", os.O_WRONLY)
    cage(folder)
    signal.signal(signal.SIGALRM, _out_of_time)
    for line in sys.stdin:
        source, target = json.loads(line)
        print(json.dumps(source), flush=True)
        os.write(reset, b"5")
        before = peak()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        kind, text = how(source, target)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps([kind, text[:3000], len(text), peak() - before]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
