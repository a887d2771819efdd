"""Workloads on disk: data larger than memory, the rate of the disk, labels, and a sweep over k."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.comparison.data import Clusters, on_disk
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import MIB, Contender, Workload

_FEATURES, _COMPONENTS = 32, 16
#: Memory of each of two workers, and the data of the medium size as a multiple of both. With
#: 400 MiB, dask-ml's workers were killed at chunks of 16 MiB, and emdist's were not.
_WORKER, _TIMES = 600 * MIB, 4


def workloads(size: Size) -> Iterator[Workload]:
    """Yield all workloads of this module."""
    yield _larger_than_memory(size)
    yield _to_convergence(size)
    yield _kept(size)
    yield from _passes(size)
    yield from _sweeps(size)
    yield from _labels(size)


def _rows(nbytes: int, size: Size) -> int:
    return size.of(nbytes // (4 * _FEATURES), size.disk, 2000)


def _larger_than_memory(size: Size) -> Workload:
    data = Clusters(_rows(2 * _TIMES * _WORKER, size), _FEATURES, _COMPONENTS, spread=3.0)
    times = data.nbytes / (2 * _WORKER)
    return Workload(
        "disk-dask",
        f"K-means from Zarr, {data}, {times:.1f} times the workers' memory",
        "peers",
        "lloyd_iteration",
        partial(on_disk, data, chunk_bytes=16 * MIB),
        (Contender("dask_ml", "dask-ml", at_least=10),),
        options={"workers": 2, "memory": _WORKER, "span": min(2, size.span)},
        tolerances={"norm of centres": 1e-4},
        # The memory of both workers and of the process that drives them.
        budget=2 * _WORKER + 400 * MIB,
        repeats=3,
        note="per iteration; two workers of one thread",
    )


def _to_convergence(size: Size) -> Workload:
    memory = int(2048 * MIB * max(size.disk, 0.25))
    data = Clusters(_rows(8_000_000_000, size), _FEATURES, _COMPONENTS, spread=3.0)
    # The schedule, and no cache, of versions that decoded every block in every pass.
    plain = {"cache": "off", "schedule": "batch"}
    return Workload(
        "disk-convergence",
        f"K-means from Zarr to convergence, {data}, zstd, two workers of {memory // MIB} MiB",
        "peers",
        "stored_fit",
        partial(on_disk, data, chunk_bytes=16 * MIB, compressed=True, decimals=2),
        (
            Contender("dask_ml", "dask-ml", at_least=1.5),
            Contender("emdist", "cache='off', schedule='batch'", plain, at_least=1.5),
        ),
        options={"workers": 2, "memory": memory, "max_iter": 2 if size.tiny else 100},
        tolerances={"norm of centres": 1e-4},
        repeats=3,
        note="whole fits; two workers of one thread",
    )


def _kept(size: Size) -> Workload:
    data = Clusters(size.of(16_000_000, size.disk, 2000), 64, 16, spread=3.0)
    return Workload(
        "disk-fit",
        f"K-means from Zarr, 9 iterations, {data}, zstd",
        "peers",
        "stored_fit",
        partial(on_disk, data, chunk_bytes=16 * MIB, compressed=True, decimals=2),
        (
            Contender("sklearn", "scikit-learn, array in memory", at_least=2),
            Contender("emdist", "cache='off'", {"cache": "off"}, at_least=2),
        ),
        options={"max_iter": 2 if size.tiny else 9},
        tolerances={"norm of centres": 1e-4},
        repeats=3,
        note="whole fits; decoded blocks stay in free memory",
    )


def _passes(size: Size) -> Iterator[Workload]:
    data = Clusters(_rows(2 << 30, size), _FEATURES, 100)
    plain = partial(on_disk, data, chunk_bytes=16 * MIB)
    packed = partial(on_disk, data, chunk_bytes=16 * MIB, compressed=True, decimals=2)
    for packing, make in (("", plain), ("-packed", packed)):
        for cold in (False, True):
            where = "cold" if cold else "in the page cache"
            yield Workload(
                f"disk-pass{packing}-{'cold' if cold else 'cached'}",
                f"K-means pass from Zarr, {data}, {'zstd, ' if packing else ''}{where}",
                "limits",
                "disk_pass",
                make,
                (Contender("raw", "slower of raw read and memory", at_least=0.85, agrees=False),),
                Contender("one_pass", "emdist"),
                budget=768 * MIB,
                cold=cold,
            )


def _sweeps(size: Size) -> Iterator[Workload]:
    ks = [2, 3] if size.tiny else list(range(2, 32, 2))
    data = Clusters(size.of(16_000_000, size.disk, 2000), 16, max(ks), spread=3.0)
    make = partial(on_disk, data, chunk_bytes=8 * MIB, compressed=True, decimals=2)
    for model in ("kmeans", "diagonal"):
        yield Workload(
            f"sweep-{model}",
            f"Sweep of {len(ks)} k up to {max(ks)}, {model}, {data}, zstd",
            "peers",
            "sweep",
            make,
            (Contender("sweep", "one after another", {"joint": False}, at_least=3),),
            Contender("sweep", "emdist", {"joint": True}),
            options={"model": model, "ks": ks, "max_iter": 2 if size.tiny else 5},
            tolerances={"objectives": 1e-12, "fits": 0},
            budget=1024 * MIB,
            repeats=2,
            note="whole sweeps",
        )


def _labels(size: Size) -> Iterator[Workload]:
    options = {"block_rows": size.of(1_000_000, size.disk, 1000), "blocks": 2 if size.tiny else 8}
    rows = options["block_rows"] * options["blocks"]
    kinds = {
        "cached": ("values", {"decoded": True}),
        "encoded": ("files", {}),
        "synced": ("files", {"synced": True}),
    }
    for name, (what, more) in kinds.items():
        where = "until they are on the disk" if more.get("synced") else "into the page cache"
        yield Workload(
            f"labels-{name}",
            f"Writing labels, scores and responsibilities of {rows:,} rows {where}",
            "limits",
            "label_rows",
            nothing,
            (Contender("raw", f"raw write of the same {what}", at_least=0.8, agrees=False),),
            Contender("labelling", "emdist"),
            options=options | more,
        )


def nothing(folder: Path) -> Mapping[str, Path]:
    """Make no files, for workloads without data."""
    return {}
