"""Ingest: every format keeps its numbers, every bad input gives one clear error, and memory,
kills and overwriting are safe."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from emdist import errors
from emdist.ingest import ingest
from emdist.ingest import table as table_module
from emdist.ingest.files import formats
from emdist.store.places.location import Location, open_zarr_store
from tests.support.paths import ROOT

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(7)
X = RNG.normal(size=(1000, 4))


def load(path: Path | str) -> Any:
    return zarr.open_array(path, mode="r")


def same(path: Path | str, expected: np.ndarray) -> zarr.Array:
    array = load(path)
    assert array.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(array[:], expected)
    return array


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if ".partial-" in p.name or p.name.endswith(".old")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "x.zarr"


# --- what is written ---------------------------------------------------------------------------


def test_array_is_checksummed_chunked_named_and_complete(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    seen: list[tuple[int, int]] = []
    summary = ingest(
        tmp_path / "a.npy", out, rows_per_chunk=300, done=lambda *progress: seen.append(progress)
    )
    array = same(out, X)
    assert array.metadata.zarr_format == 3
    assert array.chunks == (300, 4)
    assert array.compressors == (ZstdCodec(level=1, checksum=True),)
    assert array.metadata.dimension_names == ("row", "feature")
    key = array.attrs["emdist.ingest"]
    assert isinstance(key, str)
    assert array.attrs.asdict() == {
        "emdist.ingest": key,
        "feature_names": ["x0", "x1", "x2", "x3"],
        "source": ["a.npy"],
        "emdist.format": 1,
        "emdist.complete": True,
    }
    assert (summary.rows, summary.features, summary.dtype) == (1000, 4, "float64")
    assert summary.chunks == 4
    assert summary.bytes_read == (tmp_path / "a.npy").stat().st_size
    assert summary.bytes_stored == sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    assert summary.target == Location(str(out))
    assert summary.weights is None
    assert seen == [(300, 1000), (600, 1000), (900, 1000), (1000, 1000)]
    assert not leftovers(tmp_path)


@pytest.mark.long
def test_chunk_bytes_sets_whole_rows(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    ingest(tmp_path / "a.npy", out, chunk_bytes=3300)
    assert load(out).chunks == (103, 4)
    ingest(tmp_path / "a.npy", out, chunk_bytes=1, overwrite=True)
    assert load(out).chunks == (1, 4)


def test_chunks_of_zeros_are_stored(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((100, 2)))
    ingest(tmp_path / "a.npy", out, rows_per_chunk=10)
    assert load(out).nchunks_initialized == 10


def test_a_flipped_byte_is_noticed(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    ingest(tmp_path / "a.npy", out)
    chunk = out / "c" / "0" / "0"
    raw = bytearray(chunk.read_bytes())
    raw[len(raw) // 2] ^= 1
    chunk.write_bytes(raw)
    with pytest.raises(RuntimeError, match=r"[Zz]std|decompress"):
        load(out)[:]


# --- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8", "u1", "<i2", ">u2", "i8", "u8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_numpy_files(tmp_path: Path, out: Path, dtype: str, order: str, name: str) -> None:
    x = np.asarray(RNG.integers(0, 200, (57, 3)), dtype=dtype, order=order)  # type: ignore[call-overload]
    save = np.save if name.endswith("npy") else np.savez_compressed
    save(tmp_path / name, x)
    ingest(tmp_path / name, out, rows_per_chunk=10)
    same(out, x.astype(x.dtype.newbyteorder("=")))


def test_booleans_become_bytes(tmp_path: Path, out: Path) -> None:
    x = X > 0
    np.save(tmp_path / "a.npy", x)
    ingest(tmp_path / "a.npy", out)
    same(out, x.astype(np.uint8))


def test_member_of_npz(tmp_path: Path, out: Path) -> None:
    np.savez(tmp_path / "a.npz", one=X, two=X + 1, flat=X[:, 0])
    ingest(f"{tmp_path}/a.npz:two", out)
    assert same(out, X + 1).attrs["source"] == ["a.npz:two"]
    with pytest.raises(errors.ShapeError, match=r"2 two-dimensional .*a\.npz:one"):
        ingest(tmp_path / "a.npz", tmp_path / "b.zarr")
    with pytest.raises(errors.ConfigError, match="did you mean 'two'"):
        ingest(f"{tmp_path}/a.npz:tow", tmp_path / "b.zarr")


def csv_text(x: np.ndarray, header: str, mark: str = ",") -> str:
    lines = [mark.join(repr(float(v)) for v in row) for row in x]
    return "\n".join(([header] if header else []) + lines) + "\n"


@pytest.mark.parametrize(
    ("name", "header", "mark"),
    [
        ("a.csv", "a,b,c,d", ","),
        ("a.csv", "", ","),
        ("a.csv", "a;b;c;d", ";"),
        ("a.csv.gz", "a,b,c,d", ","),
        ("a.tsv", "a\tb\tc\td", "\t"),
        ("a.TXT", "", " "),
        ("a.txt", "a|b|c|d", "|"),
    ],
)
def test_text(tmp_path: Path, out: Path, name: str, header: str, mark: str) -> None:
    raw = csv_text(X, header, mark).encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    ingest(tmp_path / name, out, rows_per_chunk=300)
    array = same(out, X)
    assert array.chunks == (300, 4)
    names = list("abcd") if header else ["x0", "x1", "x2", "x3"]
    assert array.attrs["feature_names"] == names


def test_text_of_many_parsed_blocks(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emdist.ingest.csv._BLOCK", 4096)
    (tmp_path / "a.csv").write_text(csv_text(X, "a,b,c,d"))
    ingest(tmp_path / "a.csv", out, rows_per_chunk=7)
    same(out, X)


def test_integers_then_fractions_blanks_flags_and_byte_order_mark(
    tmp_path: Path, out: Path
) -> None:
    text = "\ufeffa,b,c\r\n1,,true\r\n2.5,NA,false\r\n-3,7,\r\n"
    (tmp_path / "a.csv").write_bytes(text.encode())
    ingest(tmp_path / "a.csv", out)
    nan = np.nan
    array = same(out, np.array([[1, nan, 1], [2.5, nan, 0], [-3, 7, nan]]))
    assert array.attrs["feature_names"] == ["a", "b", "c"]
    assert array.chunks == (3, 3)


def test_columns_and_weights(tmp_path: Path, out: Path) -> None:
    text = "id,a,w,b\n" + "".join(f"r{i},{i},{i / 4},{-i}\n" for i in range(50))
    (tmp_path / "a.csv").write_text(text)
    summary = ingest(
        tmp_path / "a.csv", out, columns=["b", "a"], weight_column="w", rows_per_chunk=20
    )
    i = np.arange(50.0)
    assert same(out, np.stack([-i, i], axis=1)).attrs["feature_names"] == ["b", "a"]
    assert summary.weights == Location(str(out.with_name("x-weights.zarr")))
    weights = same(summary.weights.path, i / 4)
    assert weights.chunks == (20,)
    assert weights.attrs["emdist.complete"] is True


def test_weights_apart_from_integers(tmp_path: Path, out: Path) -> None:
    big = np.array([2**60 + 1, 5, 6])
    pq.write_table(pa.table({"n": big, "w": [0.5, 1.0, 2.0]}), tmp_path / "a.parquet")
    ingest(tmp_path / "a.parquet", out, weight_column=1)
    same(out, big[:, None])  # would be rounded in a block shared with the float weights
    same(out.with_name("x-weights.zarr"), np.array([0.5, 1.0, 2.0]))


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("f4", "f4"), "f4"),
        (("f4", "f8"), "f8"),
        (("f4", "i8"), "f8"),
        (("u1", "i2"), "i2"),
        (("f2", "f2"), "f2"),
        (("i8", "i8"), "i8"),
    ],
)
def test_parquet_common_type(
    tmp_path: Path, out: Path, types: tuple[str, str], expected: str
) -> None:
    a, b = (np.arange(100).astype(kind) for kind in types)
    pq.write_table(pa.table({"a": a, "b": b}), tmp_path / "a.parquet", row_group_size=30)
    ingest(tmp_path / "a.parquet", out, rows_per_chunk=40)
    array = same(out, np.stack([a, b], axis=1).astype(expected))
    assert array.attrs["feature_names"] == ["a", "b"]


def test_parquet_nulls_dictionaries_decimals_and_flags(tmp_path: Path, out: Path) -> None:
    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int16()),
            "d": pa.array([1.5, 2.5, None]).dictionary_encode(),
            "m": pa.array([1, 2, 3]).cast(pa.decimal128(21, 2)),
            "t": pa.array([True, False, None]),
            "n": pa.nulls(3),
        }
    )
    pq.write_table(table, tmp_path / "a.pq")
    ingest(tmp_path / "a.pq", out)
    nan = np.nan
    same(out, np.array([[1, 1.5, 1, 1, nan], [nan, 2.5, 2, 0, nan], [3, nan, 3, nan, nan]]))


@pytest.mark.parametrize("kind", ["fixed", "variable"])
def test_parquet_embeddings(tmp_path: Path, out: Path, kind: str) -> None:
    x = X.astype("f4")
    cells: list[Any] = x.tolist()
    cells[3] = None
    cells[5][1] = None
    listed = pa.list_(pa.float32(), 4) if kind == "fixed" else pa.list_(pa.float32())
    table = pa.table({"w": np.ones(1000, "f4"), "e": pa.array(cells, listed)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=123)
    ingest(tmp_path / "a.parquet", out, columns=["e", "w"], rows_per_chunk=100)
    expected = np.hstack([x, np.ones((1000, 1), "f4")])
    expected[3, :4] = np.nan
    expected[5, 1] = np.nan
    names = same(out, expected).attrs["feature_names"]
    assert names == ["e[0]", "e[1]", "e[2]", "e[3]", "w"]


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_images(tmp_path: Path, out: Path, suffix: str, mode: str) -> None:
    bands = 3 if mode == "RGB" else 1
    pixels = RNG.integers(0, 256, (20, 31, bands), dtype=np.uint8)
    Image.fromarray(pixels.squeeze()).save(tmp_path / f"a.{suffix}")
    summary = ingest(tmp_path / f"a.{suffix}", out, rows_per_chunk=70)
    attrs = same(out, pixels.reshape(-1, bands)).attrs
    assert (attrs["height"], attrs["width"], attrs["bands"]) == (20, 31, bands)
    assert attrs["source"] == [f"a.{suffix}"]
    assert summary.notes == ()


def test_image_alpha_palette_and_depth(tmp_path: Path, out: Path) -> None:
    rgba = RNG.integers(0, 256, (4, 5, 4), dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    summary = ingest(tmp_path / "a.png", out)
    same(out, rgba[..., :3].reshape(-1, 3))
    assert summary.notes == ("a.png: the alpha band was dropped",)
    for suffix in ("png", "tiff"):
        deep = RNG.integers(0, 65536, (4, 5), dtype=np.uint16)
        Image.fromarray(deep).save(tmp_path / f"d.{suffix}")
        ingest(tmp_path / f"d.{suffix}", out, overwrite=True)
        same(out, deep.reshape(-1, 1))
    palette = Image.fromarray(rgba[..., :3]).quantize(8)
    palette.save(tmp_path / "p.png")
    assert "mode P" in ingest(tmp_path / "p.png", out, overwrite=True).notes[0]
    same(out, np.asarray(palette.convert("RGB")).reshape(-1, 3))


def tiff(
    path: Path,
    x: np.ndarray[Any, Any],
    photometric: int = 1,
    extra: tuple[int, ...] = (),
    geo: bool = False,
) -> None:
    """A TIFF file of the pixels (height, width, bands), as GDAL writes it."""
    height, width, bands = x.shape
    kind = {"u": 1, "i": 2, "f": 3}[x.dtype.kind]
    tags: dict[int, tuple[int, ...]] = {
        256: (width,), 257: (height,), 258: (8 * x.itemsize,) * bands, 259: (1,),
        262: (photometric,), 273: (8,), 277: (bands,), 278: (height,), 279: (x.nbytes,),
        284: (1,), 339: (kind,) * bands,
    }  # fmt: skip
    if extra:
        tags[338] = extra
    if geo:
        tags[34735] = (1, 1, 0, 0)
    body = b"II*\0" + struct.pack("<I", 8 + x.nbytes) + x.tobytes()
    at = len(body) + 2 + 12 * len(tags) + 4
    entries, behind = b"", b""
    for tag, values in sorted(tags.items()):
        raw = struct.pack(f"<{len(values)}I", *values)
        place = raw if len(raw) <= 4 else struct.pack("<I", at + len(behind))
        behind += b"" if len(raw) <= 4 else raw
        entries += struct.pack("<HHI", tag, 4, len(values)) + place
    path.write_bytes(body + struct.pack("<H", len(tags)) + entries + bytes(4) + behind)


@pytest.mark.parametrize(
    ("dtype", "bands", "photometric", "extra", "geo", "words"),
    [
        ("u1", 4, 2, (2,), True, r"GeoTIFF of 4 bands of 8 bits \(unsigned integers\)"),
        ("u1", 4, 2, (0,), False, "TIFF file of 4 bands of 8 bits"),
        ("u1", 4, 2, (), False, "TIFF file of 4 bands of 8 bits"),
        ("u1", 4, 1, (0, 0, 0), True, "GeoTIFF of 4 bands of 8 bits"),
        ("u1", 5, 2, (0, 0), False, "of 5 bands of 8 bits"),
        ("u1", 6, 2, (0, 0, 0), True, "of 6 bands of 8 bits"),
        ("u1", 6, 2, (2, 0, 0), False, "of 6 bands of 8 bits"),
        ("u2", 6, 1, (0,) * 5, True, "of 6 bands of 16 bits"),
        ("u1", 2, 1, (0,), True, "of 2 bands of 8 bits"),
        ("u2", 3, 2, (), True, "of 3 bands of 16 bits"),
        ("u2", 3, 2, (), False, "several bands of 16 bits"),
        ("f4", 3, 2, (), True, r"of 3 bands of 32 bits \(floats\)"),
        ("f8", 1, 1, (), True, r"of 1 band of 64 bits \(floats\)"),
        ("i2", 4, 1, (0, 0, 0), True, r"of 4 bands of 16 bits \(signed integers\)"),
    ],
)
def test_a_raster_is_refused_by_its_name(
    tmp_path: Path, out: Path, dtype: str, bands: int, photometric: int, extra: tuple[int, ...],
    geo: bool, words: str,
) -> None:  # fmt: skip
    x = RNG.integers(0, 120, (5, 7, bands)).astype(dtype)
    tiff(tmp_path / "a.tif", x, photometric, extra, geo)
    with pytest.raises(errors.DataError, match=rf"{words}.*numpy\.save\('a\.npy'") as caught:
        ingest(tmp_path / "a.tif", out)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
    assert not out.exists()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"])
def test_a_raster_of_one_band_has_the_numbers_of_the_file(
    tmp_path: Path, out: Path, dtype: str
) -> None:
    info = np.iinfo(dtype) if dtype != "f4" else np.finfo(dtype)  # type: ignore[arg-type]
    x = np.array([info.min, 0, 1, info.max], dtype).reshape(2, 2, 1)
    tiff(tmp_path / "a.tif", x, geo=True)
    ingest(tmp_path / "a.tif", out)
    found = zarr.open_array(out, mode="r")
    assert np.array_equal(found[:], x.reshape(-1, 1))


@pytest.mark.parametrize(("photometric", "extra"), [(2, (2,)), (2, (1,))])
def test_a_picture_s_transparency_is_dropped_and_told(
    tmp_path: Path, out: Path, photometric: int, extra: tuple[int, ...]
) -> None:
    x = RNG.integers(0, 255, (5, 7, 4), dtype=np.uint8)
    x[..., 3] = 255
    tiff(tmp_path / "a.tif", x, photometric, extra)
    summary = ingest(tmp_path / "a.tif", out)
    same(out, x[..., :3].reshape(-1, 3))
    assert "a.tif: the alpha band was dropped" in summary.notes


def test_pictures_whose_numbers_are_others_than_stored_say_so(tmp_path: Path, out: Path) -> None:
    grey = RNG.integers(0, 16, (4, 6), dtype=np.uint8)
    tiff(tmp_path / "white.tif", grey[..., None], photometric=0)
    assert "were inverted" in ingest(tmp_path / "white.tif", out).notes[0]
    same(out, 255 - grey.reshape(-1, 1))
    nibbles = Image.fromarray(grey * 17)
    nibbles.save(tmp_path / "n.png", bits=4)
    frames = [Image.fromarray(grey), Image.fromarray(grey + 1)]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    with pytest.raises(errors.ShapeError, match="2 pages, the frames of an animation"):
        ingest(tmp_path / "moving.png", out, overwrite=True)


def png16(path: Path, x: np.ndarray[Any, Any], colour: int) -> None:
    """A PNG of 16 bits a band, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in x)
    head = struct.pack(">IIBBBBB", x.shape[1], x.shape[0], 16, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize(("bands", "colour"), [(3, 2), (4, 6), (2, 4)])
def test_colours_of_16_bits_are_refused_unless_they_may_be_reduced(
    tmp_path: Path, out: Path, bands: int, colour: int
) -> None:
    x = RNG.integers(0, 65536, (4, 5, bands), dtype=np.uint16)
    png16(tmp_path / "a.png", x, colour)
    with pytest.raises(errors.DataError, match=r"several bands of 16 bits.*a\.npy"):
        ingest(tmp_path / "a.png", out)
    notes = ingest(tmp_path / "a.png", out, reduced=True).notes
    assert "a.png: 16-bit colour was reduced to 8 bits" in notes
    colours = np.repeat(x[..., :1], 3, axis=2) if bands == 2 else x[..., :3]
    same(out, (colours >> 8).astype(np.uint8).reshape(-1, 3))


def indexed(path: Path, index: str | None, kind: str) -> None:
    """A Parquet file of the columns a and b, and an index as pandas or dask write it."""
    table = pa.table({"a": X[:5, 0], "b": X[:5, 1]} | ({index: np.arange(5)} if index else {}))
    pandas: dict[str, Any] = {"index_columns": [index] if index else [], "columns": []}
    if kind == "range":
        pandas["index_columns"] = [
            {"kind": "range", "name": None, "start": 0, "stop": 5, "step": 1}
        ]
    told = {} if kind == "no metadata" else {"pandas": json.dumps(pandas)}
    pq.write_table(table.replace_schema_metadata(told), path)


@pytest.mark.parametrize(
    ("index", "kind"),
    [
        ("__index_level_0__", "pandas"),
        ("__index_level_0__", "no metadata"),
        ("__null_dask_index__", "pandas"),
        ("__null_dask_index__", "no metadata"),
        ("station", "pandas"),
        (None, "range"),
    ],
)
def test_an_index_is_no_feature_unless_it_is_named(
    tmp_path: Path, out: Path, index: str | None, kind: str
) -> None:
    indexed(tmp_path / "a.parquet", index, kind)
    summary = ingest(tmp_path / "a.parquet", out)
    assert same(out, X[:5, :2]).attrs["feature_names"] == ["a", "b"]
    if index is None:
        assert summary.notes == ()
        return
    assert summary.notes == (
        f"emdist left out the column '{index}': an index, not a feature; to include it, list it "
        "among the columns (ingest.columns)",
    )
    summary = ingest(tmp_path / "a.parquet", out, columns=[index, "b"], overwrite=True)
    assert summary.notes == ()
    same(out, np.stack([np.arange(5.0), X[:5, 1]], axis=1))
    ingest(tmp_path / "a.parquet", out, weight_column=index, overwrite=True)
    assert same(out, X[:5, :2]).attrs["feature_names"] == ["a", "b"]


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_row_names_of_a_csv_file_are_no_feature_unless_they_are_named(
    tmp_path: Path, out: Path, name: str
) -> None:
    (tmp_path / "a.csv").write_text(f"{name},a,b\n0,1,2\n1,3,4\n")
    summary = ingest(tmp_path / "a.csv", out)
    same(out, np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert f"left out the column '{name}'" in summary.notes[0]
    ingest(tmp_path / "a.csv", out, columns=[name, "b"], overwrite=True)
    same(out, np.array([[0.0, 2.0], [1.0, 4.0]]))
    (tmp_path / "words.csv").write_text(f"{name},a\nfirst,1\nsecond,2\n")
    ingest(tmp_path / "words.csv", out, overwrite=True)
    same(out, np.array([[1.0], [2.0]]))


@pytest.mark.parametrize("how", ["folder", "pattern"])
def test_parts_are_read_in_natural_order_which_is_told(tmp_path: Path, out: Path, how: str) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for i in range(12):
        indexed(folder / f"part.{i}.parquet", None, "no metadata")
        pq.write_table(pa.table({"a": [float(i)]}), folder / f"part.{i}.parquet")
    (folder / "_metadata").write_bytes(b"")
    source: Any = folder if how == "folder" else f"{folder}/part.*.parquet"
    summary = ingest(source, out)
    same(out, np.arange(12.0)[:, None])
    assert summary.notes == (
        "emdist read 12 files in this order: part.0.parquet, part.1.parquet, part.2.parquet, ..., "
        "part.11.parquet",
    )
    listed = ingest([folder / "part.3.parquet", folder / "part.1.parquet"], out, overwrite=True)
    assert listed.notes == ()


def test_several_images_keep_their_shapes(tmp_path: Path, out: Path) -> None:
    images = [RNG.integers(0, 256, (h, 5, 3), dtype=np.uint8) for h in (2, 3)]
    for name, image in zip(("b.png", "a.png"), images, strict=True):
        Image.fromarray(image).save(tmp_path / name)
    ingest(f"{tmp_path}/*.png", out)
    array = same(out, np.concatenate([images[1].reshape(-1, 3), images[0].reshape(-1, 3)]))
    assert array.attrs["files"] == [
        {"name": "a.png", "rows": 15, "height": 3, "width": 5, "bands": 3},
        {"name": "b.png", "rows": 10, "height": 2, "width": 5, "bands": 3},
    ]


def test_photographs_of_scikit_learn(out: Path) -> None:
    from sklearn.datasets import load_sample_image

    for name in ("china.jpg", "flower.jpg"):
        ingest(f"sklearn:{name}", out, overwrite=True)
        same(out, load_sample_image(name).reshape(-1, 3))
    with pytest.raises(errors.NotFoundError, match=r"sklearn:china\.jpg"):
        ingest("sklearn:../secret.jpg", out)


def test_folder_pattern_and_list(tmp_path: Path) -> None:
    for i, name in enumerate(("b.npy", "a.npy", "c.npy")):
        np.save(tmp_path / name, X[:10] + i)
    (tmp_path / "README.md").write_text("no data")
    (tmp_path / ".hidden.npy").write_text("no data")
    ordered = np.concatenate([X[:10] + 1, X[:10], X[:10] + 2])
    ingest(tmp_path, tmp_path / "folder.zarr", rows_per_chunk=7)
    assert same(tmp_path / "folder.zarr", ordered).attrs["source"] == ["a.npy", "b.npy", "c.npy"]
    ingest(f"{tmp_path}/[ab].npy", tmp_path / "glob.zarr")
    same(tmp_path / "glob.zarr", ordered[:20])
    ingest([tmp_path / "c.npy", tmp_path / "a.npy"], tmp_path / "list.zarr")
    same(tmp_path / "list.zarr", np.concatenate([X[:10] + 2, X[:10] + 1]))


def test_dtype_converts_and_refuses_what_it_would_change(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    ingest(tmp_path / "a.npy", out, dtype="float32")
    same(out, X.astype("f4"))
    (tmp_path / "b.csv").write_text("a,b\n0,1\n1,1\n")
    ingest(tmp_path / "b.csv", out, dtype="uint8", overwrite=True)
    same(out, np.array([[0, 1], [1, 1]], np.uint8))
    for bad, kind in ((1e300, "float32"), (0.5, "int8"), (300.0, "uint8"), (np.nan, "int32")):
        np.save(tmp_path / "c.npy", np.array([[1.0], [bad]]))
        with pytest.raises(errors.DtypeError, match="row 1 of 'x0'"):
            ingest(tmp_path / "c.npy", tmp_path / "c.zarr", dtype=kind)
    with pytest.raises(errors.ConfigError, match="cannot be used for features"):
        ingest(tmp_path / "a.npy", tmp_path / "c.zarr", dtype="complex64")


# --- bad input: one clear error, and nothing left behind -----------------------------------------


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of every kind of bad file."""
    folder = tmp_path_factory.mktemp("bad")
    rgb = np.zeros((3, 3, 3), np.uint8)
    np.save(folder / "good.npy", X)
    np.save(folder / "3d.npy", np.zeros((2, 3, 4)))
    np.save(folder / "1d.npy", np.zeros(5))
    np.save(folder / "object.npy", np.array([[1, None]], object), allow_pickle=True)
    np.save(folder / "complex.npy", np.zeros((2, 2), complex))
    np.save(folder / "long.npy", np.zeros((2, 2), np.longdouble))
    np.save(folder / "text.npy", np.array([["a", "b"]]))
    np.save(folder / "fields.npy", np.zeros((2, 2), [("a", "f4")]))
    np.save(folder / "norows.npy", np.zeros((0, 3)))
    np.save(folder / "nocols.npy", np.zeros((3, 0)))
    np.save(folder / "wide.npy", np.zeros((3, 5)))
    (folder / "torn.npy").write_bytes((folder / "good.npy").read_bytes()[:-100])
    (folder / "junk.npy").write_bytes(b"junk")
    (folder / "empty.npy").write_bytes(b"")
    np.savez(folder / "good.npz", x=X)
    raw = bytearray((folder / "good.npz").read_bytes())
    (folder / "torn.npz").write_bytes(raw[:-200])
    raw[5000] ^= 1
    (folder / "flipped.npz").write_bytes(raw)
    with zipfile.ZipFile(folder / "none.npz", "w") as archive:
        archive.writestr("a.txt", "hello")
    csv = {
        "empty": "",
        "blank": "\n\n",
        "headonly": "a,b\n",
        "ragged": "a,b\n1,2\n1,2,3\n",
        "words": "a,name,c\n1,2,2\n1,oops,2\n",
        "late": "a,b\n" + "1,2\n" * 300_000 + "1,oops\n",
        "twice": "a,a\n1,2\n",
        "dates": "a,day\n1,2020-01-02\n",
        "other": "a,c\n1,2\n",
        "good": "a,b\n1,2\n",
        "swapped": "b,a\n1,2\n",
        "weights": "a,b\n1,2\n1,-2\n",
    }
    for name, text in csv.items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "unnamed.csv").write_text("a,\n0,1.5\n")
    (folder / "latin.csv").write_bytes("größe,b\n1,2\n".encode("latin1"))
    (folder / "utf16.csv").write_bytes("a,b\n1,2\n".encode("utf-16"))
    (folder / "spaces.txt").write_text("1  2\n3  4\n")
    packed = gzip.compress(csv_text(X, "").encode())
    (folder / "torn.csv.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "junk.csv.gz").write_bytes(b"junk" * 10)
    pq.write_table(pa.table({"a": [1.0], "s": ["x"]}), folder / "text.parquet")
    pq.write_table(pa.table({"a": X[:, 0]}), folder / "good.parquet", compression="none")
    pq.write_table(pa.table({"a": pa.array([], pa.float64())}), folder / "empty.parquet")
    pq.write_table(pa.table({"e": [[1.0, 2.0], [3.0]]}), folder / "lists.parquet")
    raw = bytearray((folder / "good.parquet").read_bytes())
    (folder / "torn.parquet").write_bytes(raw[:-50])
    raw[10:200] = b"\xff" * 190
    (folder / "flipped.parquet").write_bytes(raw)
    Image.fromarray(rgb).save(folder / "good.png")
    Image.fromarray(rgb[..., 0]).save(folder / "grey.png")
    Image.fromarray(RNG.integers(0, 256, (90, 90, 3), dtype=np.uint8)).save(folder / "torn.png")
    (folder / "torn.png").write_bytes((folder / "torn.png").read_bytes()[:9000])
    (folder / "junk.png").write_bytes(b"junk")
    pages = [Image.fromarray(rgb), Image.fromarray(rgb)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    (folder / "notes.docx").write_bytes(b"")
    (folder / "void").mkdir()
    (folder / "deep").mkdir()
    (folder / "deep" / "inner").mkdir()
    return folder


data, dtype, shape = errors.DataError, errors.DtypeError, errors.ShapeError
config, lost = errors.ConfigError, errors.NotFoundError

#: name -> (source in the folder `bad`, error, words of its message)
FILES: dict[str, tuple[str, type[errors.EmdistError], str]] = {
    "missing": ("godo.npy", lost, r"did you mean .*good\.npy"),
    "no folder": ("nowhere/a.npy", lost, "nowhere does not exist"),
    "no match": ("*.jpeg", lost, "no file matches"),
    "empty folder": ("void", lost, "contains no file of a known format"),
    "nested folder": ("deep", lost, r"\*\*/\*\.parquet"),
    "mixed folder": (".", config, "several formats"),
    "unknown suffix": ("notes.docx", config, r"\.csv.*\.npy.*\.parquet.*\.png"),
    "3d": ("3d.npy", shape, r"\(2, 3, 4\).*reshape\(-1, a\.shape\[-1\]\)"),
    "1d": ("1d.npy", shape, r"reshape\(-1, 1\)"),
    "object": ("object.npy", dtype, "pickled"),
    "complex": ("complex.npy", dtype, r"hstack\(\[a\.real"),
    "float128": ("long.npy", dtype, "float64"),
    "text npy": ("text.npy", dtype, "numbers first"),
    "structured": ("fields.npy", dtype, "structured_to_unstructured"),
    "no rows": ("norows.npy", shape, "no rows"),
    "no columns": ("nocols.npy", shape, "no columns"),
    "torn npy": ("torn.npy", data, "is incomplete"),
    "junk npy": ("junk.npy", data, "not a readable NPY"),
    "empty npy": ("empty.npy", data, "not a readable NPY"),
    "torn npz": ("torn.npz", data, "not a readable NPZ"),
    "flipped npz": ("flipped.npz", data, "CRC"),
    "npz without arrays": ("none.npz", shape, "0 two-dimensional"),
    "empty csv": ("empty.csv", shape, "is empty"),
    "blank csv": ("blank.csv", shape, "is empty"),
    "header only": ("headonly.csv", shape, "no rows"),
    "ragged": ("ragged.csv", shape, "3 cells, expected 2.*'1,2,3'"),
    "words": (
        "words.csv",
        dtype,
        r"'name' \(text such as 'oops'\).*\(ingest.columns\): 'a', 'c'\.",
    ),
    "late word": ("late.csv", dtype, "'oops' in column 1"),
    "twice": ("twice.csv", data, "several columns named 'a'"),
    "dates": ("dates.csv", dtype, "'day'"),
    "unnamed column": (
        "unnamed.csv",
        data,
        "without a name.*lines end with a delimiter.*ingest.columns",
    ),
    "latin-1": ("latin.csv", data, "not UTF-8"),
    "utf-16": ("utf16.csv", data, "not UTF-8"),
    "spaces": ("spaces.txt", shape, "several spaces"),
    "torn gz": ("torn.csv.gz", data, "cannot be read"),
    "junk gz": ("junk.csv.gz", data, "cannot be read"),
    "text parquet": ("text.parquet", dtype, r"'s' \(string\).*\(ingest.columns\): 'a'\."),
    "empty parquet": ("empty.parquet", shape, "no rows"),
    "uneven lists": ("lists.parquet", shape, "1 values in row 1 of 'e', expected 2"),
    "torn parquet": ("torn.parquet", data, "not a readable Parquet"),
    "flipped parquet": ("flipped.parquet", data, "not a readable Parquet"),
    "torn image": ("torn.png", data, "not a readable image"),
    "junk image": ("junk.png", data, "not a readable image"),
    "pages": ("pages.tif", shape, "2 pages"),
}

#: name -> (sources in the folder `bad`, options, error, words of its message)
OPTIONS: dict[str, tuple[list[str], dict[str, Any], type[errors.EmdistError], str]] = {
    "no files": ([], {}, lost, "empty"),
    "column": (["good.csv"], {"columns": ["aa"]}, config, "did you mean 'a'"),
    "position": (["good.csv"], {"columns": [2]}, config, "0 to 1"),
    "column twice": (["good.csv"], {"columns": ["a", 0]}, config, "twice"),
    "columns text": (["good.csv"], {"columns": "a"}, config, r"\['a'\]"),
    "weight": (["good.csv"], {"weight_column": "w"}, config, "no column 'w'"),
    "only weight": (["good.csv"], {"columns": ["a"], "weight_column": "a"}, shape, "no columns"),
    "negative weight": (
        ["weights.csv"],
        {"weight_column": "b"},
        errors.WeightError,
        "-2.0 in row 1",
    ),
    "differing": (["good.csv", "other.csv"], {}, shape, "only good.csv has 'b'"),
    "swapped": (["good.csv", "swapped.csv"], {}, shape, "another order"),
    "wide": (["good.npy", "wide.npy"], {}, shape, "4 and 5 columns"),
    "bands": (["good.png", "grey.png"], {}, shape, "3 and 1 columns"),
    "mixed": (["good.csv", "good.npy"], {}, config, "several formats"),
    "chunk": (["good.csv"], {"rows_per_chunk": 0}, config, "at least 1"),
}


def refused(
    out: Path, source: Any, error: type[errors.EmdistError], words: str, **options: Any
) -> None:
    with pytest.raises(error, match=words) as caught:
        ingest(source, out, **options)
    assert str(caught.value).rstrip("?)").endswith(".") or "did you mean" in str(caught.value)
    assert not list(out.parent.glob("*")), "something was left behind"


@pytest.mark.parametrize("name", FILES)
def test_bad_file_gives_one_clear_error(bad: Path, out: Path, name: str) -> None:
    source, error, words = FILES[name]
    refused(out, bad / source, error, words)


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_choice_gives_one_clear_error(bad: Path, out: Path, name: str) -> None:
    sources, options, error, words = OPTIONS[name]
    refused(out, [bad / source for source in sources], error, words, **options)


def test_url_is_no_source(out: Path) -> None:
    refused(out, "s3://bucket/a.csv", errors.ConfigError, "Download it first")


def test_a_line_that_is_too_long_is_refused_with_the_limit_that_applied(
    tmp_path: Path, out: Path
) -> None:
    """The limit grows with the first line: it is four times as long, and not the constant."""
    first = ",".join(["0" * 3000] * 100)
    longer = ",".join(["0" * 30_000] * 100)
    (tmp_path / "a.csv").write_text(f"{first}\n{first}\n{longer}\n{first}\n")
    refused(out, tmp_path / "a.csv", errors.ShapeError, f"more than {4 * len(first)} bytes")


def test_swapped_columns_are_mended_by_choosing_them(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.csv").write_text("b,a,z\n4,3,word\n")
    ingest([tmp_path / "a.csv", tmp_path / "b.csv"], out, columns=["a", "b"])
    same(out, np.array([[1.0, 2.0], [3.0, 4.0]]))


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [("pyarrow", "a.csv", "pyarrow"), ("pyarrow", "a.pq", "pyarrow"), ("PIL", "a.png", "pillow")],
)
def test_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, package: str
) -> None:
    (tmp_path / name).write_text("1,2\n")
    for loaded in [m for m in sys.modules if m == module or m.startswith(module + ".")]:
        monkeypatch.setitem(sys.modules, loaded, None)
    with pytest.raises(errors.ConfigError, match=rf"{package}, which is not installed.*\[ingest\]"):
        ingest(tmp_path / name, tmp_path / "x.zarr")


def test_formats_are_found_by_scanning() -> None:
    assert {".npy", ".npz", ".csv", ".csv.gz", ".tsv", ".txt", ".parquet", ".png"} <= set(formats())
    assert all(suffix == suffix.lower() for suffix in formats())
    with pytest.raises(errors.ConfigError):
        table_module.need("pyarrow.of_the_future")


# --- targets -----------------------------------------------------------------------------------


def test_existing_target_is_kept_unless_overwritten(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", X + 1)
    ingest(tmp_path / "a.npy", out)
    with pytest.raises(errors.OutputExistsError, match="overwrite"):
        ingest(tmp_path / "b.npy", out)
    same(out, X)
    ingest(tmp_path / "b.npy", out, overwrite=True)
    same(out, X + 1)
    assert not leftovers(tmp_path)


def test_failed_overwrite_keeps_the_old_array(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    ingest(tmp_path / "a.npy", out)
    (tmp_path / "bad.csv").write_text("a,b\n" + "1,2\n" * 300_000 + "1,oops\n")
    with pytest.raises(errors.DtypeError):
        ingest(tmp_path / "bad.csv", out, rows_per_chunk=1000, overwrite=True)
    same(out, X)
    assert not leftovers(tmp_path)


def test_bad_weights_keep_both_old_arrays(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text("a,w\n1,2\n")
    (tmp_path / "b.csv").write_text("a,w\n3,4\n5,-6\n")
    ingest(tmp_path / "a.csv", out, weight_column="w")
    with pytest.raises(errors.WeightError):
        ingest(tmp_path / "b.csv", out, weight_column="w", overwrite=True)
    same(out, np.array([[1.0]]))
    same(out.with_name("x-weights.zarr"), np.array([2.0]))
    assert not leftovers(tmp_path)


def test_overwrite_replaces_nothing_but_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    for target in (home, home / "thesis.tex"):
        with pytest.raises(errors.OutputExistsError, match="is not a Zarr array"):
            ingest(tmp_path / "a.npy", target, overwrite=True)
    with pytest.raises(errors.ConfigError, match="contains the source"):
        ingest(tmp_path / "a.npy", tmp_path, overwrite=True)
    assert (home / "thesis.tex").read_text() == "years of work"


def test_link_to_an_array_is_followed(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    ingest(tmp_path / "a.npy", out)
    (tmp_path / "link.zarr").symlink_to(out)
    ingest(tmp_path / "a.npy", tmp_path / "link.zarr", dtype="float32", overwrite=True)
    assert (tmp_path / "link.zarr").is_symlink()
    same(out, X.astype("f4"))


def test_target_that_cannot_be_written(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StorageError, match="cannot write"):
        ingest(tmp_path / "a.npy", tmp_path / "file" / "x.zarr")


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=ROOT,
    )


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files fails a write in the middle, as a full disk does."""
    np.save(tmp_path / "a.npy", RNG.normal(size=(20_000, 8)))
    code = """
        import resource, sys
        from emdist.errors import StorageError
        from emdist.ingest import ingest
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            ingest(sys.argv[1], sys.argv[2])
        except StorageError as error:
            print(error)
    """
    (tmp_path / "out").mkdir()
    result = run(code, tmp_path / "a.npy", tmp_path / "out" / "x.zarr")
    assert "File too large" in result.stdout, result.stderr
    assert not list((tmp_path / "out").iterdir())


def test_object_store_marks_completion(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", X[:500] + 1)
    target = Location(f"memory://bucket/{tmp_path.name}/x.zarr")
    marks: list[bool] = []

    def look(*_: int) -> None:
        store = open_zarr_store(target, read_only=True)
        marks.append(bool(zarr.open_array(store, mode="r").attrs["emdist.complete"]))

    ingest(tmp_path / "a.npy", target, rows_per_chunk=100, done=look)
    assert set(marks) == {False}
    store = open_zarr_store(target, read_only=True)
    assert zarr.open_array(store, mode="r").attrs["emdist.complete"] is True
    with pytest.raises(errors.OutputExistsError):
        ingest(tmp_path / "a.npy", target)
    marks.clear()
    ingest(tmp_path / "b.npy", target, rows_per_chunk=100, overwrite=True, done=look)
    assert set(marks) == {True}  # the old array stays until the new one is complete
    array = zarr.open_array(store, mode="r")
    np.testing.assert_array_equal(array[:], X[:500] + 1)
    assert array.attrs["emdist.complete"] is True
    assert array.attrs["source"] == ["b.npy"]
    with pytest.raises(errors.ConfigError, match="whole bucket"):
        ingest(tmp_path / "a.npy", "memory://bucket")


# --- memory and kills ----------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_follows_the_chunk(tmp_path: Path, order: str) -> None:
    shape = (1_600_000, 32)
    x = np.lib.format.open_memmap(
        tmp_path / "a.npy", mode="w+", dtype="f4", shape=shape, fortran_order=order == "F"
    )
    x[:] = np.arange(shape[0], dtype="f4")[:, None]
    del x
    np.save(tmp_path / "small.npy", X)
    # VmHWM and not getrusage: ru_maxrss starts at the peak of the process that started us.
    code = """
        import sys
        from pathlib import Path
        from emdist.ingest import ingest

        def peak():
            lines = Path("/proc/self/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

        folder = Path(sys.argv[1])
        ingest(folder / "small.npy", folder / "small.zarr")
        before = peak()
        ingest(folder / "a.npy", folder / "a.zarr")
        print(peak() - before)
    """
    result = run(code, tmp_path)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 70, "MiB more for a file of 195 MiB"
    assert load(tmp_path / "a.zarr")[-1, 0] == shape[0] - 1


@pytest.mark.parametrize("name", ["a.npy", "a.csv"])
def test_kill_leaves_no_target(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "a.csv").write_text(csv_text(X, "a,b,c,d"))
    code = """
        import os, signal, sys
        from emdist.ingest import ingest

        def die(rows, total):
            if rows >= 500:
                os.kill(os.getpid(), signal.SIGKILL)

        ingest(sys.argv[1], sys.argv[2], rows_per_chunk=100, done=die)
    """
    out = tmp_path / "x.zarr"
    result = run(code, tmp_path / name, out)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert not out.exists()
    partial = [p for p in tmp_path.iterdir() if ".partial-" in p.name and p.is_dir()]
    assert len(partial) == 1
    assert load(partial[0]).attrs["emdist.complete"] is False
    # Of an ingest that is at work, of another target, and of one of which nothing is known.
    busy, lock = tmp_path / "x.zarr.partial-00000000", tmp_path / "x.zarr.partial-00000000.lock"
    others = [tmp_path / "y.zarr.partial-00000000", tmp_path / "x.zarr.partial-11111111"]
    for folder in (busy, *others):
        folder.mkdir()
    (tmp_path / "y.zarr.partial-00000000.lock").write_text("")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ingest(tmp_path / name, out)  # the remains do not disturb
    same(out, X)
    assert not partial[0].exists()
    assert all(folder.exists() for folder in (busy, *others))
    locks = sorted(p.name for p in tmp_path.glob("*.lock*"))
    assert locks == [lock.name, "y.zarr.partial-00000000.lock"]
    ingest(tmp_path / name, out, overwrite=True)
    assert not busy.exists(), "its owner has gone"


def test_the_same_ingest_once_more_is_done_already(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    first = ingest(tmp_path / "a.npy", out, weight_column=None)
    stamp = (out / "zarr.json").stat().st_mtime_ns
    again = ingest(tmp_path / "a.npy", out)
    assert again.notes[0].startswith("done already")
    assert replace(again, notes=first.notes) == first
    assert (out / "zarr.json").stat().st_mtime_ns == stamp
    for options in ({"dtype": "float32"}, {"rows_per_chunk": 7}, {"columns": [0]}):
        with pytest.raises(errors.OutputExistsError):
            ingest(tmp_path / "a.npy", out, **options)
    np.save(tmp_path / "b.npy", X)
    with pytest.raises(errors.OutputExistsError):
        ingest(tmp_path / "b.npy", out)
    array = zarr.open_array(out, mode="r+")
    array.attrs["emdist.complete"] = False
    with pytest.raises(errors.OutputExistsError):
        ingest(tmp_path / "a.npy", out)
    array.attrs["emdist.complete"] = True
    os.utime(tmp_path / "a.npy", ns=(1, 1))
    with pytest.raises(errors.OutputExistsError):
        ingest(tmp_path / "a.npy", out)


def test_the_same_ingest_with_weights_wants_both_arrays(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text("a,w\n1,2\n3,4\n")
    first = ingest(tmp_path / "a.csv", out, weight_column="w")
    again = ingest(tmp_path / "a.csv", out, weight_column="w")
    assert replace(again, notes=()) == first
    assert again.notes[0].startswith("done already")
    assert first.weights is not None
    shutil.rmtree(first.weights.path)
    with pytest.raises(errors.OutputExistsError):
        ingest(tmp_path / "a.csv", out, weight_column="w")


def test_kill_while_overwriting_keeps_the_old_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    ingest(tmp_path / "a.npy", tmp_path / "x.zarr")
    code = """
        import os, signal, sys
        from emdist.ingest import ingest

        kill = lambda rows, total: os.kill(os.getpid(), signal.SIGKILL)
        ingest(sys.argv[1], sys.argv[2], dtype="float32", overwrite=True, done=kill)
    """
    result = run(code, tmp_path / "a.npy", tmp_path / "x.zarr")
    assert result.returncode == -signal.SIGKILL
    same(tmp_path / "x.zarr", X)


def test_interrupt_cleans_up(tmp_path: Path, out: Path) -> None:
    np.save(tmp_path / "a.npy", X)

    # A shell starts what runs in the background with interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(*_: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        ingest(tmp_path / "a.npy", out, rows_per_chunk=10, done=interrupt)
    assert not list(out.parent.iterdir())


def test_several_columns_without_a_name_are_told(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text(",,a,b\nx,1,1.0,2.0\ny,2,3.0,4.0\n")
    with pytest.raises(errors.DataError, match=r"several columns without a name, .* index=False"):
        ingest(tmp_path / "a.csv", out)
