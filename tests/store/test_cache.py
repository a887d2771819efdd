"""Decoded blocks stay in free memory between the passes of a fit, and never longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import emdist
import emdist.runtime.memory as machine
import emdist.store.sources.resident as resident
from emdist.composition.caching import ahead_source, kept_source
from emdist.composition.make import make_source
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError
from emdist.fit.events import Caching, Event
from emdist.fit.prepared_blocks import uncached
from emdist.interfaces import Block
from emdist.jobs.run import open_job
from emdist.runtime.cache import RESIDENT
from emdist.runtime.memory import available_memory
from emdist.settings.config import ClusterSection, DataSection, make_config
from emdist.store.sources.buffered import Buffered
from emdist.store.sources.resident import Keep

ROWS = np.random.default_rng(0).normal(size=(40_000, 8)).astype(np.float32)
ROWS[::2] += 6
GIB = 1 << 30


@pytest.fixture
def path(tmp_path: Path) -> str:
    where = str(tmp_path / "x.zarr")
    zarr.create_array(where, data=ROWS, chunks=(2_500, 8))
    return where


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the blocks that were read and decoded."""
    seen: list[int] = []

    from emdist.store.grids.grid_source import GridSource
    from emdist.store.sources.zarr_source import ZarrSource

    for kind in (ZarrSource, GridSource):

        def read(self: Any, i: int, before: Any = kind._read) -> Block:
            seen.append(i)
            found: Block = before(self, i)
            return found

        monkeypatch.setattr(kind, "_read", read)
    return seen


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = RESIDENT.nbytes
    yield
    assert RESIDENT.nbytes == before


def small(**more: Any) -> Any:
    """Blocks of 80 kB, so that there are many."""
    return {"block_size": "80 kB", "random_state": 0, **more}


@pytest.mark.parametrize("form", ["path", "rows", "xarray", "prepared"])
def test_each_block_is_decoded_once_for_all_passes(
    form: str, path: str, reads: list[int], tmp_path: Path
) -> None:
    data: Any = path
    prepare = ["standardise"] if form == "prepared" else None
    if form in ("rows", "xarray"):
        cube = xr.Dataset({"T": (("time", "depth", "x"), ROWS.reshape(20, 2000, 8).swapaxes(1, 2))})
        cube.chunk(time=1).to_zarr(tmp_path / "cube.zarr", zarr_format=3)
        whole: Any = str(tmp_path / "cube.zarr")
        whole = whole if form == "rows" else xr.open_zarr(whole, consolidated=False)
        data = emdist.rows(whole, ["T"], features="depth")
    fitted = {}
    for cache in ("auto", "off"):
        reads.clear()
        model = emdist.GaussianMixture(
            2, prepare=prepare, max_iter=5, tol=0, **small(cache=cache)
        ).fit(data)
        fitted[cache] = (model.means_, model.covariances_, len(reads), len(set(reads)))
    means, covariances, read, blocks = fitted["auto"]
    # The steps learn in a pass of their own, which keeps blocks that are not prepared.
    assert read == (2 if prepare else 1) * blocks
    assert blocks > 10
    np.testing.assert_array_equal(means, fitted["off"][0])
    np.testing.assert_array_equal(covariances, fitted["off"][1])
    assert fitted["off"][2] >= 6 * blocks


def test_a_sweep_decodes_each_block_once(path: str, reads: list[int]) -> None:
    grid = {"n_clusters": [2, 3]}
    emdist.Sweep(emdist.KMeans(max_iter=4, **small()), grid).fit(path)
    # The label of the best model needs no pass; that of each model is read when asked for.
    assert len(reads) == len(set(reads)) > 10


def test_labels_asked_for_later_are_read_without_the_cache(path: str, reads: list[int]) -> None:
    model = emdist.KMeans(2, **small()).fit(path)
    reads.clear()
    labels = model.labels_
    assert len(reads) == len(set(reads)) > 10
    assert RESIDENT.nbytes == 0
    np.testing.assert_array_equal(labels, model.predict(ROWS))


def test_a_fit_that_fails_leaves_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def failing(*_: Any, **__: Any) -> None:
        seen.append(RESIDENT.nbytes)
        raise RuntimeError("stop")

    monkeypatch.setattr("emdist.fit.unsaved.completed", failing)
    with pytest.raises(RuntimeError, match="stop"):
        emdist.GaussianMixture(2, prepare=["standardise"], **small()).fit(path)
    assert seen[0] > 0
    assert RESIDENT.nbytes == 0


def _events(path: str, folder: Path, **cluster: Any) -> list[Event]:
    values = {
        "data": {"path": path, "block_size": "80 kB"},
        "model": {"name": "kmeans", "n_components": 2},
        "fit": {"max_iter": 3},
        "cluster": cluster,
        "run": {"folder": str(folder / "runs"), "key": str(sorted(cluster.items()))},
        "labels": {"write": False},
    }
    heard: list[Event] = []
    with open_job(make_config(values, "test"), listen=heard.append) as job:
        assert not isinstance(job, dict)
        job.complete()
    return heard


def test_a_run_says_what_it_keeps_unless_it_is_off(path: str, tmp_path: Path) -> None:
    (told,) = [one for one in _events(path, tmp_path) if isinstance(one, Caching)]
    assert told.decoded == ROWS.nbytes
    assert told.nbytes > GIB / 4
    quiet = _events(path, tmp_path, cache=False)  # as YAML reads a bare off
    assert not [one for one in quiet if isinstance(one, Caching)]


def test_mapped_rows_are_not_kept(tmp_path: Path) -> None:
    where = str(tmp_path / "plain.zarr")
    zarr.create_array(where, data=ROWS, chunks=(40_000, 8), compressors=None)
    heard: list[Event] = []
    source, engine = make_source(DataSection(path=where)), LocalEngine(1)
    with kept_source(ClusterSection(), source, engine, listen=heard.append) as kept:
        assert isinstance(kept, Buffered)
        assert kept.keep is None
    assert heard == []


def test_blocks_are_dropped_when_memory_gets_short(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, free = make_source(DataSection(path=path, block_size="80 kB")), 8 * ROWS.nbytes
    monkeypatch.setattr(resident, "available_memory", lambda: free)
    monkeypatch.setattr(resident, "_VALID", 0.0)
    monkeypatch.setattr("emdist.composition.caching.available_memory", lambda: free)
    with kept_source(ClusterSection(), source, LocalEngine(1)) as kept:
        for i in range(len(kept)):
            kept.read(i)
        assert RESIDENT.nbytes == ROWS.nbytes
        # Others take memory: what is left would be 1.5 of the data if nothing were kept.
        free = ROWS.nbytes // 2
        first = [kept.keep.get(i) for i in range(len(kept))]  # type: ignore[attr-defined]
        assert all(first)
        assert kept.keep.put(first[-1]) is False  # type: ignore[attr-defined]
        assert 0.6 * ROWS.nbytes < RESIDENT.nbytes <= 0.75 * ROWS.nbytes
        # The first blocks, which the next pass asks for first, are still there.
        assert kept.keep.get(0) is not None  # type: ignore[attr-defined]


def test_a_size_is_a_limit(path: str) -> None:
    source = make_source(DataSection(path=path, block_size="80 kB"))
    with kept_source(ClusterSection(cache="400 kB"), source, LocalEngine(1)) as kept:
        for i in range(len(kept)):
            kept.read(i)
        assert 300_000 < RESIDENT.nbytes <= 400_000


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"cache": "900 TiB"}, r"cluster\.cache is .*TiB|cluster\.cache is [\d,.]+ GiB, but only"),
        ({"cache": "2 GiB", "memory": "1 GiB"}, r"of cluster\.memory is left for it"),
    ],
)
def test_more_than_there_is_is_refused(settings: dict[str, str], told: str, path: str) -> None:
    source = make_source(DataSection(path=path))
    with (
        pytest.raises(ConfigError, match=told),
        kept_source(ClusterSection(**settings), source, LocalEngine(1)),
    ):
        pass


@pytest.mark.parametrize("value", ["of", "4", 3, None, "", "1 apple"])
def test_other_values_are_refused_by_name(value: Any, path: str) -> None:
    with pytest.raises(ConfigError, match="cache"):
        emdist.KMeans(2, cache=value).fit(path)


def test_a_single_pass_keeps_nothing(path: str) -> None:
    source = ahead_source(make_source(DataSection(path=path)), LocalEngine(1))
    assert isinstance(source, Buffered)
    assert source.keep is None
    assert source.ahead is not None


def test_what_is_remembered_of_a_fit_has_no_cache(path: str) -> None:
    source = make_source(DataSection(path=path))
    with kept_source(ClusterSection(), source, LocalEngine(1)) as kept:
        assert isinstance(kept, Buffered)
        assert kept.keep is not None
        assert uncached(kept).keep is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_control_groups_are_heeded(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of any group around the process counts; pages of files can be freed."""
    own, root = tmp_path / "cgroup", tmp_path / "sys"
    folder = root / ("memory/job/task" if version == 1 else "job/task")
    folder.mkdir(parents=True)
    own.write_text("4:memory:/job/task\n0::/\n" if version == 1 else "0::/job/task\n")
    limit, used, kind = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        if version == 1
        else ("memory.max", "memory.current", "inactive_file")
    )
    stat = f"anon 1\n{kind} {20 << 20}\n"
    for one, most, taken in ((folder, "max", 90 << 20), (folder.parent, 100 << 20, 95 << 20)):
        if version == 1 and most == "max":
            most = 2**63 - 4096
        (one / limit).write_text(str(most))
        (one / used).write_text(str(taken))
        (one / "memory.stat").write_text(stat)
    monkeypatch.setattr(machine, "OWN_GROUPS", own)
    monkeypatch.setattr(machine, "GROUPS", root)
    assert available_memory() == (100 - 95 + 20) << 20
    monkeypatch.setattr(machine, "OWN_GROUPS", tmp_path / "none")
    assert available_memory() > 100 << 20


def test_a_keep_that_does_not_yield_has_its_own_budget() -> None:
    block = Block(0, 0, np.zeros((10, 2)))
    keep = Keep("of a test", block.x.nbytes * 10)
    assert keep.put(block)
    assert RESIDENT.nbytes > 0
    RESIDENT.forget("of a test")
