"""Keep what the working tree's emdist stores, for later versions to read: see RELEASING.md.

``python -m tools.keep FOLDER`` builds the wheel, installs it with the versions of constraints.txt
into an environment of its own, has ``tests/kept/make.py`` make runs, sweeps, labels and models with
it, and packs them as ``tests/kept/<version>.tar.xz``, which ``tests/store/test_kept.py`` reads.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tarfile
import time
from pathlib import Path

from tools.artefacts import ROOT, built, check, commit_of, has_git, run
from tools.pins import PINS, index_of_pip, uv_of

KEPT = ROOT / "tests" / "kept"
#: Largest archive that belongs into the repository: bytes.
LARGEST = 1_000_000


def installed(folder: Path, wheel: Path) -> Path:
    """The interpreter of an environment with `wheel` and the pinned packages."""
    environment, uv = folder / "environment", uv_of(folder / "uv")
    run(sys.executable, "-m", "venv", "--clear", environment, cwd=folder)
    own = environment / "bin" / "python"
    wanted = f"emdist[ingest] @ {wheel.as_uri()}"
    run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", own,
        "-c", PINS, wanted, cwd=folder,
        **index_of_pip(uv.parent / "python"))  # fmt: skip
    return own


def commit() -> str:
    """Of the working tree's HEAD; empty where there is no git."""
    return commit_of("HEAD") if has_git() else ""


def packed(things: Path, archive: Path) -> int:
    """`things` as one archive, its only folder named by the version; its size in bytes."""

    def nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "w:xz", preset=9) as target:
        # First what the tests are listed by, so that nothing else is unpacked for it.
        first = things / "expected.json"
        target.add(first, f"{things.name}/{first.name}", filter=nobody)
        for path in sorted(things.rglob("*")):
            if path != first:
                name = f"{things.name}/{path.relative_to(things).as_posix()}"
                target.add(path, name, recursive=False, filter=nobody)
    return archive.stat().st_size


def main() -> None:
    """Build, install, make and pack."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the wheel and the environment are made")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = built(folder, Path(sys.executable))
    version = check(wheel.parent)
    python = installed(folder, wheel)
    things = folder / "kept" / version
    shutil.rmtree(things, ignore_errors=True)
    began = time.monotonic()
    run(python, KEPT / "make.py", things, "--commit", commit(), cwd=folder)
    archive = KEPT / f"{version}.tar.xz"
    size = packed(things, archive)
    print(f"{archive}: {size:,} bytes, made in {time.monotonic() - began:.0f} s")
    if size > LARGEST:
        raise SystemExit(f"larger than {LARGEST:,} bytes: make less with tests/kept/make.py")


if __name__ == "__main__":
    main()
