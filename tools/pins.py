"""Renew constraints.txt: the newest version of every package, for every supported Python."""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "constraints.txt"
HEADER = """\
# The versions that `make`, the image and CI install: pip install -c constraints.txt ...
# `make pins` renews this file. One file serves every supported Python: where a version depends on
# the Python or the platform, a marker says so.
"""


def uv_of(folder: Path) -> Path:
    """Return the path of uv; install it into an environment of its own if it is missing."""
    uv = folder / "bin" / "uv"
    if not uv.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", "uv"], check=True)
    return uv


def index_of_pip(python: Path) -> dict[str, str]:
    """Return pip's configured package index as uv's variable, because uv reads no pip.conf."""
    asked = [str(python), "-m", "pip", "config", "get", "global.index-url"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    url = os.environ.get("PIP_INDEX_URL") or answer.stdout.strip()
    return {"UV_DEFAULT_INDEX": url} if url and "UV_DEFAULT_INDEX" not in os.environ else {}


def resolved(uv: Path) -> list[str]:
    """Resolve the newest versions: one line `name==version ; marker` per package of any extra."""
    command = [str(uv), "pip", "compile", "pyproject.toml", "--all-extras", "--universal"]
    command += ["--python-version", "3.11", "--upgrade", "--quiet"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    environment = os.environ | index_of_pip(uv.parent / "python")
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.splitlines()


def checked(lines: list[str]) -> list[str]:
    """Check that the lines hold only names and versions: no address of an index, no local path."""
    odd = [line for line in lines if "==" not in line or "://" in line or "@" in line]
    if odd or not lines:
        raise SystemExit(f"expected lines such as 'numpy==2.4.6', got {odd[:3]}: nothing written")
    return lines


def main() -> None:
    """Resolve the versions and write constraints.txt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, help="folder for the environment of uv")
    lines = checked(resolved(uv_of(parser.parse_args().environment)))
    PINS.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"constraints.txt: {len(lines)} lines", file=sys.stderr)


if __name__ == "__main__":
    main()
