"""Blocks are read while others are worked on, within a budget, and no bit depends on it."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.composition.caching import ahead_source, kept_source
from emdist.composition.make import make_engine
from emdist.engines.budget import shares
from emdist.engines.clusters.local import Local
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.dask.placement import following
from emdist.engines.threads import LocalEngine, expecting
from emdist.errors import MissingChunksError
from emdist.interfaces import Block
from emdist.runtime.cache import RESIDENT
from emdist.settings.config import ClusterSection
from emdist.store.sources.ahead import READ_AHEAD, Ahead, ReadAhead
from emdist.store.sources.references import reference
from emdist.store.sources.zarr_source import ZarrSource, zarr_source
from emdist.sums import Sums

PATIENCE = 20.0


def block(i: int) -> Block:
    return Block(i, i, np.full((4, 1), i, "f4"))


def source_of(path: Path, **more: Any) -> ZarrSource:
    x = np.random.default_rng(0).random((80, 3)).astype("f4")
    zarr.create_array(path, data=x, chunks=(10, 3), **more)
    return zarr_source(reference(str(path)), block_bytes=120)


class Gate:
    """Reads that wait until they are let through, and tell when they began."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.open = threading.Event()
        self.changed = threading.Condition()

    def read(self, i: int) -> Block:
        with self.changed:
            self.begun.append(i)
            self.changed.notify_all()
        assert self.open.wait(PATIENCE)
        return block(i)

    def until_begun(self, *blocks: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: set(blocks) <= set(self.begun), PATIENCE)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


# ---- the reader


def test_a_block_is_read_before_it_is_asked_for_and_given_once(gate: Gate) -> None:
    ahead, reader = Ahead("a", 100), ReadAhead()
    assert reader.begin(ahead, 3, 16, gate.read)
    gate.until_begun(3)
    assert reader.nbytes == 16
    gate.open.set()
    found = reader.take(ahead, 3)
    assert found is not None
    assert found.index == 3
    assert reader.take(ahead, 3) is None
    assert reader.nbytes == 0


def test_the_budget_is_kept_and_used_when_there_is_room(gate: Gate) -> None:
    ahead, reader = Ahead("a", 40), ReadAhead()
    assert reader.begin(ahead, 0, 16, gate.read)
    assert reader.begin(ahead, 1, 16, gate.read)
    assert not reader.begin(ahead, 2, 16, gate.read), "48 bytes of 40"
    assert not reader.begin(ahead, 3, 41, gate.read)
    assert reader.nbytes == 32
    gate.until_begun(0, 1)
    gate.open.set()
    assert reader.take(ahead, 0) is not None
    gate.until_begun(2)  # the room that block 0 had
    assert reader.take(ahead, 2) is not None
    assert 3 not in gate.begun


def test_what_fails_is_left_to_whoever_asks() -> None:
    def fails(i: int) -> Block:
        raise OSError("gone")

    ahead, reader = Ahead("a", 100), ReadAhead()
    assert reader.begin(ahead, 0, 16, fails)
    assert reader.take(ahead, 0) is None
    assert reader.nbytes == 0


def test_blocks_that_nobody_takes_make_room(gate: Gate) -> None:
    gate.open.set()
    ahead, other, reader = Ahead("a", 16), Ahead("b", 16), ReadAhead()
    assert reader.begin(ahead, 0, 16, gate.read)
    assert reader.begin(other, 0, 16, gate.read), "another source's go first"
    assert reader.take(ahead, 0) is None
    # Stolen by another worker: it is overtaken, and goes.
    for i in range(1, 12):
        reader.begin(other, i, 16, gate.read)
    assert reader.nbytes == 16
    assert reader.take(other, 0) is None
    [(_, held)] = reader._entries
    gate.until_begun(held)
    assert reader.take(other, held) is not None
    reader.forget("b")
    assert reader.nbytes == 0
    assert all(reader.take(other, i) is None for i in range(20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_reads_for_itself(gate: Gate) -> None:
    """It has none of the threads that its parent reads with."""
    ahead, reader = Ahead("a", 100), ReadAhead()
    assert reader.begin(ahead, 0, 16, gate.read)
    gate.until_begun(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE))
        held, taken = reader.nbytes, reader.take(ahead, 0)
        began = reader.begin(ahead, 1, 16, block)
        while not reader._entries["a", 1].reading._found.qsize():  # until its own thread has it
            pass
        read = reader.take(ahead, 1)
        os._exit(int((held, taken, began, read is not None) != (0, None, True, True)))
    assert os.waitpid(child, 0)[1] == 0
    gate.open.set()
    assert reader.take(ahead, 0) is not None, "the parent's goes on"


# ---- the source and the engines


@dataclass(frozen=True)
class Total:
    source: Any
    meet: Callable[[int], None] = field(default=lambda i: None)

    def __call__(self, i: int) -> Sums:
        x = self.source.read(i).x
        self.meet(i)
        return Sums({"x": x.sum(axis=0, dtype=np.float64)})


#: Blocks whose read has begun, for tasks that have been pickled.
BEGUN: list[int] = []
CHANGED = threading.Condition()


def meet_next(i: int) -> None:
    """Work on block `i` of 8 until the read of the next has begun."""
    with CHANGED:
        assert i == 7 or CHANGED.wait_for(lambda: i + 1 in BEGUN, PATIENCE)


KINDS: dict[str, dict[str, Any]] = {
    "zstd": {},
    "several plain files": {"compressors": None},
    "zarr's reader": {"compressors": zarr.codecs.GzipCodec()},
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_next_block_is_read_while_one_is_worked_on(
    kind: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block is worked on until the read of one that no thread has come to has begun."""
    plain = source_of(tmp_path / "x", **KINDS[kind])
    wide = replace(plain, bounds=plain.bounds[::2])  # two files a block: they are not mapped
    source = replace(wide, ahead=Ahead("test", 2 * 20 * 3 * 4))
    begun: list[int] = []
    changed, own = threading.Condition(), ZarrSource._read

    def read(self: ZarrSource, i: int) -> Block:
        with changed:
            begun.append(i)
            changed.notify_all()
        return own(self, i)

    def meet(i: int) -> None:
        if i + threads < len(source):
            with changed:
                assert changed.wait_for(lambda: max(begun) >= i + threads, PATIENCE)

    monkeypatch.setattr(ZarrSource, "_read", read)
    found = LocalEngine(threads).map_reduce(Total(source, meet), range(len(source)))
    assert sorted(begun) == list(range(len(source))), "each once"
    monkeypatch.undo()
    assert found.equals(LocalEngine(1).map_reduce(Total(wide), range(len(source))))
    assert READ_AHEAD.nbytes == 0


def test_a_dask_worker_reads_the_next_block_while_it_works_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above; the worker is in this process, and has one thread."""
    plain, own = source_of(tmp_path / "x"), ZarrSource._read
    BEGUN.clear()

    def read(self: ZarrSource, i: int) -> Block:
        with CHANGED:
            BEGUN.append(i)
            CHANGED.notify_all()
        return own(self, i)

    with Local(n_workers=1, processes=False, threads_per_worker=1).open() as client:
        source = ahead_source(plain, DaskEngine(client))
        assert isinstance(source, ZarrSource)
        assert source.ahead is not None
        monkeypatch.setattr(ZarrSource, "_read", read)
        found = DaskEngine(client).map_reduce(Total(source, meet_next), range(len(source)))
    assert sorted(BEGUN) == list(range(len(source))), ("each once", BEGUN)
    monkeypatch.undo()
    assert found.equals(LocalEngine(1).map_reduce(Total(plain), range(len(source))))
    assert READ_AHEAD.nbytes == 0


def test_mapped_and_kept_blocks_are_not_read_ahead(tmp_path: Path) -> None:
    mapped = replace(source_of(tmp_path / "x", compressors=None), ahead=Ahead("m", 1 << 20))
    mapped.expect(1)
    assert READ_AHEAD.nbytes == 0
    packed = source_of(tmp_path / "y")
    section = ClusterSection(memory="1 GiB")
    with (
        make_engine(section, packed) as engine,
        kept_source(section, packed, engine) as kept,
    ):
        kept.read(1)
        kept.expect(1)  # type: ignore[attr-defined]
        assert READ_AHEAD.nbytes == 0
        kept.expect(2)  # type: ignore[attr-defined]
        assert READ_AHEAD.nbytes == 120
    assert READ_AHEAD.nbytes == RESIDENT.nbytes == 0


def test_a_chunk_that_is_gone_is_told_as_without_reading_ahead(tmp_path: Path) -> None:
    source = replace(source_of(tmp_path / "x"), ahead=Ahead("gone", 1 << 20))
    (tmp_path / "x" / "c" / "3" / "0").unlink()
    with pytest.raises(MissingChunksError):
        LocalEngine(2).map_reduce(Total(source), range(len(source)))
    READ_AHEAD.forget("gone")


def test_the_memory_of_blocks_read_ahead_is_counted() -> None:
    assert shares(None, 4, 100) == (100, 0), "no memory stated: one block"
    assert shares(1000, 2, 100) == (200, 700)
    assert shares(400, 2, 100) == (100, 250), "half of it"
    assert shares(200, 2, 100) == (100, 50), "one before any is kept"
    assert shares(100, 2, 100) == (0, 100)


def test_an_engine_of_the_users_own_gets_the_source_as_it_is(tmp_path: Path) -> None:
    class Own:
        def map_reduce(self, task: Any, blocks: Any, done: Any = None) -> Any:
            raise AssertionError

    source = source_of(tmp_path / "x")
    assert ahead_source(source, Own()) is source


def test_a_task_may_have_expectations_of_its_own() -> None:
    seen: list[int] = []

    class Choosy:
        source = None

        def expect(self, i: int) -> None:
            seen.append(i)

        def __call__(self, i: int) -> Sums:
            return Sums({})

    expecting(Choosy())(7)
    expecting(Total(None))(8)
    assert seen == [7]


def test_what_follows_on_a_worker_is_its_own_next_block() -> None:
    index = np.array([0, 1, 0, 1, 1, 0])
    assert following((5, 6, 7, 8, 9, 4), index, [1, 2]) == (7, 9, 4, None, None, None)
    # Every block but each worker's first is what some block announces, once.
    index = np.random.default_rng(0).integers(3, size=50)
    found = [i for i in following(tuple(range(50)), index, [1, 1, 1]) if i is not None]
    assert sorted(found) == sorted(set(range(50)) - {int(np.argmax(index == w)) for w in range(3)})
