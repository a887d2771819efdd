"""Test the wheel with the newest packages on every supported Python that this machine has.

``python -m tools.newest FOLDER [--short] [--without 3.11]``. Each Python gets its own environment
with the wheel (no editable install), all extras and no constraints. It runs the tests that are
marked ``newest`` from a folder without the source of emdist.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tools.artefacts import built, check, copied, run
from tools.pins import index_of_pip, uv_of

#: The oldest supported Python. Versions newer than those in `pyproject.toml` are tested too.
OLDEST = (3, 11)
#: Where version managers keep interpreters, in the home folder: pyenv, asdf, mise, uv, conda.
KEPT = (
    ".pyenv/versions/*/bin/python3",
    ".asdf/installs/python/*/bin/python3",
    ".local/share/mise/installs/python/*/bin/python3",
    ".local/share/uv/python/*/bin/python3",
    "miniconda3/envs/*/bin/python3",
    "miniforge3/envs/*/bin/python3",
)
ASK = "import sys; print(*sys.version_info[:3], sys.implementation.name, sys.version_info[3])"
#: Not copied to the folder from which the tests run.
NOT_COPIED = ("emdist", ".venv", "build", "dist", "runs", "demo")


def candidates() -> Iterator[Path]:
    """Find files that may be a Python 3 of this machine."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield from Path(folder or ".").glob("python3*")
    for pattern in KEPT:
        yield from Path.home().glob(pattern)
    if root := os.environ.get("PYENV_ROOT"):
        yield from Path(root).glob("versions/*/bin/python3")


def interpreters() -> dict[tuple[int, int], Path]:
    """Find the newest CPython of each supported minor version, by (major, minor)."""
    found: dict[tuple[int, int], tuple[tuple[int, ...], Path]] = {}
    asked = {path.resolve() for path in candidates() if os.access(path, os.X_OK)}
    for path in sorted(asked):
        if path.name.endswith("-config"):
            continue
        try:
            done = subprocess.run(
                [path, "-c", ASK], capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue  # It is a shim of a version that is not installed, or another program.
        *numbers, name, level = done.stdout.split()
        version = tuple(map(int, numbers))
        if name != "cpython" or level != "final" or version[:2] < OLDEST:
            continue
        minor = version[0], version[1]
        found[minor] = max(found.get(minor, ((), path)), (version, path))
    return {minor: path for minor, (_, path) in sorted(found.items())}


def tried(python: Path, minor: str, wheel: Path, tests: Path, chosen: str) -> None:
    """Make an environment with the wheel and the newest packages, and run the tests `chosen`."""
    environment = wheel.parent.parent / minor
    run(python, "-m", "venv", "--clear", environment, cwd=tests)
    own = environment / "bin" / "python"
    uv = uv_of(wheel.parent.parent / "uv")
    wanted = f"emdist[dev] @ {wheel.as_uri()}"
    # uv's cache serves all environments. pip needed two minutes for each.
    run(uv, "pip", "install", "--quiet", "--python", own, wanted, cwd=tests,
        **index_of_pip(uv.parent / "python"))  # fmt: skip
    run(own, "-c", SHOW, str(environment), cwd=tests)
    run(own, "-m", "pytest", "-p", "no:cacheprovider", "--durations=5", "-m", chosen, cwd=tests)


#: Prints the versions that are tested, and checks that emdist is imported from the wheel.
SHOW = """
import sys, emdist
from importlib.metadata import version
from pathlib import Path
assert Path(emdist.__file__).is_relative_to(sys.argv[1]), emdist.__file__
names = "zarr numpy dask distributed prefect sqlalchemy scikit-learn numba pydantic".split()
print("emdist", emdist.__version__, "with", *(f"{name} {version(name)}," for name in names))
"""


def main() -> None:
    """Build the wheel and test it on each Python; exit code 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where environments are made")
    parser.add_argument("--short", action="store_true", help="the few tests marked newest_short")
    parser.add_argument("--without", default="", help="a version to leave out, such as 3.11")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    found = {f"{a}.{b}": path for (a, b), path in interpreters().items()}
    chosen = {minor: path for minor, path in found.items() if minor != given.without}
    print("Pythons found:", ", ".join(f"{m} ({p})" for m, p in found.items()) or "none")
    print("tried:", ", ".join(chosen) or "none", flush=True)
    wheel = built(folder, Path(sys.executable))
    check(wheel.parent)
    tests = copied(folder / "tests-only", NOT_COPIED)
    failed = []
    for minor, path in chosen.items():
        began = time.monotonic()
        try:
            tried(path, minor, wheel, tests, "newest_short" if given.short else "newest")
        except subprocess.CalledProcessError as error:
            failed.append(minor)
            print(f"Python {minor}: {error}", file=sys.stderr)
        print(f"Python {minor}: {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"failed on Python {', '.join(failed)}")


if __name__ == "__main__":
    main()
