"""Every command does what its help says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

import emdist as package
from emdist.errors import EmdistError
from tests.support.command_line import Command, process

COMMANDS = ["ingest", "plan", "fit", "sweep", "label", "inspect", "compress"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, emdist: Command) -> None:
    answer = emdist(*command.split(), "--help")
    assert answer.code == 0
    assert "Usage: emdist" in answer.out
    shown = " ".join(answer.out.split())
    for code in _exit_codes(EmdistError):
        assert f" {code} " in shown, "an exit code of an error that the help does not mention"
    if not command:
        assert all(name in shown for name in COMMANDS)


def _exit_codes(root: type[EmdistError]) -> set[int]:
    return {root.exit_code}.union(*(_exit_codes(sub) for sub in root.__subclasses__()))


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; from emdist.cli.application import app\n"
        "heavy = {'zarr', 'dask', 'distributed', 'sklearn', 'prefect', 'pyarrow'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def test_version(emdist: Command) -> None:
    answer = emdist("--version")
    assert answer.code == 0
    assert answer.out.startswith(f"emdist {package.__version__} ")
    assert f"numpy {np.__version__}" in answer.out


def test_no_command_shows_the_help(emdist: Command) -> None:
    assert "Usage: emdist" in emdist().out


@pytest.mark.newest
@pytest.mark.newest_short
def test_from_a_file_to_labels(emdist: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)) + np.repeat([[0, 0], [20, 0]], 100, axis=0)
    np.save("x.npy", x)
    assert emdist("ingest", "x.npy", "x.zarr").code == 0
    fitted = emdist("fit", "x.zarr", "-k", 2, "--run", "runs/a", "-m", "full")
    assert fitted.code == 0
    assert "log-likelihood per row" in fitted.out
    labels = zarr.open_array("runs/a/labels.zarr/labels", mode="r")[:]
    assert len(set(labels[:100])) == len(set(labels[100:])) == 1
    answer = emdist("label", "runs/a", "x.zarr", "new.zarr", "-o", "labels", "-o", "score")
    assert answer.code == 0
    assert np.array_equal(zarr.open_array("new.zarr/labels", mode="r")[:], labels)
    wanted = package.load("runs/a").score_samples(x)
    assert np.allclose(zarr.open_array("new.zarr/score", mode="r")[:], wanted, rtol=1e-6)
    for path, kind in (
        ("x.zarr", "array"),
        ("runs/a", "run"),
        ("runs/a/final", "model"),
        ("new.zarr", "labels"),
    ):
        shown = emdist("inspect", path)
        assert shown.code == 0
        assert f"| kind | {kind} |" in shown.out
        assert json.loads(emdist("inspect", path, "--json").out)["kind"] == kind
    assert emdist("inspect", "new.zarr", "--verify").code == 0
    (tmp_path / "new.zarr/labels/c/0").write_bytes(b"torn")
    assert emdist("inspect", "new.zarr").code == 0
    answer = emdist("inspect", "new.zarr", "--verify", "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["blocks_damaged"] == [0]


def test_labels_follow_the_run_s_policies_and_are_complete_only_at_the_end(
    emdist: Command, data: Path
) -> None:
    zarr.open_array(data, mode="r+")[[3, 250], 1] = np.nan
    blocks = ("--set", "data.block_size=2400 B")
    fitted = emdist(*("fit", data, "-k", 2, "--run", "r", "--set", "data.non_finite=drop", *blocks))
    assert fitted.code == 0
    answer = emdist("label", "r", data, "l.zarr")
    assert answer.code == 0
    assert f" to {Path('l.zarr').absolute()} (non_finite: drop)" in answer.err
    assert "| left out | 2 rows, by policy |" in answer.out
    labels = zarr.open_array("l.zarr/labels", mode="r")[:]
    assert np.flatnonzero(labels == -1).tolist() == [3, 250]
    counts = emdist("label", "r", data, "l.zarr", "--json").lines[-1]["components"]
    assert counts == [int((labels == k).sum()) for k in range(2)]
    assert all(isinstance(count, int) for count in counts)
    assert emdist("label", "r", data, "s.zarr", "--set", "data.non_finite=raise").code == 3
    assert emdist("inspect", "s.zarr").code == 0
    answer = emdist("inspect", "s.zarr", "--verify")
    assert answer.code == 1
    assert "| complete | no |" in answer.out
    assert "To complete them, start the same `emdist fit` or `emdist label` again" in answer.err


def test_what_the_fit_says_in_a_log(emdist: Command, data: Path) -> None:
    answer = emdist("fit", data, "-k", 3, "--run", "r")
    assert answer.err.splitlines()[:4] == [
        f"starting: kmeans (default), 3 components, init k-means++ (default); {data}: 300 rows x 2 "
        "float64 in 1 block",
        "keeping decoded rows in memory between passes: all 1 MiB. To use less, pass "
        "--set cluster.cache='off'",
        "surveying all rows in one pass",
        "fitting",
    ]
    assert "iteration 1: objective" in answer.err
    assert "checkpoint after" in answer.err
    assert "\x1b" not in answer.err + answer.out
    assert f"| run folder | {data.parent / 'r'} |" in answer.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fit"], "kmeans (default), 8 components (default), init k-means++ (default); "),
        (["fit", "-m", "full"], "full, 8 components (default), init kmeans (default); "),
        (["fit", "-k", 2, "--init", "random"], "kmeans (default), 2 components, init random; "),
        (["fit", "-m", "full", "-k", 2, "--set", "model.noise=true"],
         "full, 2 components, init cleaned (default); "),
        (["fit", "-f", "c.yaml"], "kmeans, 8 components (default), init k-means++ (default); "),
        (["fit", "-f", "c.yaml", "--set", "fit.start=s.npz", "-k", 2],
         "kmeans, 2 components, starting values from s.npz; "),
        (["sweep", "-k", "2,3", "--criterion", "calinski_harabasz"],
         "2 models, kmeans (default), best by calinski_harabasz, init k-means++ (default); "),
        (["sweep", "-k", "2,3", "-m", "full"],
         "2 models, full, best by bic (default), init kmeans (default); "),
        (["sweep", "-k", "2..4", "-m", "full", "-m", "diagonal", "--criterion", "aic"],
         "6 models, full and diagonal, best by aic, init kmeans (default); "),
    ],
)  # fmt: skip
def test_the_first_line_says_what_a_default_decided(
    arguments: list[object], line: str, emdist: Command, data: Path
) -> None:
    Path("c.yaml").write_text("model: {name: kmeans}\n")
    np.savez("s.npz", means=[[0.0, 0.0], [9.0, 9.0]])
    command, *rest = arguments
    answer = emdist(command, data, *rest, "--no-labels")
    assert answer.code == 0, answer.err
    assert answer.err.splitlines()[0] == (
        f"starting: {line}{data}: 300 rows x 2 float64 in 1 block"
    )


@pytest.mark.parametrize("command", ["ingest", "fit", "label"])
def test_quiet_prints_only_where_the_result_is(
    command: str, emdist: Command, data: Path, tmp_path: Path
) -> None:
    emdist("fit", data, "-k", 3, "--run", "before")
    np.save("a.npy", np.eye(3))
    arguments = {
        "ingest": ["a.npy", "a.zarr"],
        "fit": [data, "-k", 3, "--run", "r"],
        "label": ["before", data, "l.zarr"],
    }[command]
    answer = emdist(command, *arguments, "--quiet")
    place = {"ingest": "a.zarr", "fit": "r", "label": "l.zarr"}[command]
    assert (answer.code, answer.out, answer.err) == (0, f"{tmp_path / place}\n", "")


def test_json_lines_end_with_the_result(emdist: Command, data: Path) -> None:
    answer = emdist("fit", data, "-k", 3, "--run", "r", "--json", "--set", "data.block_size=1 kB")
    assert answer.err == ""
    events = [line["event"] for line in answer.lines]
    assert events[0] == "began"
    assert events[-1] == "result"
    assert events.count("result") == 1
    assert {"planned", "progress", "iterated", "saved"} <= set(events)
    result = answer.lines[-1]
    model = {"name": "kmeans", "components": 3, "objective": "inertia"}
    assert result["model"] == {**model, "schedule": "batch (chosen)"}
    assert result["data"]["rows"] == 300
    assert sum(c["labelled"] for c in result["components"]) == 300
    again = emdist("fit", data, "-k", 3, "--run", "r", "--json", "--set", "data.block_size=1 kB")
    assert again.lines == [result]
    labelled = emdist("label", "r", data, "l.zarr", "--json")
    assert labelled.lines[-1]["event"] == "result"
    assert labelled.lines[-1]["components"] == [c["labelled"] for c in result["components"]]


def test_json_is_json_when_a_component_is_dropped(emdist: Command, data: Path) -> None:
    array = zarr.create_array("c.zarr", shape=(240, 2), chunks=(240, 2), dtype="f8")
    array[:200] = np.random.default_rng(0).normal(size=(200, 2))
    array[200:] = 9.0
    np.savez("start.npz", means=[[0.0, 0.0], [9.0, 9.0]])
    answer = emdist(
        *("fit", "c.zarr", "-m", "full", "-k", 2, "--json", "--set", "fit.start=start.npz"),
        *("--set", "fit.on_collapse=drop", "--set", "model.options.reg_covar=0"),
    )
    assert answer.code == 0
    assert "NaN" not in answer.out
    assert any(line.get("record", {}).get("dropped") for line in answer.lines)
    assert len(answer.lines[-1]["components"]) == 1


def test_an_error_as_json(emdist: Command) -> None:
    answer = emdist("fit", "nowhere.zarr", "--json")
    assert (answer.code, answer.err) == (3, "")
    assert answer.lines[-1]["event"] == "error"
    assert answer.lines[-1]["exit_code"] == 3
    assert "nowhere.zarr" in answer.lines[-1]["message"]


@pytest.mark.newest
def test_a_finished_run_is_not_done_again(emdist: Command, data: Path) -> None:
    first = emdist("fit", data, "-k", 3)
    again = emdist("fit", data, "-k", 3)
    assert (first.code, again.code) == (0, 0)
    assert "| status | already complete, nothing was computed |" in again.out
    assert "iteration" not in again.err
    other = emdist("fit", data, "-k", 2)
    assert "already complete" not in other.out


def test_inspect_and_a_second_start_show_the_clusters_again(emdist: Command, data: Path) -> None:
    first = emdist("fit", data, "-k", 3, "--run", "r")
    table = first.out[first.out.index("| component |") :]
    for again in (emdist("fit", data, "-k", 3, "--run", "r"), emdist("inspect", "r")):
        assert again.out.endswith(table)
    assert json.loads(emdist("inspect", "r", "--json").out)["summary"]["components"]
    emdist("sweep", data, "-k", "2..3", "--run", "s")
    models = emdist("inspect", "s")
    assert "| kmeans-2 | 2 |" in models.out
    assert "config.model.n_components" not in models.out, "a sweep has its own"


def test_inspect_shows_all_settings_when_asked(emdist: Command, data: Path) -> None:
    emdist("fit", data, "-k", 3, "--run", "r", "--set", "fit.max_iter=7")
    full = emdist("inspect", "r", "--full").out
    assert "| config.fit.max_iter | 7 |" in full
    assert "| config.fit.tol | default: 1e-3 for mixtures, 1e-4 for centres" in full
    assert "| config.data.non_finite | raise |" in full
    assert "config.fit.tol" not in emdist("inspect", "r").out


def test_options_stand_over_the_file_and_settings_over_both(emdist: Command, data: Path) -> None:
    Path("c.yaml").write_text(
        f"data: {{path: {data}}}\nmodel: {{n_components: 2, name: full}}\nfit: {{seed: 5}}\n"
        "run: {folder: r, key: a}\nlabels: {write: false}\n"
    )
    answer = emdist("fit", "-f", "c.yaml", "-k", 3, "--seed", 6, "--set", "fit.seed=7", "--json")
    assert answer.code == 0, answer.err
    config = json.loads(emdist("inspect", "r/a", "--json").out)["config"]
    assert config["model"]["name"] == "full"
    assert config["model"]["n_components"] == 3
    assert config["fit"]["seed"] == 7
    assert answer.lines[-1]["labels"] is None


def test_no_labels(emdist: Command, data: Path) -> None:
    answer = emdist("fit", data, "-k", 3, "--run", "r", "--no-labels")
    assert "| labels | not written |" in answer.out
    assert not Path("r/labels.zarr").exists()


def test_labels_elsewhere(emdist: Command, data: Path) -> None:
    assert emdist("fit", data, "-k", 3, "--run", "r", "--labels", "there.zarr").code == 0
    assert zarr.open_array("there.zarr/labels", mode="r").shape == (300,)


def test_fit_and_label_show_the_same_figure(emdist: Command) -> None:
    x = np.random.default_rng(0).normal(size=(600, 2)) + np.repeat([[0], [2], [4]], 200, 0)
    zarr.create_array("near.zarr", shape=x.shape, chunks=(100, 2), dtype="f8")[:] = x
    for name, model in (("log-likelihood per row", "full"), ("inertia", "kmeans")):
        run = f"runs/{model}"
        fit = emdist("fit", "near.zarr", "-m", model, "-k", 3, "--run", run, "--max-iter", 2)
        label = emdist("label", run, "near.zarr", f"{model}.zarr")
        figures = [re.search(rf"\| {name} \| (\S+) \|", one.out) for one in (fit, label)]
        first, second = (float(one[1]) for one in figures if one is not None)
        assert first == pytest.approx(second, rel=1e-9)


def test_weights(emdist: Command, data: Path) -> None:
    weights = zarr.create_array("w.zarr", shape=(300,), chunks=(100,), dtype="f8")
    weights[:] = np.repeat([0.5, 1.0, 2.0], 100)
    answer = emdist("fit", data, "-k", 2, "--weights", "w.zarr", "--json")
    assert sorted(c["labelled"] for c in answer.lines[-1]["components"]) == [149.5, 200.5]
    run = answer.lines[-1]["run"]
    for command in (
        ("inspect", run), ("label", run, data, "l.zarr", "--set", "data.weights=w.zarr"),
    ):  # fmt: skip
        page = emdist(*command).out
        assert "| weight labelled" in page
        assert "| 200.5" in page
        assert "rows labelled" not in page
    plain = emdist("label", run, data, "plain.zarr").out
    assert "| rows labelled" in plain
    assert "200.5" not in plain


def test_an_array_in_a_group(emdist: Command, data: Path) -> None:
    group = zarr.open_group("g.zarr", mode="w")
    group.create_array("a", shape=(4, 2), chunks=(2, 2), dtype="f4")[:] = np.eye(4)[:, :2] + 1
    assert json.loads(emdist("inspect", "g.zarr", "--array", "a", "--json").out)["shape"] == [4, 2]
    assert emdist("fit", "g.zarr", "-k", 2, "--set", "data.array=a").code == 0
    assert emdist("fit", "g.zarr", "-k", 2).code == 0, "the only one is taken"
    group.create_array("b", shape=(4, 3), chunks=(2, 3), dtype="f4")
    refused = emdist("fit", "g.zarr", "-k", 2)
    assert refused.code == 2
    assert "a (dim_0 4, dim_1 2), b (dim_0 4, dim_1 3). Say which of them" in refused.err


@pytest.mark.long
@pytest.mark.newest
@pytest.mark.newest_short
def test_one_worker_gives_the_bits_of_threads(emdist: Command, data: Path) -> None:
    emdist("fit", data, "-k", 3, "--run", "threads")
    running = process("fit", data, "-k", "3", "--run", "dask", "--workers", 1, cwd=data.parent)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    model = Path("final/model.safetensors")
    assert ("threads" / model).read_bytes() == ("dask" / model).read_bytes()
    assert "Scheduler at" not in err, "Dask's own log"
    assert err.splitlines()[-1] == "labelling"
    assert out.startswith("| |")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "-k", "2-8"], "emdist sweep DATA -k 2..8"),
        (["fit", "-k", "2..8"], "emdist sweep DATA -k 2..8"),
        (["sweep", "-k", "2-8"], "-k: '2-8' is not a number; write 2..8 for a range"),
        (["fit", "-k", "0"], "-k: expected at least 1, got 0"),
        (["fit", "-k", "2", "--n-init", "0"], "--n-init: expected at least 1"),
        (["fit", "-k", "2", "--max-iter", "0"], "--max-iter: expected at least 1"),
        (["fit", "-k", "2", "--tol", "-1"], "--tol: expected at least 0"),
        (["fit", "-k", "2", "--tol", "inf"], "--tol: expected a finite number"),
        (["fit", "-k", "2", "--init", "kmean"], "--init: 'kmean' is not known"),
        (["fit", "-k", "2", "-m", "fulll"], "--model: 'fulll' is not known"),
        (["sweep", "-k", "0,1"], "-k: expected at least 1"),
        (["fit", "-k", "2", "--set", "fit.n_init=0"], "fit.n_init: expected at least 1"),
        (
            ["fit", "-k", "2", "--n-init", "3", "--set", "fit.n_init=0"],
            "fit.n_init: expected at least 1",
        ),
    ],
)
def test_messages_speak_of_the_options_that_were_given(
    arguments: list[str], words: str, emdist: Command, data: Path
) -> None:
    command, *rest = arguments
    answer = emdist(command, data, *rest)
    assert answer.code == 2
    shown = " ".join(answer.err.replace("│", " ").split())
    assert words in shown
    if "--set" not in rest:
        assert "fit." not in shown
        assert "n_components" not in shown


@pytest.mark.parametrize("name", ["diag", "diagonal"])
def test_both_names_of_diagonal_covariances_are_one_model(
    name: str, emdist: Command, data: Path
) -> None:
    assert emdist("fit", data, "-k", 2, "-m", name, "--run", "r", "--no-labels").code == 0
    assert json.loads(emdist("inspect", "r", "--json").out)["config"]["model"]["name"] == "diagonal"
    swept = emdist("sweep", data, "-k", "1,2", "-m", name, "-m", "full", "--no-labels", "--json")
    assert [one["name"] for one in swept.lines[-1]["models"]] == [
        "diagonal-1", "diagonal-2", "full-1", "full-2",
    ]  # fmt: skip
    x = zarr.open_array(data, mode="r")[:]
    est = package.GaussianMixture(2, covariance_type=name, random_state=0).fit(x)
    same = package.GaussianMixture(2, covariance_type="diag", random_state=0).fit(x)
    assert est.covariances_.shape == (2, 2)
    assert np.array_equal(est.covariances_, same.covariances_)
    est.save("m")
    assert package.load("m").covariance_type == name
    assert np.array_equal(package.load("m").predict(x), est.predict(x))


def test_a_zip_file_is_an_array_to_every_command(emdist: Command, data: Path) -> None:
    x = zarr.open_array(data, mode="r")[:]
    with zarr.storage.ZipStore("z.zip", mode="w") as store:
        zarr.create_group(store)
        zarr.create_array(store, name="X", shape=x.shape, chunks=(100, 2), dtype="f8")[:] = x
    found = []
    for i, where in enumerate((["z.zip"], ["z.zip/X"], [data])):
        answer = emdist("fit", *where, "-k", 2, "--run", f"run{i}")
        assert answer.code == 0, answer.err
        assert emdist("label", f"run{i}", where[0] if i != 0 else "z.zip/X", f"l{i}").code == 0
        shown = emdist("inspect", where[0] if i != 0 else "z.zip/X")
        assert "(300, 2)" in shown.out or "300" in shown.out
        found += [zarr.open_array(f"{at}/labels")[:] for at in (f"run{i}/labels.zarr", f"l{i}")]
    assert all(np.array_equal(one, found[-1]) for one in found)
    answer = emdist("label", "run0", "z.zip/X", "z.zip")
    assert answer.code != 0


def test_what_is_no_array_is_named_with_what_works(emdist: Command, data: Path) -> None:
    x = zarr.open_array(data, mode="r")[:]
    Path("c.yaml").write_text(f"data: {{path: {data}}}\n")
    answer = emdist("inspect", "c.yaml")
    assert "It is a configuration, which `emdist fit -f c.yaml` reads" in answer.err
    assert "ingest" not in answer.err
    answer = emdist("label", "c.yaml", data, "o.zarr")
    assert answer.code == 3
    assert "a model is a folder" in answer.err
    Path("notes.docx").write_text("")
    answer = emdist("fit", "notes.docx", "-k", 2)
    assert "that end in" in answer.err
    assert ".parquet" in answer.err
    group = zarr.create_group("ad.zarr").create_group("obsm")
    group.create_array("X_pca", shape=x.shape, chunks=(100, 2), dtype="f8")[:] = x
    answer = emdist("fit", "ad.zarr", "-k", 2)
    assert "Name one of its arrays: obsm/X_pca" in answer.err
    assert emdist("fit", "ad.zarr", "-k", 2, "--set", "data.array=obsm/X_pca").code == 0
    with pytest.raises(EmdistError, match="obsm/X_pca"):
        package.KMeans(2).fit("ad.zarr")
