"""A defect of emdist, or a library that has changed, is never shown as a fault of the user's data.

Each place that turns errors of libraries into errors about data meets one that no data can cause;
beside it stands real damage, which is still told as such.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from PIL import Image
from zarr.codecs import BloscCodec, ZstdCodec

import emdist.store.sources.zarr_source as source_module
from emdist.composition import make as build
from emdist.errors import (
    CheckpointError,
    ConfigError,
    CorruptChunkError,
    DataError,
    EmdistError,
    NotAnArrayError,
    StartError,
)
from emdist.fit.soundness import check_params
from emdist.ingest import ingest
from emdist.interfaces import Assigned, Block
from emdist.jobs import records as saved
from emdist.runtime.defects import REPORT, is_defect
from emdist.store.labels import place as label_place
from emdist.store.labels import progress as label_progress
from emdist.store.labels import writer as labels
from emdist.store.labels.check import is_labelled
from emdist.store.labels.creation import label_writer
from emdist.store.labels.place import label_mark
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location, open_object_store
from emdist.store.runs import sealed
from emdist.store.runs.codec import decode, encode
from emdist.store.sources.references import open_checked, reference
from emdist.store.sources.zarr_source import ZarrSource, zarr_source
from emdist.sums import Sums
from emdist.untrusted import yaml as config_file

X = np.random.default_rng(0).normal(size=(40, 3))
Raising = Callable[[str | object, str], None]
#: What a library raises that has changed.
CHANGES = [
    AttributeError("'str' object has no attribute 'value'"),
    TypeError("decode() got an unexpected keyword argument 'out'"),
    KeyError("settings"),
    ValueError("Unable to avoid copy while creating an array as requested"),
]


@pytest.fixture(params=CHANGES, ids=lambda error: type(error).__name__)
def change(request: pytest.FixtureRequest) -> Exception:
    error: Exception = request.param
    return type(error)(*error.args)


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    return fail


def met(call: Callable[[], object], error: Exception) -> None:
    """`call` raises `error` itself, and says that it is a defect and where to tell of it."""
    with pytest.raises(type(error)) as found:
        call()
    assert found.value is error
    assert not isinstance(found.value, EmdistError)
    assert any(REPORT in note for note in error.__notes__)


def stored(path: Path, **more: Any) -> Path:
    settings: dict[str, Any] = {"chunks": (10, 3), "compressors": ZstdCodec(level=1, checksum=True)}
    array = zarr.create_array(path, shape=X.shape, dtype="f8", **{**settings, **more})
    array[:] = X
    return path


# ---- opening and reading an array


def test_an_array_that_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Exception
) -> None:
    ref = reference(str(stored(tmp_path / "x.zarr")))
    monkeypatch.setattr(zarr, "open_array", failing(change))
    met(lambda: open_checked(ref), change)


@pytest.mark.parametrize("key", ["codecs", "shape", "chunk_grid", "data_type", "fill_value"])
@pytest.mark.parametrize("value", [5, None, {"a": 1}, [None]])
def test_metadata_of_an_odd_form_are_still_told_as_such(
    key: str, value: Any, tmp_path: Path
) -> None:
    path = stored(tmp_path / "x.zarr") / "zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    try:
        zarr_source(reference(str(path.parent)))
    except DataError:
        return
    assert key == "fill_value"  # some of these Zarr takes for a number


SLOW = {"gzip": zarr.codecs.GzipCodec(), "blosc": BloscCodec(cname="lz4")}


@pytest.fixture(params=["raise", "drop"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> ZarrSource:
    """Read by Zarr: its codec is none of those that emdist reads past it."""
    path = stored(tmp_path / "x.zarr", compressors=zarr.codecs.GzipCodec())
    return zarr_source(reference(str(path)), None, 10 * 24, corrupt=request.param)


def test_a_codec_that_has_changed(
    source: ZarrSource, monkeypatch: pytest.MonkeyPatch, change: Exception
) -> None:
    monkeypatch.setattr(zarr.codecs.BytesCodec, "_decode_sync", failing(change), raising=False)
    monkeypatch.setattr(zarr.codecs.BytesCodec, "_decode_single", failing(change))
    met(lambda: source.read(1), change)


def test_a_chunk_that_is_damaged(source: ZarrSource, tmp_path: Path) -> None:
    (tmp_path / "x.zarr/c/1/0").write_bytes(b"no gzip")
    if source.corrupt == "drop":
        assert source.read(1).mask is not None
        return
    with pytest.raises(CorruptChunkError, match="c/1/0"):
        source.read(1)


def test_an_array_that_cannot_be_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Exception
) -> None:
    path = stored(tmp_path / "x.zarr", compressors=zarr.codecs.GzipCodec())
    source = zarr_source(reference(str(path)), None, 10 * 24)
    monkeypatch.setattr(zarr, "open_array", failing(change))
    met(lambda: source.read(1), change)


def test_the_quick_reader_fails_and_the_rows_are_right(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = zarr_source(reference(str(stored(tmp_path / "x.zarr"))), None, 10 * 24)
    monkeypatch.setattr(source_module, "read_rows", failing(CHANGES[0]))
    source_module.tell_of_slow_reads.cache_clear()
    with caplog.at_level(logging.WARNING):
        for i in range(4):
            np.testing.assert_array_equal(source.read(i).x, X[10 * i : 10 * i + 10])
    (told,) = [record.getMessage() for record in caplog.records]
    assert "slower" in told
    assert REPORT in told


# ---- labels


@pytest.fixture
def writer(tmp_path: Path) -> LabelWriter:
    who = {"model": "m", "data": "d"}
    writer = label_writer(Location(str(tmp_path / "out")), ("labels",), (0, 20, 40), 2, who)
    write(writer, 0)
    write(writer, 1)
    return writer


def write(writer: LabelWriter, i: int) -> None:
    found = Assigned(np.zeros(20, np.int32), None, None)
    sums = Sums({"score": np.array(1.0), "weight": np.array(20.0), "count": np.array([20.0, 0])})
    writer.write(Block(i, 20 * i, np.zeros((20, 1)), None, None), found, sums)


def test_labels_that_cannot_be_written(
    writer: LabelWriter, monkeypatch: pytest.MonkeyPatch, change: Exception
) -> None:
    monkeypatch.setattr(labels, "put_part", failing(change))
    with pytest.raises(type(change)) as found:
        write(writer, 0)
    assert found.value is change


@pytest.mark.parametrize("error", CHANGES[:3], ids=lambda error: type(error).__name__)
def test_labels_that_cannot_be_looked_at(
    writer: LabelWriter, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(labels, "extend", failing(error))
    met(lambda: writer.done(0), error)
    met(lambda: is_labelled(writer.location), error)


def test_labels_that_cannot_be_opened(
    writer: LabelWriter, monkeypatch: pytest.MonkeyPatch, change: Exception
) -> None:
    labels._opened.cache_clear()
    monkeypatch.setattr(zarr, "open_array", failing(change))
    met(lambda: writer.done(0), change)
    met(lambda: label_progress.read_progress(writer.location), change)


def test_labels_that_are_damaged(writer: LabelWriter) -> None:
    place = writer.location.path
    assert writer.done(0) is not None
    (place / "labels/c/0").write_bytes(b"torn")
    assert writer.done(0) is None
    document = json.loads((place / "progress/zarr.json").read_text())
    (place / "progress/zarr.json").write_text(json.dumps({**document, "codecs": 5}))
    with pytest.raises(CheckpointError, match="damaged"):
        label_progress.read_progress(writer.location)


@pytest.mark.parametrize("layout", [None, "a", [1, 2], [1, 2, "3"], [40, 0, 2], [True, 20, 2]])
def test_a_layout_that_is_none_is_damage(writer: LabelWriter, layout: Any) -> None:
    path = writer.location.path / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["emdist"]["layout"] = layout
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="damaged"):
        label_progress.read_progress(writer.location)


def test_a_mark_that_cannot_be_read_is_not_another_programs(
    writer: LabelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = TypeError("read() takes 1 positional argument")
    monkeypatch.setattr(
        label_place, "open_folder", lambda location: SimpleNamespace(read=failing(error))
    )
    with pytest.raises(TypeError, match="positional"):
        label_mark(writer.location)


# ---- states and models


@pytest.mark.parametrize("error", CHANGES[:3], ids=lambda error: type(error).__name__)
def test_a_state_that_cannot_be_unpacked(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    data = sealed.pack({"a": np.ones(2)}, {"b": 1})
    monkeypatch.setattr(sealed, "load", failing(error))
    with pytest.raises(type(error)) as found:
        sealed.unpack(data, "the state")
    assert found.value is error


HEADERS: list[Any] = [
    [], {}, {"__metadata__": 5}, {"__metadata__": {"emdist": 5}},
    {"__metadata__": {"emdist": "{}"}, "a": 5},
    {"__metadata__": {"emdist": "{}"}, "a": {"dtype": "F4", "shape": [0], "data_offsets": [0, 0]}},
    {"__metadata__": {"emdist": "{}"}, "a": {"dtype": ["F64"]}},
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_a_state_with_an_odd_header_is_damage(header: Any) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(CheckpointError, match="not a state file of emdist"):
        sealed.unpack(len(text).to_bytes(8, "little") + text, "the state")


@pytest.mark.parametrize(
    "files", [None, 5, {"a": 5}, {"a": []}, {"a": [5]}, {"a": [{"size": "1", "sha256": "x"}]}]
)
def test_a_manifest_without_seals_is_damage(files: Any) -> None:
    with pytest.raises(CheckpointError, match="no readable size and digest"):
        sealed.seals({"files": files}, "a", "the manifest")


@dataclass(frozen=True)
class Picky:
    number: int

    def __post_init__(self) -> None:
        if self.number == 1:
            raise ValueError("not one")
        if self.number == 2:
            raise TypeError("a mistake in this class")


def test_a_class_that_fails_is_no_damage() -> None:
    arrays, meta = encode(Picky(3))
    for number, error in ((1, CheckpointError), (2, TypeError)):
        spoilt = json.loads(json.dumps(meta).replace("3", str(number)))
        with pytest.raises(error):
            decode(Picky, arrays, spoilt)


@pytest.mark.parametrize("error", CHANGES[:3], ids=lambda error: type(error).__name__)
def test_a_model_that_cannot_be_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from emdist import KMeans, load

    KMeans(2, random_state=0).fit(X).save(tmp_path / "model")
    monkeypatch.setattr(saved, "decode", failing(error))
    with pytest.raises(type(error)) as found:
        load(tmp_path / "model")
    assert found.value is error


def test_a_family_that_cannot_start_is_no_damaged_model() -> None:
    error = IndexError("a mistake in a family")
    model: Any = SimpleNamespace(start=failing(error))
    with pytest.raises(IndexError) as found:
        check_params(model, SimpleNamespace(weights=np.ones(2)), 3)
    assert found.value is error


# ---- what is ingested, and other files


def test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Exception) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (3, 2)).save(path)
    monkeypatch.setattr(Image, "open", failing(change))
    met(lambda: ingest(path, tmp_path / "x.zarr"), change)


def test_an_image_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    with pytest.raises(DataError, match="not a readable image"):
        ingest(tmp_path / "a.png", tmp_path / "x.zarr")


def test_npy_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emdist.untrusted import npy

    np.save(tmp_path / "a.npy", X)
    for name in ("read_array_header_1_0", "read_array_header_2_0"):
        monkeypatch.setattr(npy.npy_format, name, failing(CHANGES[1]))
    met(lambda: ingest(tmp_path / "a.npy", tmp_path / "x.zarr"), CHANGES[1])


def test_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Exception) -> None:
    path = tmp_path / "start.npz"
    np.savez(path, means=X[:2])
    monkeypatch.setattr(np, "load", failing(change))
    met(lambda: build.read_start(str(path)), change)


def spoilt_starts() -> dict[str, bytes]:
    made = {}
    for name, array in {"dates": np.zeros(2, "M8[s]"), "text": np.array(["a"])}.items():
        stream = io.BytesIO()
        np.savez(stream, means=array)
        made[name] = stream.getvalue()
    stream = io.BytesIO()
    np.save(stream, X)
    return {**made, "npy": stream.getvalue(), "cut": made["dates"][:60], "empty": b""}


@pytest.mark.parametrize("name", spoilt_starts())
def test_a_start_that_is_none(name: str, tmp_path: Path) -> None:
    (tmp_path / "start.npz").write_bytes(spoilt_starts()[name])
    with pytest.raises(StartError, match=r"no[t]? an? \.npz|\.npz of numbers"):
        build.read_start(str(tmp_path / "start.npz"))


def test_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    error = AttributeError("module 'yaml' has no attribute 'nodes'")
    monkeypatch.setattr(yaml, "load", failing(error))
    met(lambda: config_file.read_yaml("a: 1"), error)


def test_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore.store

    error = TypeError("from_url() got an unexpected keyword argument 'retry_config'")
    place = Location("s3://bucket/of-a-test", {"max_retries": "2", "region": "x"})
    monkeypatch.setattr(obstore.store, "from_url", failing(error))
    met(lambda: open_object_store(place), error)


def test_an_option_that_no_store_knows() -> None:
    with pytest.raises(ConfigError, match="cannot open"):
        open_object_store(Location("s3://bucket/of-a-test", {"no_such_option": "1"}))


def test_a_target_that_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", X)
    target = stored(tmp_path / "x.zarr")
    monkeypatch.setattr(zarr, "open_array", failing(CHANGES[1]))
    met(lambda: ingest(tmp_path / "a.npy", target, overwrite=True), CHANGES[1])


# ---- the rule itself


def test_errors_of_machines_and_of_emdist_are_no_defects() -> None:
    fails = failing(RuntimeError("the control fails"))
    for error in (OSError(5, "I/O"), MemoryError(), NotAnArrayError("no"), ConfigError("no")):
        assert not is_defect(error, fails)


def test_a_control_that_meets_the_machine_proves_nothing() -> None:
    error = ValueError("of a codec")
    assert not is_defect(error, failing(OSError(28, "the disk is full")))
    assert not is_defect(error, failing(MemoryError()))
    assert is_defect(error, failing(RuntimeError()))


def test_emdists_own_lines_need_no_control() -> None:
    with pytest.raises(AttributeError) as found:
        reference("x").checked(5)  # type: ignore[arg-type]
    assert is_defect(found.value, lambda: None)
