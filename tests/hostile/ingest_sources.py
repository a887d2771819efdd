"""Files to ingest that lie about themselves or unpack to far more than they take, one maker each.

A maker writes into a folder and gives the source to ingest.
"""

from __future__ import annotations

import base64
import gzip
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

#: Bytes that a bomb unpacks to.
HUGE = 256 << 20
ROWS = np.random.default_rng(0).normal(size=(60, 3))


# ---- NPY and NPZ


def npy(
    shape: object = (60, 3),
    descr: object = "<f8",
    fortran: bool = False,
    body: bytes = b"",
    text: str = "",
    length: int | None = None,
) -> bytes:
    """An NPY file of version 2 with any header at all."""
    head = text or repr({"descr": descr, "fortran_order": fortran, "shape": shape})
    raw = head.encode("latin1") + b"\n"
    size = len(raw) if length is None else length
    return b"\x93NUMPY\x02\x00" + size.to_bytes(4, "little") + raw + body


def _npy(folder: Path, **what: Any) -> Path:
    (folder / "a.npy").write_bytes(npy(**what))
    return folder / "a.npy"


def _holes(folder: Path, name: str, data: bytes, nbytes: int) -> Path:
    """`data` and nothing behind it: a file that takes no room."""
    path = folder / name
    path.write_bytes(data)
    os.truncate(path, nbytes)
    return path


def _npz(
    folder: Path,
    data: bytes | None = None,
    name: str = "a.npy",
    kind: int = zipfile.ZIP_DEFLATED,
    zeros: int = 0,
) -> Path:
    """An NPZ of one member: `data`, and as many zeros."""
    path = folder / "a.npz"
    with (
        zipfile.ZipFile(path, "w", kind, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as stream,
    ):
        stream.write(npy(body=ROWS.tobytes()) if data is None else data)
        for _ in range(zeros >> 20):
            stream.write(bytes(1 << 20))
    return path


def _two_sizes(folder: Path, told: int) -> Path:
    """A member of `HUGE` zeros whose directory says that it has `told` bytes."""
    path = _npz(folder, zeros=HUGE)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = told.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def _encrypted(folder: Path) -> Path:
    path = _npz(folder)
    data = bytearray(path.read_bytes())
    for at in (data.rindex(b"PK\x01\x02") + 8, data.index(b"PK\x03\x04") + 6):
        data[at] |= 1
    path.write_bytes(data)
    return path


def _directory_of_holes(folder: Path) -> Path:
    """An archive whose directory has a tebibyte of nothing."""
    size = 1 << 40
    end64 = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, size, 0)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, size, 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    path = folder / "a.npz"
    with path.open("wb") as stream:
        stream.truncate(size)
        stream.seek(size)
        stream.write(end64 + locator + end)
    return path


def _many_members(folder: Path) -> Path:
    path = folder / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(3000):
            archive.writestr(f"{'x' * 300}{i}.npy", npy(body=ROWS.tobytes()))
    return path


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch CANARY",)


def _pickled(folder: Path) -> Path:
    objects = np.empty((2, 2), object)
    objects[:] = _Evil()
    np.save(folder / "a.npy", objects, allow_pickle=True)
    return folder / "a.npy"


def _pickled_member(folder: Path) -> Path:
    return _npz(folder, _pickled(folder).read_bytes())


# ---- text


def _text(folder: Path, text: str | bytes, name: str = "a.csv") -> Path:
    raw = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(raw)
    return folder / name


def _gzipped(folder: Path, line: bytes, nbytes: int, head: bytes = b"") -> Path:
    """`line` so often that it takes `nbytes` when it is unpacked."""
    path = folder / "a.csv.gz"
    many = line * max(1, (1 << 20) // len(line))
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(head)
        for _ in range(nbytes // len(many)):
            stream.write(many)
    return path


# ---- Parquet


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _parquet(folder: Path, table: Any, **how: Any) -> Path:
    pq.write_table(table, folder / "a.parquet", **how)
    return folder / "a.parquet"


def _page(values: int, unpacked: int, packed: int, body: bytes, kind: int = 0) -> bytes:
    """A page with a header in Thrift's compact form (parquet.thrift, PageHeader)."""

    def field(delta: int, value: int) -> bytes:
        return bytes([delta << 4 | 5]) + _varint(value << 1)

    head = field(1, kind) + field(1, unpacked) + field(1, packed)
    if kind == 0:
        head += bytes([2 << 4 | 12]) + field(1, values) + field(1, 0) + field(1, 3) + field(1, 3)
    else:
        head += bytes([4 << 4 | 12]) + field(1, values) + field(1, 0)
    return head + b"\x00\x00" + body


def _paged(folder: Path, *pages: bytes) -> Path:
    """A column of 60 zeros, gzipped, in pages that are replaced by others."""
    schema = pa.schema([pa.field("a", pa.float64(), nullable=False)])
    path = _parquet(
        folder, pa.table({"a": np.zeros(60)}, schema), compression="gzip", use_dictionary=False,
        store_schema=False,
    )  # fmt: skip
    data = path.read_bytes()
    column = pq.read_metadata(path).row_group(0).column(0)
    start, size = column.data_page_offset, column.total_compressed_size
    body = b"".join(pages)
    footer = data[start + size : -8].replace(_varint(size << 1), _varint(len(body) << 1))
    path.write_bytes(data[:start] + body + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    return path


@cache
def _zipped(nbytes: int) -> bytes:
    make = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(make.compress(bytes(1 << 20)) for _ in range(nbytes >> 20)) + make.flush()


def _page_bomb(folder: Path) -> Path:
    body = _zipped(HUGE)
    return _paged(folder, _page(60, HUGE, len(body), body))


def _page_that_claims(folder: Path) -> Path:
    body = gzip.compress(bytes(480))
    return _paged(folder, _page(60, 2**31 - 1, len(body), body))


def _page_with_too_many(folder: Path) -> Path:
    body = _zipped(HUGE)
    return _paged(folder, _page(HUGE // 8, HUGE, len(body), body))


def _dictionary_bomb(folder: Path) -> Path:
    body, ones = _zipped(HUGE), gzip.compress(b"\x01\x78\x00" * 1)
    first = _page(HUGE // 8, HUGE, len(body), body, kind=2)
    return _paged(folder, first, _page(60, 3, len(ones), ones))


def _rows_that_are_not(folder: Path) -> Path:
    """A footer that counts 2^60 rows where there are 60."""
    table = pa.table({"a": np.arange(61.0)})
    path = _parquet(folder, table, store_schema=False, use_dictionary=False)
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    foot = data[-8 - footer : -8].replace(_varint(61 << 1), _varint(2**60 << 1))
    path.write_bytes(data[: -8 - footer] + foot + len(foot).to_bytes(4, "little") + b"PAR1")
    return path


def _another_type(folder: Path) -> Path:
    """Integers whose footer tells of another type where they are stored."""
    path = _parquet(
        folder, pa.table({"a": np.arange(60)}), store_schema=False, use_dictionary=False
    )
    data = path.read_bytes()
    column = pq.read_metadata(path).row_group(0).column(0)
    end = column.data_page_offset + column.total_compressed_size
    told = b"\x1c\x15\x04\x19"  # ColumnMetaData: INT64, and then the list of encodings
    assert data[end:].count(told) == 1
    path.write_bytes(data[:end] + data[end:].replace(told, b"\x1c\x15\x78\x19"))
    return path


def _long_list(folder: Path) -> Path:
    """A row with a list of 2^25 zeros."""
    cells = pa.array(np.zeros(1 << 25, np.float32))
    lists = pa.ListArray.from_arrays(pa.array([0, 1 << 25], pa.int32()), cells)
    return _parquet(folder, pa.table({"a": lists}), compression="zstd")


def beside_structs(folder: Path) -> Path:
    """Integers behind columns that are stored as several."""
    pairs = pa.array([{"x": 1, "y": {"z": None}}] * 60)
    return _parquet(folder, pa.table({"p": pairs, "m": [[(1, 2)]] * 60, "a": np.arange(60)}))


def _fixed_list(folder: Path) -> Path:
    """A schema that claims lists of 2^31 - 1 values, where there are two in each."""
    schema = pa.schema([pa.field("a", pa.list_(pa.float32(), 2**31 - 1))])
    stored = base64.b64encode(schema.serialize().to_pybytes())
    table = pa.table({"a": pa.array([[1.0, 2.0]] * 60, pa.list_(pa.float32()))})
    table = table.replace_schema_metadata({"ARROW:schema": stored})
    return _parquet(folder, table, store_schema=False)


def _extension(folder: Path) -> Path:
    """A type that older readers unpickled."""
    meta = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(_Evil()),
    }
    schema = pa.schema([pa.field("a", pa.float64(), metadata=meta)])
    return _parquet(folder, pa.table({"a": np.arange(60.0)}).cast(schema))


def _footer_of_holes(folder: Path) -> Path:
    path = folder / "a.parquet"
    size = (1 << 31) - 1
    with path.open("wb") as stream:
        stream.write(b"PAR1")
        stream.seek(size + 4)
        stream.write(size.to_bytes(4, "little") + b"PAR1")
    return path


def _cut(make: Callable[[Path], Path], share: float) -> Callable[[Path], Path]:
    def cut(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        return path

    return cut


def _wide_parquet(folder: Path, columns: int) -> Path:
    names = [f"c{i}" for i in range(columns)]
    cells = pa.array([0.5, 1.5])
    return _parquet(folder, pa.Table.from_arrays([cells] * columns, names))


# ---- images


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _png(folder: Path, width: int, height: int, lines: int, *more: bytes) -> Path:
    """A grey PNG that claims a size, and has so many lines of zeros."""
    make = zlib.compressobj(1)
    line = bytes(width + 1)
    packed = b"".join(make.compress(line) for _ in range(lines)) + make.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + b"".join(more)
    data += _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    (folder / "a.png").write_bytes(data)
    return folder / "a.png"


def _postscript(folder: Path) -> Path:
    text = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    (folder / "a.png").write_text(text)
    return folder / "a.png"


def _image(folder: Path, name: str, **how: Any) -> Path:
    pixels = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    Image.fromarray(pixels).save(folder / name, **how)
    return folder / name


def _many_pages(folder: Path) -> Path:
    """A TIFF of 60,000 directories that are all the same, one behind the other."""
    pages = 60_000
    entries = [(256, 4, 1), (257, 4, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8),
               (277, 3, 1), (278, 4, 1), (279, 4, 1)]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    ends = [16 + (i + 1) * (len(directory) + 4) for i in range(pages - 1)] + [0]
    head = b"II*\x00" + (16).to_bytes(4, "little") + bytes(8)
    data = head + b"".join(directory + end.to_bytes(4, "little") for end in ends)
    (folder / "a.tif").write_bytes(data)
    return folder / "a.tif"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.npy")
    return folder / "a.npy"


def _device(folder: Path) -> Path:
    (folder / "a.csv").symlink_to("/dev/zero")
    return folder / "a.csv"


Maker = Callable[[Path], Path]

MAKERS: dict[str, Maker] = {
    # shapes and types that are not there
    "npy, 2^60 rows": lambda f: _npy(f, shape=(2**60, 3)),
    "npy, 2^60 features": lambda f: _npy(f, shape=(60, 2**60)),
    "npy, no rows of 2^60": lambda f: _npy(f, shape=(0, 2**60)),
    "npy, 2^60 rows of nothing": lambda f: _npy(f, shape=(2**60, 0)),
    "npy, 2^60 rows of no bytes": lambda f: _npy(f, shape=(2**60, 3), descr="|V0"),
    "npy, -60 rows": lambda f: _npy(f, shape=(-60, 3)),
    "npy, -60 rows of -3": lambda f: _npy(f, shape=(-60, -3), body=bytes(1440)),
    "npy, rows that are no number": lambda f: _npy(f, shape=(True, 3), body=bytes(24)),
    "npy, a long number": lambda f: _npy(f, text="{'shape': (" + "9" * 5000 + ",)}"),
    "npy, a type of 2^40 bytes": lambda f: _npy(f, descr="<U1000000000"),
    "npy, a type of types": lambda f: _npy(f, descr=()),
    "npy, a deep type": lambda f: _npy(f, descr=[("a", [("b", [("c", "<f8")] * 9)] * 9)]),
    "npy, a type that is none": lambda f: _npy(f, descr="nothing"),
    "npy, signs": lambda f: _npy(f, text="-" * 9000 + "1"),
    "npy, brackets": lambda f: _npy(f, text="[" * 9000),
    "npy, open brackets": lambda f: _npy(f, text="{'descr': ("),
    "npy, a header with code": lambda f: _npy(f, text="__import__('os').system('touch CANARY')"),
    "npy, a header of 4 GiB": lambda f: _npy(f, length=2**32 - 1),
    "npy, a header of holes": lambda f: _holes(f, "a.npy", npy(length=2**31)[:12], 2**31 + 99),
    "npy, pickled": _pickled,
    "npy, cut": _cut(lambda f: _npy(f, body=ROWS.tobytes()), 0.7),
    "npy, holes": lambda f: _holes(f, "a.npy", npy((HUGE // 8, 1)), HUGE + 200),
    "npy, wide": lambda f: _npy(f, shape=(1, 1 << 18), descr="|u1", body=bytes(1 << 18)),
    "npy, too wide": lambda f: _npy(f, shape=(1, 10**6), descr="|u1", body=bytes(10**6)),
    "npy, NaN": lambda f: _npy(
        f, shape=(2, 2), body=np.array([np.nan, np.inf, -0.0, 5e-324]).tobytes()
    ),
    # archives
    "npz, zeros": lambda f: _npz(f, npy((HUGE // 8, 1)), zeros=HUGE),
    "npz, zeros, columns first": lambda f: _npz(f, npy((HUGE // 16, 2), fortran=True), zeros=HUGE),
    "npz, zeros behind the rows": lambda f: _npz(f, zeros=HUGE),
    "npz, zeros behind the columns": lambda f: _npz(
        f, npy(fortran=True, body=ROWS.tobytes()), zeros=HUGE
    ),
    "npz, a header of zeros": lambda f: _npz(f, npy(length=HUGE)[:12], zeros=HUGE),
    "npz, fewer bytes than there are": lambda f: _two_sizes(f, 1600),
    "npz, more bytes than there are": lambda f: _npz(f, npy((2**60, 3))),
    "npz, columns that are not there": lambda f: _npz(f, npy((2**60, 3), fortran=True)),
    "npz, bzip2": lambda f: _npz(f, kind=zipfile.ZIP_BZIP2, zeros=4 << 20),
    "npz, lzma": lambda f: _npz(f, kind=zipfile.ZIP_LZMA, zeros=4 << 20),
    "npz, a way out": lambda f: _npz(f, npy(fortran=True, body=ROWS.tobytes()), "../../CANARY.npy"),
    "npz, an absolute name": lambda f: _npz(
        f, npy(fortran=True, body=ROWS.tobytes()), "/CANARY.npy"
    ),
    "npz, a name of dots": lambda f: _npz(f, npy(fortran=True, body=ROWS.tobytes()), "...npy"),
    "npz, encrypted": _encrypted,
    "npz, a directory of holes": _directory_of_holes,
    "npz, many members": _many_members,
    "npz, pickled": _pickled_member,
    "npz, cut": _cut(_npz, 0.7),
    # text
    "csv, zeros": lambda f: _gzipped(f, b"0,0\n", 40 << 20),
    "csv, no end of a line": lambda f: _gzipped(f, b"0,", 64 << 20),
    "csv, blank lines": lambda f: _gzipped(f, b"\n", 64 << 20),
    "csv, one long cell": lambda f: _gzipped(f, b"0", 64 << 20),
    "csv, a long cell": lambda f: _text(f, "1" * 200_000 + ",2\n3,4\n"),
    "csv, a long name": lambda f: _text(f, "a" * 200_000 + ",b\n3,x\n"),
    "csv, a long line": lambda f: _gzipped(f, b"0,", 48 << 20, b"1,2\n"),
    "csv, a long first line": lambda f: _text(f, "1," * (20 << 20) + "1\n"),
    "csv, open quotes": lambda f: _text(f, 'a,b\n"1,2\n' + "3,4\n" * 300_000),
    "csv, NUL": lambda f: _text(f, b"a,b\n1,\0\n"),
    "csv, holes": lambda f: _holes(f, "a.csv", b"a,b\n1,2\n", HUGE),
    "csv, wide": lambda f: _text(f, "1," * 999_999 + "1\n"),
    "csv, wide names": lambda f: _text(
        f, ",".join(f"c{i}" for i in range(10**6)) + "\n" + "1," * 999_999 + "1\n"
    ),
    "csv, 8000 columns": lambda f: _text(f, ("1," * 7_999 + "1\n") * 40),
    "csv, cut": _cut(lambda f: _gzipped(f, b"1.5,2.5\n", 4 << 20), 0.7),
    "csv, NaN": lambda f: _text(f, "a,b\nnan,inf\n,-1e999\n"),
    # Parquet
    "parquet, a page of zeros": _page_bomb,
    "parquet, a page that claims": _page_that_claims,
    "parquet, a page with too many": _page_with_too_many,
    "parquet, a dictionary of zeros": _dictionary_bomb,
    "parquet, 2^60 rows": _rows_that_are_not,
    "parquet, another type": _another_type,
    "parquet, a long list": _long_list,
    "parquet, fixed lists": _fixed_list,
    "parquet, an extension": _extension,
    "parquet, a footer of holes": _footer_of_holes,
    "parquet, zeros": lambda f: _parquet(
        f, pa.table({"a": np.zeros(HUGE // 8)}), compression="zstd"
    ),
    "parquet, one page of zeros": lambda f: _parquet(
        f,
        pa.table({"a": np.zeros(HUGE // 8)}),
        compression="zstd",
        use_dictionary=False,
        data_page_size=HUGE * 2,
        write_batch_size=HUGE,
    ),
    "parquet, wide": lambda f: _wide_parquet(f, 10_000),
    "parquet, a long name": lambda f: _parquet(f, pa.table({"a" * 10**6: ["x"]})),
    "parquet, cut": _cut(lambda f: _parquet(f, pa.table({"a": ROWS[:, 0]})), 0.7),
    "parquet, NaN": lambda f: _parquet(f, pa.table({"a": [np.nan, None, np.inf]})),
    # images
    "png, 10^9 lines": lambda f: _png(f, 100, 10**9, 10),
    "png, lines that are not there": lambda f: _png(f, 13_000, 13_000, 10),
    "png, half of its lines": lambda f: _png(f, 900, 900, 450),
    "png, as large as it says": lambda f: _png(f, 6_000, 6_000, 6_000),
    "png, no lines": lambda f: _png(f, 0, 0, 0),
    "png, text": lambda f: _png(
        f, 9, 9, 9, *[_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20), 9))] * 200
    ),
    "png, a profile": lambda f: _png(
        f, 9, 9, 9, _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(HUGE >> 2), 1))
    ),
    "png, PostScript": _postscript,
    "tiff, many pages": _many_pages,
    "png, cut": _cut(lambda f: _image(f, "a.png"), 0.7),
    "jpg, cut": _cut(lambda f: _image(f, "a.jpg"), 0.7),
    "tif, cut": _cut(lambda f: _image(f, "a.tif", compression="tiff_lzw"), 0.7),
    "bmp, cut": _cut(lambda f: _image(f, "a.bmp"), 0.7),
    # what is no file
    "a pipe": _pipe,
    "a device": _device,
}
