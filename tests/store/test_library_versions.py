"""What libraries changed between the versions that emdist supports: both ways are read alike.

Zarr up to 3.2 holds settings of codecs as enums, later ones as text. NumPy's NDArray is an alias
of Python's own from 2.5 on. Each test has both ways, whatever is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from typing_extensions import TypeAliasType, TypeVar
from zarr.codecs import ShardingCodec

from emdist.errors import CheckpointError
from emdist.store.chunks.layout import missing_rows, spelled
from emdist.store.chunks.writing import _packing as packing_of_labels
from emdist.store.chunks.writing import packers
from emdist.store.runs.codec import decode, encode
from emdist.store.sources.chunk_files import unblosc, unpacking, unzstd

SETTINGS = ("endian", "index_location", "cname", "shuffle")


def as_text(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def as_enum(value: Any) -> Any:
    return value if isinstance(value, Enum) else Enum("Setting", {str(value): value})(value)


def respelled(codecs: Any, spell: Any) -> None:
    """Change the settings of all codecs, those within shards too, as another Zarr spells them."""
    for codec in codecs:
        for name in SETTINGS:
            if getattr(codec, name, None) is not None:
                object.__setattr__(codec, name, spell(getattr(codec, name)))
        if isinstance(codec, ShardingCodec):
            respelled((*codec.codecs, *codec.index_codecs), spell)


@pytest.mark.newest
@pytest.mark.newest_short
@pytest.mark.parametrize("spell", [as_text, as_enum])
@pytest.mark.parametrize("place", ["start", "end"])
def test_shards_are_read_and_looked_into(spell: Any, place: str, tmp_path: Path) -> None:
    sharding = ShardingCodec(
        chunk_shape=(5, 2), index_location=place, codecs=[*zarr_codecs(), zarr.codecs.ZstdCodec()]
    )
    array = zarr.create_array(
        tmp_path / "x.zarr", shape=(40, 2), chunks=(20, 2), dtype="f8",
        serializer=sharding, compressors=None, filters=None,
    )  # fmt: skip
    array[:5] = 1.0
    array[20:] = 1.0
    array = zarr.open_array(tmp_path / "x.zarr", mode="r")
    respelled(array.metadata.codecs, spell)  # type: ignore[union-attr]
    assert missing_rows(array) == ((5, 20),)
    assert unpacking(array) == (unzstd, place)


def zarr_codecs() -> list[Any]:
    return [zarr.codecs.BytesCodec(endian="little")]


@pytest.mark.newest
@pytest.mark.newest_short
@pytest.mark.parametrize("spell", [as_text, as_enum])
def test_labels_are_packed_by_the_threads_that_make_them(spell: Any, tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "x.zarr", shape=(40,), chunks=(10,), dtype="i4",
        compressors=packers("int32", (10,)),
    )  # fmt: skip
    respelled(array.metadata.codecs, spell)  # type: ignore[union-attr]
    assert packing_of_labels(array) is not None
    blosc = zarr.create_array(
        tmp_path / "y.zarr", shape=(40, 1), chunks=(10, 1), dtype="i4",
        compressors=zarr.codecs.BloscCodec(cname="lz4"),
    )  # fmt: skip
    respelled(blosc.metadata.codecs, spell)  # type: ignore[union-attr]
    assert unpacking(blosc) == (unblosc, "")


@pytest.mark.newest
def test_settings_are_spelled_alike() -> None:
    assert spelled("big") == spelled(as_enum("big")) == "big"


S = TypeVar("S", bound=np.generic)
Aliased = TypeAliasType("Aliased", np.ndarray[Any, np.dtype[S]], type_params=(S,))
Twice = TypeAliasType("Twice", Aliased[np.float64])  # type: ignore[valid-type]


@dataclass(frozen=True)
class Stored:
    plain: np.ndarray[Any, np.dtype[np.float64]]
    numpys: NDArray[np.int64]
    aliased: Aliased[np.float64]  # type: ignore[valid-type]
    twice: Twice  # type: ignore[valid-type]


def test_arrays_annotated_by_an_alias_are_stored() -> None:
    value = Stored(np.ones(2), np.arange(3), np.zeros(1), np.full(2, 7.0))
    arrays, meta = encode(value)
    back = decode(Stored, arrays, meta)
    for name in Stored.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(back, name), getattr(value, name))


@pytest.mark.parametrize("name", ["plain", "aliased", "twice"])
def test_an_alias_still_says_of_which_type(name: str) -> None:
    value = Stored(np.ones(2), np.arange(3), np.zeros(1), np.full(2, 7.0))
    arrays, meta = encode(value)
    with pytest.raises(CheckpointError, match=name):
        decode(Stored, arrays | {name: np.zeros(2, np.int64)}, meta)
