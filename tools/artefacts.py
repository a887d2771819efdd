"""Build the sdist and the wheel, and check their contents: ``python -m tools.artefacts FOLDER``.

They are built in a copy of the files that git knows, so that no leftovers of an earlier build get
into them. With ``--release`` the version must be that of a tag at HEAD.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Names that commands create at the top of the tree. They are left out if git cannot be asked.
MADE = {
    ".git", ".venv", "build", "dist", "demo", "runs", "data", "bench-out", "emdist.egg-info",
    ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache",
}  # fmt: skip


def run(*command: str | Path, cwd: Path, **environment: str) -> None:
    """Run a command to its end; raise CalledProcessError if it fails."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for name in ("PIP_CONSTRAINT", "UV_CONSTRAINT", "VIRTUAL_ENV"):
        environ.pop(name, None)
    subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**environ, **environment}, check=True
    )


def has_git() -> bool:
    """Return whether git can read this clone. It refuses a clone that another user owns."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return False
    asked = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode == 0


def tracked() -> list[str]:
    """List the files that a commit would contain: tracked ones, and new ones not ignored."""
    if not has_git():
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*") if not path.is_dir()]
        return [
            path.as_posix()
            for path in found
            if path.parts[0] not in MADE and "__pycache__" not in path.parts
        ]
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


def copied(folder: Path, left_out: tuple[str, ...] = ()) -> Path:
    """Copy the project to `folder`, without leftovers of builds; replace what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in tracked():
        if name.partition("/")[0] not in left_out:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return folder


def commit_of(ref: str) -> str:
    """Return the full hash of the commit that `ref` names; SystemExit if there is none."""
    asked = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        why = told.stderr.strip() or "this clone has no such commit"
        raise SystemExit(f"git knows no commit {ref!r}: {why}; name a branch, a tag or a hash")
    return told.stdout.strip()


def built(folder: Path, python: Path, commit: str | None = None) -> Path:
    """Build the wheel of the working tree from its sdist, with git's version; return its path.

    With `commit`, build the wheel of that commit, from a clone.
    """
    environment = folder / "builder"
    run(python, "-m", "venv", "--clear", environment, cwd=folder)
    pip = (environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "install", "build", "setuptools-scm", cwd=folder)
    if commit is not None:
        form, version = ["--wheel"], _cloned(commit, folder / "source")
    else:
        form, version = _copied_as_it_is(folder / "source", environment / "bin" / "python")
    shutil.rmtree(folder / "dist", ignore_errors=True)
    run(
        environment / "bin" / "python", "-m", "build", *form, "--outdir", folder / "dist",
        folder / "source", cwd=folder, **version,
    )  # fmt: skip
    return next((folder / "dist").glob("*.whl"))


def _cloned(commit: str, source: Path) -> dict[str, str]:
    """Clone at `commit`. No version has to be set, because the clone's tags give it."""
    shutil.rmtree(source, ignore_errors=True)
    run("git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, source, cwd=source.parent)
    run("git", "checkout", "--quiet", "--detach", commit, cwd=source)
    return {}


def _copied_as_it_is(source: Path, python: Path) -> tuple[list[str], dict[str, str]]:
    """Copy the working tree; return the build options and the variable that sets the version."""
    copied(source)
    form, version = ["--wheel"], "0.0+unknown"
    if has_git():
        asked = [str(python), "-m", "setuptools_scm"]
        told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
        form, version = [], told.stdout.strip()
        # The sdist contains what git's last commit contains, so commit the tree as it is.
        git = ("git", "-c", "user.name=build", "-c", "user.email=build@localhost")
        run(*git, "init", "--quiet", cwd=source)
        run(*git, "add", "--all", "--force", cwd=source)
        run(*git, "commit", "--quiet", "--no-verify", "--message", "As it is", cwd=source)
    return form, {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_EMDIST": version}


def _held(sdist: Path) -> set[str]:
    """List files and folders of an sdist, relative to its top folder."""
    with tarfile.open(sdist) as packed:
        top = sdist.name.removesuffix(".tar.gz") + "/"
        held = {name.removeprefix(top) for name in packed.getnames()}
    # The symbolic link `config` leads to a folder and is kept as that folder.
    return held | {name.rpartition("/")[0] for name in held}


def check(folder: Path) -> str:
    """Check wheel and sdist in `folder` and return the version; SystemExit if files are wrong."""
    (wheel,) = folder.glob("*.whl")
    sdists = list(folder.glob("*.tar.gz"))
    if not sdists:
        print("no git here: the wheel was made without an sdist, which is not checked")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(about).decode())
    version = metadata["Version"]
    modules = {
        name
        for name in tracked()
        if re.match(r"emdist/.*(\.py|\.yaml|\.css|\.js|py\.typed)$", name)
    }
    wrong = {
        "the wheel lacks": modules - names,
        "the wheel holds more than emdist": {
            name
            for name in names
            if not name.startswith(("emdist/", f"emdist-{version}.dist-info/"))
        },
        "the sdist lacks": set().union(*({*tracked()} - _held(sdist) for sdist in sdists)),
        "the sdist is of another version": {s.name for s in sdists if version not in s.name},
        "the metadata lacks": {
            key for key in ("License-Expression", "Requires-Python", "Summary") if not metadata[key]
        },
    }
    told = [f"{what}: {', '.join(sorted(which)[:10])}" for what, which in wrong.items() if which]
    if told:
        raise SystemExit("\n".join(told))
    print(" and ".join(path.name for path in (wheel, *sdists)), "whole")
    return version


def check_tag(version: str) -> None:
    """Check that HEAD has the tag of `version` and the changelog its section, else SystemExit."""
    command = ["git", "tag", "--points-at", "HEAD"]
    tags = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    if f"v{version}" not in tags.split():
        raise SystemExit(
            f"the version is {version}, and HEAD has no tag v{version}: see RELEASING.md"
        )
    if f"## {version}" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        raise SystemExit(f"CHANGELOG.md has no section '## {version}'")


def main() -> None:
    """Build the wheel and sdist, and check them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where dist/ is made")
    parser.add_argument("--release", action="store_true", help="HEAD must have the version's tag")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    version = check(built(folder, Path(sys.executable)).parent)
    if given.release:
        check_tag(version)


if __name__ == "__main__":
    main()
