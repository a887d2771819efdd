"""emdist's command in children of this process, one of which may kill itself at a stage."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from .entries import zarr_array

#: Audit events of calls that change the file system.
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate", "open"}

Stage = Callable[[Path], bool]


def entry() -> Callable[[], Any]:
    """What the command `emdist` calls."""
    (found,) = (e for e in entry_points(group="console_scripts") if e.name == "emdist")
    loaded: Callable[[], Any] = found.load()
    return loaded


def command(
    *arguments: str, run: Path | None = None, at: Stage | None = None, number: int = signal.SIGKILL
) -> tuple[int, str, str]:
    """Exit code and what the command printed, in a child that has everything imported.

    Where `at` is given, the child sends itself the signal `number` before the first change below
    `run` at which the folder is as `at` says.
    """
    ours, theirs = os.pipe()
    heard, said = os.pipe()
    main = entry()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(ours)
            os.close(heard)
            os.dup2(theirs, 1)
            os.dup2(said, 2)
            if run is not None and at is not None:
                watch(run, at, number)
            sys.argv = ["emdist", *arguments]
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001  the parent compares the exit code
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(theirs)
    os.close(said)
    errors: list[bytes] = []
    reader = threading.Thread(target=lambda: errors.append(_all(heard)))
    reader.start()
    out = _all(ours)
    reader.join()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, out.decode(), errors[0].decode()


def in_child(work: Callable[[], Any]) -> bytes:
    """What `work` returns, pickled; done in a child, so that no thread begins in this process."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with os.fdopen(theirs, "wb") as stream:
                pickle.dump(work(), stream)
            code = 0
        except BaseException:  # noqa: BLE001  the parent looks at the exit code
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(theirs)
    told = _all(ours)
    if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise SystemExit(f"a child ended with {code}")
    return told


def prepare() -> None:
    """Import what commands need: forks have it then."""
    import zarr  # noqa: F401

    import emdist

    for name in emdist.__all__:
        getattr(emdist, name)
    for name in pickle.loads(in_child(_met)):
        with suppress(ImportError, AttributeError):
            importlib.import_module(name)


def _met() -> list[str]:
    """The modules that a fit and its labels have imported, in this order."""
    import emdist

    model = emdist.KMeans(2).fit([[0.0, 1.0], [5.0, 6.0], [0.0, 2.0]])
    with tempfile.TemporaryDirectory() as folder:
        zarr_array(Path(folder) / "x.zarr", np.arange(12.0).reshape(6, 2) % 7)
        model.save(f"{folder}/model")
        sys.argv = ["emdist", "fit", f"{folder}/x.zarr", "-k", "2", "--run", f"{folder}/run", "-q",
                    "--set", "cluster.kind=threads"]  # fmt: skip
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        with suppress(SystemExit):
            entry()()
    return [name for name in sys.modules if name != "__main__"]


def _all(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as stream:
        return stream.read()


def watch(run: Path, at: Stage, number: int) -> None:
    """Send `number` to this process before the first change below `run` where `at` holds."""
    looking, sent = threading.Lock(), False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal sent
        if sent or event not in CHANGES:
            return
        if event == "open":
            flags = arguments[2]
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
                return
        if f"/{run.name}/" not in f"{arguments[0]}/" or not looking.acquire(blocking=False):
            return
        try:
            if at(run):
                sent = True
                os.kill(os.getpid(), number)
        finally:
            looking.release()

    sys.addaudithook(hook)


def done(*arguments: str) -> str:
    """What a command printed that has to succeed."""
    code, out, errors = command(*arguments)
    if code:
        raise SystemExit(f"emdist {' '.join(arguments)} ended with {code}:\n{errors[-3000:]}")
    return out


def inspected(path: Path, *options: str) -> dict[str, Any]:
    """What `emdist inspect` says."""
    found: dict[str, Any] = json.loads(done("inspect", str(path), "--json", *options))
    return found


# The stages of a run, by what lies in its folder.


def committed(run: Path, kind: str = "ckpt") -> int:
    """Number of the newest checkpoint that is whole; 0 for none. A survey's is -1 for none."""
    found = [int(p.parent.name.split("-")[0]) for p in run.glob(f"{kind}/[0-9]*/manifest.json")]
    return max(found, default=-1 if kind == "survey" else 0)


def recorded(run: Path) -> bool:
    """The record is there, and nothing of the survey."""
    return (run / "run.json").exists() and committed(run, "survey") < 0


def surveyed(run: Path) -> bool:
    """The survey is there, and nothing of a checkpoint."""
    return committed(run, "survey") >= 0 and not any(run.glob("ckpt/*/*"))


def first_torn(run: Path) -> bool:
    """Seeding is over: the first checkpoint has its arrays, and is not committed."""
    return any(run.glob("ckpt/**/state.safetensors")) and committed(run) == 0


def iterating(run: Path) -> bool:
    """Some checkpoints were committed, and there is no result."""
    return committed(run) >= 2 and not (run / "final").exists()


def model_torn(run: Path) -> bool:
    """The model has its arrays, and is not committed."""
    final = run / "final"
    return (final / "model.safetensors").exists() and not (final / "model.json").exists()


def modelled(run: Path) -> bool:
    """The model is there, and no labels."""
    return (run / "final/model.json").exists() and not (run / "labels.zarr").exists()


def label_chunks(run: Path) -> int:
    """Blocks of labels that are written."""
    return sum(p.is_file() and p.name.isdigit() for p in run.glob("labels.zarr/labels/c/*"))


def labelling(run: Path) -> bool:
    """Some labels are there, and not all."""
    return 1 <= label_chunks(run) < 3


def labelled(run: Path) -> bool:
    """All labels are there, and no summary."""
    return label_chunks(run) == 3 and not (run / "summary.json").exists()


def iterated(run: Path) -> bool:
    """The fit has finished, by its last checkpoint, and there is no model: of `finished`."""
    return committed(run) >= 1 and not any(run.glob("final/*"))


STAGES: dict[str, Stage] = {
    "recorded": recorded,
    "surveyed": surveyed,
    "first-torn": first_torn,
    "iterating": iterating,
    "model-torn": model_torn,
    "modelled": modelled,
    "labelling": labelling,
    "labelled": labelled,
}
