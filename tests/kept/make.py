"""Make runs, sweeps, labels and models with the emdist that is installed, for later ones to read.

`make keep` runs it as ``python -m kept_code.make FOLDER [--commit SHA]``. FOLDER is named by the
version and must not exist. It is read from the folder around it: all paths in it begin with
``/proc/self/cwd`` and so hold wherever it is copied to. ``expected.json`` says what this emdist
itself comes to when it finishes a copy of what is left unfinished; ``expected.npz`` has the arrays,
by their digests.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import commands, entries, numbers_kept
from .commands import command, done, in_child, inspected

Entry = dict[str, Any]

#: Where a copy is looked for: this folder's path is in records, and means the reader's own.
HERE = Path("/proc/self/cwd")


class Making:
    """A folder that is being filled, and what is known of its entries."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.place = HERE / folder.name
        self.known: dict[str, Entry] = {}

    def path(self, name: str) -> str:
        """Of something in the folder, as records have it."""
        return str(self.place / name)

    def settings(self, key: str, values: entries.Values) -> str:
        """Path of the configuration of a run called `key`, written."""
        found = copy.deepcopy(values)
        found["data"]["path"] = self.path(found["data"]["path"])
        for section, name in (("data", "weights"), ("fit", "start")):
            if name in found[section]:
                found[section][name] = self.path(found[section][name])
        found["run"] |= {"folder": self.path("runs"), "key": key}
        file = Path(self.name) / "configs" / f"{key}.yaml"
        file.write_text(json.dumps(found, indent=1))
        return str(file)

    def run(self, key: str) -> Path:
        """Folder of a run, as its own process names it."""
        return self.place / "runs" / key

    def enter(self, key: str, values: entries.Values, state: str, verb: str = "fit") -> str:
        """Path of the configuration of an entry, which is noted."""
        assert key not in self.known or self.known[key]["kind"] == verb, key
        self.known[key] = {
            "kind": verb,
            "state": state,
            "data": self.path(values["data"]["path"]),
            "array": values["data"].get("array", ""),
        }
        return self.settings(key, values)

    def finish(self, key: str, values: entries.Values, verb: str = "fit") -> None:
        """A run that is finished."""
        done(verb, "-f", self.enter(key, values, "finished", verb), "--quiet")

    def kill(
        self,
        key: str,
        values: entries.Values,
        stage: str,
        at: commands.Stage,
        verb: str = "fit",
        number: int = signal.SIGKILL,
    ) -> None:
        """A run that is killed at a stage; SystemExit if the folder is not as it says then."""
        file, run = self.enter(key, values, stage, verb), self.run(key)
        code, _, errors = command(verb, "-f", file, "--quiet", run=run, at=at, number=number)
        wanted = 130 if number == signal.SIGINT else -number
        if code != wanted or (number == signal.SIGKILL and not at(run)):
            raise SystemExit(
                f"{key}: wanted to end with {wanted} at {stage}, got {code}:\n{errors}"
            )

    def search(
        self, key: str, values: entries.Values, stage: str, like: Callable[..., bool]
    ) -> None:
        """A run that is killed after the first checkpoint whose inspection is `like` the stage."""
        for n in range(1, 60):
            shutil.rmtree(self.run(key), ignore_errors=True)

            def after(run: Path, n: int = n) -> bool:
                return commands.committed(run) >= n

            file = self.enter(key, values, stage)
            code, _, errors = command("fit", "-f", file, "--quiet", run=self.run(key), at=after)
            if code == 0:
                break
            if code != -signal.SIGKILL:
                raise SystemExit(f"{key}: {errors}")
            if like(inspected(self.run(key))):
                return
        raise SystemExit(f"{key}: never met the stage {stage}")


def fit_is_over(found: dict[str, Any]) -> bool:
    """Of an inspection: the last checkpoint ends the fit, and no model is stored."""
    return found["progress"].startswith("finished") and "result" not in found


def one_start_has_stopped(found: dict[str, Any]) -> bool:
    """Of an inspection: one start goes on where another has stopped."""
    last: dict[str, int] = {}
    for line in found.get("history", ()):
        start, iteration = line.split(" ", 1)[0].split(":")
        last[start] = int(iteration)
    return len(set(last.values())) > 1 and not found["progress"].startswith("finished")


def make_runs(making: Making) -> None:
    """Runs of every kind: finished, and killed in the middle of the iterations."""
    for name, values in entries.FITS.items():
        making.finish(name, values)
        making.kill(f"killed-{name}", values, "iterating", commands.iterating)
        print(".", end="", flush=True)


def make_stages(making: Making) -> None:
    """Runs that are killed at every other stage, or interrupted."""
    for name in ("kmeans", "full", "tied-noise"):
        for stage, at in commands.STAGES.items():
            if stage != "iterating":
                making.kill(f"{stage}-{name}", entries.FITS[name], stage, at)
        making.search(f"iterated-{name}", entries.FITS[name], "iterated", fit_is_over)
    for name in ("kmeans", "full"):
        values = entries.fit(name, fit={"n_init": 2, "max_iter": 40, "tol": 1e-3})
        key = f"between-starts-{name}"
        making.search(key, values, "one start stopped, another not", one_start_has_stopped)
        number = signal.SIGINT
        making.kill(f"interrupted-{name}", entries.FITS[name], "SIGINT", commands.iterating,
                    number=number)  # fmt: skip


def make_extended(making: Making) -> None:
    """Runs that are to be extended, that were, and that were killed meanwhile."""
    for name, values in entries.EXTENDED.items():
        shorter = copy.deepcopy(values)
        shorter["fit"]["max_iter"] = 3
        shorter["run"].pop("extend")
        for key in (name, f"done-{name}", f"killed-{name}"):
            done("fit", "-f", making.settings(key, shorter), "--quiet")
        making.enter(name, values, "to be extended")
        making.finish(f"done-{name}", values)
        before = commands.committed(making.run(f"killed-{name}"))

        def further(run: Path, before: int = before) -> bool:
            return commands.committed(run) > before + 1

        making.kill(f"killed-{name}", values, "extending", further)


def make_sweeps(making: Making) -> None:
    """Sweeps, finished and killed."""
    for name, values in entries.SWEEPS.items():
        making.finish(name, values, "sweep")
        making.kill(f"killed-{name}", values, "iterating", commands.iterating, "sweep")


def make_labels(making: Making) -> None:
    """Labels by `emdist label`: complete, and cut off in the middle."""
    for name in ("kmeans", "tied-noise", "product"):
        data = making.path(entries.FITS[name]["data"]["path"])
        outputs = ["-o", "labels", "-o", "score"]
        for state in ("finished", "labelling"):
            out = making.place / "labels" / f"label-{state}-{name}"
            given = ["label", str(making.run(name)), data, str(out), *outputs, "--quiet",
                     "--set", "cluster.threads=1"]  # fmt: skip

            def middle(out: Path) -> bool:
                return 1 <= sum(p.name.isdigit() for p in out.glob("labels/c/*")) < 3

            code, _, errors = command(*given, run=out, at=middle if state == "labelling" else None)
            if code != (0 if state == "finished" else -signal.SIGKILL):
                raise SystemExit(f"labels of {name}: {code}\n{errors}")
            making.known[out.name] = {"kind": "label", "state": state, "command": given}


def make_models(making: Making) -> None:
    """Every estimator, fitted and saved; with what it predicts."""
    import warnings

    import emdist

    made = entries.rows()
    warnings.simplefilter("ignore")
    for name, (kind, data, parameters) in entries.estimators().items():
        first = (
            "n_clusters" if kind in ("KMeans", "MiniBatchKMeans", "KMedians") else "n_components"
        )
        known = getattr(emdist, kind)().get_params()
        first = first if first in known else "n_clusters"
        given = {first: entries.CLUSTERS, "random_state": 0, "max_iter": 5, **parameters}
        model = getattr(emdist, kind)(**{k: v for k, v in given.items() if v is not None})
        model.fit(made[data])
        model.save(making.path(f"models/{name}"))
    online = emdist.MiniBatchKMeans(entries.CLUSTERS, random_state=0)
    for i in range(3):
        online.partial_fit(made["real"][80 * i : 80 * (i + 1)])
    online.save(making.path("models/MiniBatchKMeans-online"))
    grid = {"n_components": [2, 3]}
    sweep = emdist.Sweep(emdist.GaussianMixture(random_state=0, max_iter=5), grid)
    sweep.fit(made["real"])
    sweep.best_estimator_.save(making.path("models/Sweep-best"))


def models_of() -> Iterator[tuple[str, str]]:
    """Name and data of every saved model."""
    for name, (_, data, _) in entries.estimators().items():
        yield name, data
    yield from (("MiniBatchKMeans-online", "real"), ("Sweep-best", "real"))


def finish_all(making: Making) -> None:
    """In a copy: everything that is unfinished."""
    for key, entry in making.known.items():
        if entry["kind"] == "label":
            done(*entry["command"])
        elif entry["state"] != "finished":
            done(entry["kind"], "-f", f"{making.name}/configs/{key}.yaml", "--quiet")
        print(",", end="", flush=True)


def expectations(making: Making) -> tuple[dict[str, Entry], dict[str, Any]]:
    """What every entry is, and the arrays by digest; of a copy in which all is finished."""
    arrays: dict[str, Any] = {}

    def noted(found: numbers_kept.Arrays) -> dict[str, str]:
        told = {name: numbers_kept.digest(array) for name, array in found.items()}
        arrays.update({told[name]: array for name, array in found.items()})
        return told

    for key, entry in making.known.items():
        if entry["kind"] == "label":
            entry["labels"] = noted(numbers_kept.labels_of(making.place / "labels" / key))
            continue
        run = making.run(key)
        entry["numbers"] = noted(numbers_kept.loaded(run))
        if (run / "labels.zarr").exists():
            entry["labels"] = noted(numbers_kept.labels_of(run / "labels.zarr"))
        if entry["kind"] == "sweep":
            entry["models"] = {
                path.name: noted(numbers_kept.loaded(path)) for path in (run / "models").iterdir()
            }
    made = entries.rows()
    for name, data in models_of():
        path = making.place / "models" / name
        entry = {"kind": "model", "state": "finished", "data": making.path(f"{data}.zarr")}
        entry["numbers"] = noted(numbers_kept.loaded(path))
        entry["labels"] = noted({"labels": numbers_kept.predicted(path, made[data])})
        making.known[f"model-{name}"] = entry | {"path": making.path(f"models/{name}")}
    return making.known, arrays


def make(folder: Path, commit: str) -> None:
    """Fill `folder`; its parent is the current folder."""
    making = Making(folder)
    for name in ("configs", "runs", "models", "labels"):
        (folder / name).mkdir(parents=True)
    in_child(lambda: entries.write_data(folder))
    done("ingest", making.path("named.csv"), making.path("named.zarr"), "--quiet")
    make_stages(making)
    make_runs(making)
    make_extended(making)
    make_sweeps(making)
    make_labels(making)
    in_child(lambda: make_models(making))
    found = inspected(making.run("full"))
    with tempfile.TemporaryDirectory() as other:
        shutil.copytree(folder, Path(other) / folder.name, symlinks=True)
        os.chdir(other)
        finish_all(making)
        known, arrays = pickle.loads(in_child(lambda: expectations(making)))
        os.chdir(folder.parent)
    told = {
        "emdist": found["versions"]["emdist"],
        "commit": commit,
        "versions": found["versions"],
        "cpu_mark": numbers_kept.mark(),
        "entries": known,
    }
    (folder / "expected.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    in_child(lambda: numbers_kept.save(folder / "expected.npz", arrays))
    print(f"\n{len(known)} entries of emdist {told['emdist']}")


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="to be made; its name is that of the version")
    parser.add_argument("--commit", default="", help="of the sources of the emdist installed")
    given = parser.parse_args()
    folder = given.folder.resolve()
    if folder.exists():
        raise SystemExit(f"{folder} is there already")
    if not HERE.exists():
        raise SystemExit(f"{HERE} is not there: what is kept is made on Linux")
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.chdir(folder.parent)
    commands.prepare()
    make(folder, given.commit)


if __name__ == "__main__":
    sys.exit(main())
