"""Keep files that this version of emdist stores, so that later versions can test reading them.

``python -m tools.keep FOLDER`` builds the wheel and installs it with the versions of
constraints.txt into a new environment. There ``tests/kept/make.py`` makes runs, sweeps, labels and
models. They are packed as ``tests/kept/<version>.tar.xz``, which ``tests/store/test_kept.py``
reads. RELEASING.md says when to do this.
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
#: Bytes. Largest archive that may be added to the repository.
LARGEST = 1_000_000


def installed(folder: Path, wheel: Path) -> Path:
    """Make an environment with `wheel` and the pinned packages, and return its interpreter."""
    environment, uv = folder / "environment", uv_of(folder / "uv")
    run(sys.executable, "-m", "venv", "--clear", environment, cwd=folder)
    own = environment / "bin" / "python"
    wanted = f"emdist[ingest] @ {wheel.as_uri()}"
    run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", own,
        "-c", PINS, wanted, cwd=folder,
        **index_of_pip(uv.parent / "python"))  # fmt: skip
    return own


def commit() -> str:
    """Return the hash of HEAD in the working tree; empty without git."""
    return commit_of("HEAD") if has_git() else ""


def packed(things: Path, archive: Path) -> int:
    """Pack `things` into one archive, in a folder named by the version; return its bytes."""

    def nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "w:xz", preset=9) as target:
        # First the file by which the tests are listed, so that reading it unpacks nothing else.
        first = things / "expected.json"
        target.add(first, f"{things.name}/{first.name}", filter=nobody)
        for path in sorted(things.rglob("*")):
            if path != first:
                name = f"{things.name}/{path.relative_to(things).as_posix()}"
                target.add(path, name, recursive=False, filter=nobody)
    return archive.stat().st_size


def main() -> None:
    """Build the wheel, install it, make the files and pack them."""
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
    # A copy, because the checkout itself must not be importable beside the wheel.
    code = folder / "kept_code"
    shutil.copytree(KEPT, code, ignore=shutil.ignore_patterns("*.xz"), dirs_exist_ok=True)
    run(python, "-m", f"{code.name}.make", things, "--commit", commit(), cwd=folder)
    archive = KEPT / f"{version}.tar.xz"
    size = packed(things, archive)
    print(f"{archive}: {size:,} bytes, made in {time.monotonic() - began:.0f} s")
    if size > LARGEST:
        raise SystemExit(f"larger than {LARGEST:,} bytes: make less with tests/kept/make.py")


if __name__ == "__main__":
    main()
