"""What is spoilt, and what is then done with it: one maker of cases for each kind of file."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import dask.array  # noqa: F401  libraries import it when they meet data
import numpy as np
import yaml
import zarr
from safetensors.numpy import load, save
from zarr.codecs import ZstdCodec

import emdist
from emdist.composition.model import make_model
from emdist.ingest import ingest
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.settings.config import DataSection, make_config
from emdist.settings.file import read_config
from emdist.store.places.location import Location
from emdist.store.runs.sealed import Seal, document
from tests.hostile.spoilt_files import garbled, spoilt, text_of

#: What a target is: given a folder for what is good, a function of random numbers and a folder
#: that spoils a copy, uses it, and says what came of it.
Case: TypeAlias = Callable[[random.Random, Path], str]

#: Models whose files are spoilt: name, and options.
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("kmeans", {}),
    ("kmedians", {}),
    ("kcentroids", {}),
    ("full", {}),
    ("tied", {}),
    ("diagonal", {}),
    ("spherical", {}),
    ("isotropic", {}),
    ("bernoulli", {}),
    ("poisson", {}),
    ("multinomial", {}),
    ("binomial", {"trials": 3}),
    ("categorical", {"categories": 3}),
    ("variational_full", {}),
    ("product", {"groups": [{"columns": [0], "family": "diagonal"},
                            {"columns": [1, 2], "family": "poisson"}]}),
]  # fmt: skip


def rows(n: int = 60, d: int = 3) -> Any:
    """Bits, which are in every family's domain."""
    return np.random.default_rng(5).integers(0, 2, (n, d)).astype("float32")


def store(path: Path, **more: Any) -> None:
    """`rows`, in six chunks."""
    settings: dict[str, Any] = {"chunks": (10, 3), "compressors": ZstdCodec(level=1, checksum=True)}
    x = rows()
    array = zarr.create_array(path, shape=x.shape, dtype=x.dtype, **settings | more)
    array[:] = x


def configuration(folder: Path, model: str = "kmeans", **options: Any) -> dict[str, Any]:
    return {
        "data": {"path": str(folder / "x.zarr"), "block_size": "240 B"},
        "model": {"name": model, "n_components": 2, "options": options},
        "fit": {"max_iter": 3, "seed": 1},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"folder": str(folder / "runs"), "key": "r", "checkpoint_iterations": 1},
        "labels": {"outputs": ["labels", "score"]},
    }


def finish(values: dict[str, Any]) -> Any:
    with open_job(make_config(values)) as job:
        return job.complete() if isinstance(job, Job) else job


# ---- configurations


def _tamed(config: Any) -> Any:
    """Patience is not what is tested: a run of 1e18 iterations may take its time."""
    fit = config.fit.model_copy(
        update={"max_iter": min(config.fit.max_iter or 3, 3), "n_init": min(config.fit.n_init, 2)}
    )
    return config.model_copy(update={"fit": fit})


def _bomb(rng: random.Random) -> str:
    kind = rng.randrange(6)
    if kind == 0:  # billion laughs
        lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
        lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
        return "\n".join([*lines, "data: {path: x}", "model: {options: {reg_covar: *a11}}"])
    if kind == 1:  # the same, by merging
        lines = ["a0: &a0 {x: 1}"]
        lines += [
            f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}], y{i}: 1}}" for i in range(1, 12)
        ]
        return "\n".join([*lines, "data: {path: x}", "model: *a11"])
    if kind == 2:
        return "data: &a {path: x, storage_options: {a: *a}}"
    if kind == 3:
        return "data: " + "[" * rng.choice([100, 3000, 100_000])
    if kind == 4:
        return "fit: {seed: " + "9" * rng.choice([30, 5000, 100_000]) + "}\ndata: {path: x}"
    return rng.choice([
        "data: !!python/object/apply:os.system ['touch CANARY']",
        "data: !!python/name:os.system",
        "data: 2001-99-99",
        "? [a, b]\n: 1",
        "? {a: b}\n: 1",
        "data: {path: x, 1: 2, null: 3, 2.5: 1}",
        "data: {path: !!binary 'AAAA'}",
        "data: {path: x}\nmodel: {options: {1: 2}}",
        "data: {path: x}\ncluster: {kind: threads, 3: 2}",
        "data: {path: x}\nfit: {tol: .nan, seed: 0x_}",
        "--- a\n--- b",
        "%YAML 9.9\n---\ndata: {path: x}",
        "data: {path: 1:20:30:99999999999999999999}",
        "\x00data: {path: x}",
        "\ufeffdata: {path: x}",
    ])  # fmt: skip


def config(good: Path) -> Case:
    good.mkdir(parents=True, exist_ok=True)
    if not (good / "x.zarr").exists():
        store(good / "x.zarr")

    def case(rng: random.Random, folder: Path) -> str:
        file = folder / "c.yaml"
        name, options = rng.choice(MODELS)
        values = configuration(good, name, **options)
        values["run"]["folder"] = str(folder / "runs")
        values["cluster"] = rng.choice([
            values["cluster"],
            {"kind": "local", "n_workers": 1, "memory_limit": "1 GB"},
            {"kind": "address", "address": "tcp://127.0.0.1:1", "timeout": 0.1},
            {"kind": "by_class", "cluster_class": "dask.distributed.LocalCluster", "scale": 1},
        ])  # fmt: skip
        values["model"] |= {"assignment": "soft", "weights": "free", "noise": None}
        values["fit"] |= {"init": None, "schedule": "batch", "schedule_options": {}, "tol": 0.1,
                          "n_init": 1, "sample_rows": None, "on_collapse": "drop"}  # fmt: skip
        kind = rng.randrange(10)
        if kind == 0:
            file.write_text(_bomb(rng), encoding="utf-8")
        elif kind == 1:
            file.write_bytes(garbled(yaml.safe_dump(values).encode(), rng))
        else:
            file.write_text(text_of(spoilt(values, rng)), encoding="utf-8")  # JSON is YAML
        checked = _tamed(read_config(file))
        checked.identity()
        make_model(checked.model)
        _cluster_of(checked)
        if checked.cluster.kind != "threads":
            return "checked"
        with open_job(checked) as job:
            if isinstance(job, Job):
                job.complete()
        return "fitted"

    return case


def _cluster_of(checked: Any) -> None:
    """The cluster as far as it is no cluster yet: no process is started, no port is reached."""
    from emdist.inputs.plugins import plugin
    from emdist.inputs.validation import checked_options
    from emdist.settings.config import CLUSTERS

    if checked.cluster.kind != "threads":
        cls = plugin(CLUSTERS, "cluster", checked.cluster.kind)
        checked_options(cls, checked.cluster.options, "cluster")


# ---- models, checkpoints, run folders


def _resealed(folder: Path, arrays: dict[str, Any], meta: Any, document_name: str) -> None:
    """State and manifest that vouch for each other, whatever they hold."""
    state = next(folder.glob("*.safetensors"))
    data = bytes(save(arrays, {"emdist": text_of(meta)}))
    state.write_bytes(data)
    manifest = json.loads((folder / document_name).read_text())
    manifest["files"] = {state.name: [Seal.of(data).entry()]}
    (folder / document_name).write_bytes(document(manifest))


def _header_spoilt(data: bytes, rng: random.Random) -> bytes:
    """A safetensors file with a header that lies."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    text = text_of(spoilt(header, rng)).encode("utf-8", "surrogatepass")
    size = rng.choice([len(text)] * 6 + [0, 2**63 - 1, 2**64 - 1, len(text) + 5])
    return size.to_bytes(8, "little") + text + data[8 + int.from_bytes(data[:8], "little") :]


def _spoil_state(folder: Path, document_name: str, rng: random.Random) -> None:
    """Spoil arrays, JSON, header or bytes of a sealed state, and seal it again."""
    state = next(folder.glob("*.safetensors"))
    data = state.read_bytes()
    kind = rng.randrange(8)
    if kind < 2:
        data = garbled(data, rng) if kind else _header_spoilt(data, rng)
        state.write_bytes(data)
        manifest = json.loads((folder / document_name).read_text())
        manifest["files"] = {state.name: [Seal.of(data).entry()]}
        (folder / document_name).write_bytes(document(manifest))
        return
    arrays = dict(load(data))
    size = int.from_bytes(data[:8], "little")
    meta = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["emdist"])
    if kind < 5:
        meta = spoilt(meta, rng)
    if kind > 3:
        for _ in range(rng.randint(1, 3)):
            _spoil_array(arrays, rng)
    _resealed(folder, arrays, meta, document_name)


def _spoil_array(arrays: dict[str, Any], rng: random.Random) -> None:
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    kind = rng.randrange(9)
    if kind == 0:
        del arrays[name]
        arrays.setdefault("nothing", np.zeros(1))
    elif kind == 1:
        arrays[name] = array.astype(rng.choice(["f4", "i8", "u1", "f2", "?", "i4"]))
    elif kind == 2:
        arrays[name] = np.resize(
            array, rng.choice([(0,), (1,), (1000,), (2, 2), (3, 2, 3), (1, 0)])
        )
    elif kind == 3:
        arrays[name] = np.concatenate([np.atleast_1d(array)] * 2)
    elif kind == 4:
        arrays[name] = np.atleast_1d(array)[: rng.randrange(3)]
    elif kind == 5:
        arrays[name] = array.T.copy()
    elif kind == 6:
        arrays[name] = arrays[rng.choice(sorted(arrays))]
    elif array.size and array.dtype.kind == "f":
        array = array.copy()
        bad = [np.nan, np.inf, -np.inf, 1e300, -1e300, -1.0, 0.0, 1e-320]
        array.flat[rng.randrange(array.size)] = rng.choice(bad)
        arrays[name] = array
    elif array.size:
        arrays[name] = np.full_like(array, rng.choice([0, 1, np.iinfo("i1").max]))


def _finished_runs(good: Path) -> None:
    if (good / "done").exists():
        return
    good.mkdir(parents=True, exist_ok=True)
    store(good / "x.zarr")
    for name, options in MODELS:
        finish(configuration(good / "at", name, **options) | _at(good, name))
    (good / "done").touch()


def _at(good: Path, name: str) -> dict[str, Any]:
    return {
        "data": {"path": str(good / "x.zarr"), "block_size": "240 B"},
        "run": {"folder": str(good / "runs"), "key": name, "checkpoint_iterations": 1},
    }


def model(good: Path) -> Case:
    _finished_runs(good)

    def case(rng: random.Random, folder: Path) -> str:
        name, _ = rng.choice(MODELS)
        own = folder / "model"
        shutil.copytree(good / "runs" / name / "final", own)
        if rng.randrange(8):
            _spoil_state(own, "model.json", rng)
        else:
            text = text_of(spoilt(json.loads((own / "model.json").read_text()), rng))
            (own / "model.json").write_text(text, encoding="utf-8", errors="surrogatepass")
        told = _each(
            lambda: inspect(Location(str(own))),
            lambda: emdist.load(own).predict(rows()),
            lambda: emdist.load(own).score(rows()),
            lambda: label_data(
                Location(str(own)),
                DataSection(path=str(good / "x.zarr"), block_size="240 B"),
                Location(str(folder / "out")),
            ),
        )
        return " ".join(told)

    return case


def _each(*calls: Callable[[], Any]) -> list[str]:
    """Every call made; the first error, once all are: no call hides what another would do."""
    first: Exception | None = None
    told = []
    for call in calls:
        try:
            call()
            told.append("ok")
        except emdist.errors.EmdistError as error:
            first = first or error
    if first is not None:
        raise first
    return told


def _run_copy(good: Path, folder: Path, name: str) -> dict[str, Any]:
    shutil.copytree(good / "runs" / name, folder / "runs" / name)
    values = configuration(good / "at", name, **dict(MODELS)[name]) | _at(good, name)
    values["run"] = {**values["run"], "folder": str(folder / "runs")}
    return values


def checkpoint(good: Path) -> Case:
    _finished_runs(good)

    def case(rng: random.Random, folder: Path) -> str:
        name, _ = rng.choice(MODELS)
        values = _run_copy(good, folder, name)
        run = folder / "runs" / name
        for gone in ("final", "labels.zarr"):
            shutil.rmtree(run / gone)
        kept = sorted((run / "ckpt").iterdir())
        # Resumed in the middle, and at the end.
        chosen = rng.choice(kept)
        for other in kept:
            if other != chosen:
                shutil.rmtree(other)
        survey = next((run / "survey").iterdir())
        _spoil_state(rng.choice([chosen, chosen, survey]), "manifest.json", rng)
        told = _each(lambda: inspect(Location(str(run))), lambda: finish(values))
        return " ".join(told)

    return case


def record(good: Path) -> Case:
    _finished_runs(good)

    def case(rng: random.Random, folder: Path) -> str:
        name, _ = rng.choice(MODELS)
        values = _run_copy(good, folder, name)
        run = folder / "runs" / name
        ckpt = sorted((run / "ckpt").iterdir())[-1]
        file = rng.choice([
            run / "run.json", run / "run.json", run / "summary.json", run / "final/model.json",
            ckpt / "manifest.json", next((run / "owners").iterdir()),
        ])  # fmt: skip
        if rng.randrange(4):
            text = text_of(spoilt(json.loads(file.read_text()), rng))
            if rng.randrange(10) == 0:
                text = rng.choice(
                    ["[]", "1", "null", '"x"', "[" * 100_000 + "]" * 100_000, "{}", ""]
                )
            file.write_text(text, encoding="utf-8", errors="surrogatepass")
        elif rng.randrange(3):
            file.write_bytes(garbled(file.read_bytes(), rng))
        else:
            _replaced(file, folder, rng)
        told = _each(
            lambda: inspect(Location(str(run))),
            lambda: finish(values),
            lambda: emdist.load(run),
        )
        return " ".join(told)

    return case


def _replaced(path: Path, folder: Path, rng: random.Random) -> None:
    """Something else where a file or a folder should be: a folder, a link out, a loop, a pipe."""
    import os

    outside = folder / "CANARY"
    outside.mkdir(exist_ok=True)
    (outside / "precious").write_text('{"format": 1}')
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    kind = rng.randrange(5)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        path.symlink_to(outside / "precious")
    elif kind == 2:
        path.symlink_to(path)
    elif kind == 3:
        path.symlink_to(outside)
    else:
        os.mkfifo(path)


# ---- Zarr


def _stores(good: Path) -> None:
    if (good / "done").exists():
        return
    good.mkdir(parents=True, exist_ok=True)
    store(good / "v3.zarr")
    store(good / "sharded.zarr", shards=(20, 3))
    store(good / "v2.zarr", zarr_format=2, compressors="auto")
    from zarr.codecs import BloscCodec, GzipCodec, TransposeCodec

    store(good / "blosc.zarr", compressors=BloscCodec())
    store(good / "gzip.zarr", compressors=GzipCodec(), filters=[TransposeCodec(order=(1, 0))])
    store(good / "plain.zarr", compressors=None)
    (good / "done").touch()


def array(good: Path) -> Case:
    _stores(good)

    def case(rng: random.Random, folder: Path) -> str:
        name = rng.choice(["v3", "sharded", "v2", "blosc", "gzip", "plain"])
        own = folder / "x.zarr"
        shutil.copytree(good / f"{name}.zarr", own)
        file = own / (".zarray" if name == "v2" else "zarr.json")
        chunks = [
            p for p in own.rglob("*") if p.is_file() and not p.name.startswith((".z", "zarr"))
        ]
        kind = rng.randrange(12)
        if kind < 7:
            tree = json.loads(file.read_text())
            text = text_of(_spoilt_metadata(tree, rng))
            file.write_text(text, encoding="utf-8", errors="surrogatepass")
        elif kind < 9:
            file.write_bytes(garbled(file.read_bytes(), rng))
        elif kind < 11:
            chunk = rng.choice(chunks)
            chunk.write_bytes(garbled(chunk.read_bytes(), rng))
        else:
            _replaced(rng.choice(chunks), folder, rng)
        missing = rng.choice(["raise", "drop", "fill"])
        data = {
            "path": str(own),
            "missing_chunks": missing,
            "block_size": rng.choice([None, "240 B"]),
        }
        values = configuration(folder) | {"data": data}

        def fitted() -> Any:
            return emdist.KMeans(2, max_iter=2, missing_chunks=missing).fit(own)

        told = _each(lambda: inspect(Location(str(own))), fitted, lambda: finish(values))
        return " ".join(told)

    return case


#: What a Zarr array may be told to be, of which only the first are right.
_SHAPES: list[Any] = [
    [60, 3], [2**62, 3], [60, 2**62], [2**31, 2**31], [0, 3], [60, 0], [-1, 3], [60], [],
    [60, 3, 1], [1.5, 3], ["60", 3], [10**30, 3], [61, 3], [600, 3],
]  # fmt: skip
_CODECS: list[Any] = [
    {"name": "nothing", "configuration": {}},
    {"name": "bytes"},
    {"name": "numcodecs.pickle", "configuration": {"protocol": 5}},
    {"name": "numcodecs.json2", "configuration": {}},
    {"name": "vlen-utf8"},
    {"name": "crc32c"},
    {"name": "zstd", "configuration": {"level": 10**9, "checksum": True}},
    {"name": "transpose", "configuration": {"order": [1, 1]}},
    {"name": "sharding_indexed", "configuration": {
        "chunk_shape": [1, 1], "codecs": [{"name": "sharding_indexed", "configuration": {
            "chunk_shape": [1, 1], "codecs": [{"name": "bytes"}], "index_codecs":
            [{"name": "bytes", "configuration": {"endian": "little"}}]}}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}},
]  # fmt: skip
_TYPES: list[Any] = [
    "float64", "int8", "bool", "complex128", "string", "object", "r8", "r99999999999", "float16",
    "numpy.datetime64", {"name": "numpy.datetime64", "configuration": {"unit": "s"}}, "|O", ">f8",
    "<U1000000000", {"name": "fixed_length_utf32", "configuration": {"length_bytes": 2**40}},
]  # fmt: skip


def _spoilt_metadata(tree: Any, rng: random.Random) -> Any:
    v2 = tree.get("zarr_format") == 2
    kind = rng.randrange(7)
    if kind == 0:
        tree["shape"] = rng.choice(_SHAPES)
    elif kind == 1:
        chunks = rng.choice([*_SHAPES, [0, 0], [1, 1], [60, 3], [2**62, 2**62], [2**40, 3], [7, 2]])
        if v2:
            tree["chunks"] = chunks
        else:
            tree["chunk_grid"]["configuration"]["chunk_shape"] = chunks
            if rng.randrange(2):
                tree["shape"] = rng.choice(_SHAPES)
    elif kind == 2:
        if v2:
            tree["dtype"] = rng.choice(_TYPES)
        else:
            tree["data_type"] = rng.choice(_TYPES)
    elif kind == 3:
        fills = [None, "NaN", "0xff", 1e400, 10**30, "x", [0], {}, True, -1, "Infinity", 2**63]
        tree["fill_value"] = rng.choice(fills)
    elif kind == 4 and not v2:
        tree["codecs"] = rng.sample([*tree["codecs"], *_CODECS], rng.randint(0, 3))
    elif kind == 5 and v2:
        tree["filters"] = rng.choice([
            [{"id": "pickle", "protocol": 5}], [{"id": "nothing"}], [{}], "x",
            [{"id": "json2"}], [{"id": "delta", "dtype": "|O"}], [{"id": "fixedscaleoffset"}],
        ])  # fmt: skip
    else:
        return spoilt(tree, rng)
    return tree


# ---- labels


def labels(good: Path) -> Case:
    _finished_runs(good)

    def case(rng: random.Random, folder: Path) -> str:
        name, _ = rng.choice(MODELS[:4])
        values = _run_copy(good, folder, name)
        own = folder / "runs" / name / "labels.zarr"
        data = DataSection(path=str(good / "x.zarr"), block_size="240 B")
        model_at = Location(str(good / "runs" / name))
        # As `emdist label` left it, which goes on there.
        out = folder / "out"
        label_data(model_at, data, Location(str(out)), outputs=("labels", "score"))
        target = rng.choice([own, out])
        every = [p for p in sorted(target.rglob("*")) if p.is_file()]
        files = [p for p in every if p.name == "zarr.json"] * 3 + every
        file = rng.choice(files)
        kind = rng.randrange(10)
        if kind < 6 and file.name == "zarr.json":
            tree = json.loads(file.read_text())
            if tree["node_type"] == "array" and rng.randrange(2):
                tree = _spoilt_metadata(tree, rng)
            else:
                tree = spoilt(tree, rng)
            file.write_text(text_of(tree), encoding="utf-8", errors="surrogatepass")
        elif kind < 8:
            file.write_bytes(garbled(file.read_bytes(), rng))
        else:
            _replaced(rng.choice([file, file.parent]), folder, rng)
        told = _each(
            lambda: inspect(Location(str(target))),
            lambda: finish(values),
            lambda: label_data(model_at, data, Location(str(out)), outputs=("labels", "score")),
        )
        return " ".join(told)

    return case


# ---- sources of an ingest


def _sources(good: Path) -> None:
    if (good / "done").exists():
        return
    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    good.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(5).normal(size=(60, 3))
    np.save(good / "x.npy", x)
    np.save(good / "f.npy", np.asfortranarray(x))
    np.savez_compressed(good / "x.npz", x=x)
    np.savez(good / "f.npz", x=np.asfortranarray(x), y=x[0])
    text = "a,b,c\n" + "".join(",".join(map(str, row)) + "\n" for row in x)
    (good / "x.csv").write_text(text)
    (good / "x.csv.gz").write_bytes(gzip.compress(text.encode()))
    table = pyarrow.table({"a": x[:, 0], "b": np.arange(60), "e": [[1.5, 2.5]] * 60})
    pyarrow.parquet.write_table(table, good / "x.parquet")
    pyarrow.parquet.write_table(
        table, good / "v2.parquet", data_page_version="2.0", compression="zstd", row_group_size=25
    )
    pixels = np.arange(3 * 400, dtype=np.uint8).reshape(20, 20, 3)
    for name in ("x.png", "x.jpg", "x.tif", "x.bmp"):
        Image.fromarray(pixels).save(good / name)
    Image.fromarray(pixels).save(good / "lzw.tif", compression="tiff_lzw")
    Image.fromarray(pixels).quantize(9).save(good / "p.png")
    (good / "done").touch()
    for path in sorted(good.glob("*.*")):  # imports what reads them
        ingest(path, good / "zarr" / f"{path.name}.zarr")


def source(good: Path) -> Case:
    _sources(good)

    def case(rng: random.Random, folder: Path) -> str:
        tempfile.tempdir = str(folder)
        path = rng.choice(sorted(good.glob("*.*")))
        own = folder / path.name
        own.write_bytes(garbled(path.read_bytes(), rng))
        told = _each(lambda: ingest(own, folder / "out"))
        assert not list(folder.glob("emdist-*")), "something was left behind"
        return " ".join(told)

    return case


TARGETS: dict[str, Callable[[Path], Case]] = {
    "config": config,
    "model": model,
    "checkpoint": checkpoint,
    "record": record,
    "array": array,
    "labels": labels,
    "source": source,
}
