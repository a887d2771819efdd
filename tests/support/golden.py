"""Digests of small fits by kind of CPU; ``python -m tests.support.golden`` records them.

Run it when a change of code is meant to change results, and say why in the commit.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from llvmlite.binding import get_host_cpu_features
from threadpoolctl import threadpool_info

from emdist.inputs.plugins import plugins
from emdist.interfaces import Engine
from emdist.jobs.records import versions
from emdist.settings.config import SCHEDULES
from tests.support.fitting import ALL_FAMILIES, CENTRES, NOISY, Setting, draw, fit_array

FILE = Path(__file__).with_name("golden.json")
COMMAND = "python -m tests.support.golden"
#: Set to "optional" on machines that come and go, such as those of CI.
WITHOUT = "EMDIST_GOLDEN"

#: Every model by batches, and every schedule with one model.
CASES: dict[str, tuple[str, str]] = {
    **{name: (name, "batch") for name in [*CENTRES, *ALL_FAMILIES, NOISY]},
    **{
        # Some are for hard assignment alone.
        f"{name} schedule": ("kmeans" if name in ("minibatch", "pruned") else "full", name)
        for name in sorted(plugins(SCHEDULES, "schedule"))
    },
}


def machine() -> str:
    """What the bits of a fit depend on beside the code: CPU, and who makes its instructions."""
    packages = ("numpy", "scipy", "numba")
    # Two CPUs of one name may have other instructions, of which BLAS and NumPy choose the best.
    features = sorted(name for name, there in get_host_cpu_features().items() if there)
    blas = sorted({str(pool.get("architecture")) for pool in threadpool_info()} - {"None"})
    mark = hashlib.sha256(" ".join([*features, *blas]).encode()).hexdigest()[:8]
    made = (f"{p} {metadata.version(p)}" for p in packages)
    return ", ".join([f"{versions()['cpu']} {mark}", *made])


def digest(case: str, engine: Engine) -> str:
    """Of all that a fit of 300 rows in blocks of about 30 comes to, history included."""
    name, schedule = CASES[case]
    x = draw("full" if name in CENTRES else name, 300, 3, 3)[0]
    setting = Setting(name, 3, fit={"max_iter": 6, "tol": 0.0, "schedule": schedule})
    found = fit_array(x, setting, block_bytes=30 * x.itemsize * x.shape[1], engine=engine)
    said = hashlib.sha256(repr((found.objective, found.state.history)).encode())
    for key, array in sorted(found.arrays.items()):
        said.update(key.encode() + array.tobytes())
    return said.hexdigest()


def recorded() -> dict[str, Any]:
    """Machine to case to digest."""
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def main() -> None:
    """Record this machine's digests beside those of others."""
    from emdist.engines.threads import LocalEngine

    mine = {case: digest(case, LocalEngine(1)) for case in CASES}
    all_of_them = recorded() | {machine(): mine}
    FILE.write_text(json.dumps(all_of_them, indent=1, sort_keys=True) + "\n")
    print(f"{len(mine)} digests of {machine()}", file=sys.stderr)


if __name__ == "__main__":
    main()
