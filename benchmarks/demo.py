"""The demonstration: compresses a photograph, then clusters data larger than workers' memory.

``python -m benchmarks.demo FOLDER`` (``make demo``) prints what it does, how fast it is, and where
the results are.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import zarr
from PIL import Image, ImageDraw

import emdist
from benchmarks import out_of_core
from emdist.compression.image import compressed_bits
from emdist.flows import cluster
from emdist.interfaces import Array

COLOURS = 16
BIG_GB = 2.0
WORKERS = 2
MEMORY = "600MB"
BLOCK = "32 MiB"


def photograph(folder: Path) -> Path:
    """Cluster the pixels by a flow with ingest, checkpoints and labels; return the picture."""
    data, key = folder / "china.zarr", "photo"
    settings = [f"data.path={data}", f"run.folder={folder / 'runs'}", f"run.key={key}"]
    settings += [f"model.n_components={COLOURS}"]
    code = cluster.run("config/quickstart.yaml", settings)
    if code:
        sys.exit(code)
    run = folder / "runs" / key
    pixels = zarr.open_array(data, mode="r")
    labels = np.asarray(zarr.open_array(run / "labels.zarr" / "labels", mode="r")[:])
    palette = np.clip(np.rint(emdist.load(run).cluster_centers_), 0, 255).astype(np.uint8)
    shape = (int(str(pixels.attrs["height"])), int(str(pixels.attrs["width"])), 3)
    original = np.asarray(pixels[:]).reshape(shape)
    return _beside(original, palette[labels].reshape(shape), folder / f"china-{COLOURS}.png")


def _beside(left: Array, right: Array, path: Path) -> Path:
    """Draw both pictures (height, width, 3) side by side, with captions."""
    height, width, _ = left.shape
    n = height * width
    plain, packed = 24 * n, compressed_bits(n, COLOURS)
    sheet = Image.new("RGB", (2 * width + 12, height + 28), "white")
    sheet.paste(Image.fromarray(left), (0, 28))
    sheet.paste(Image.fromarray(right), (width + 12, 28))
    draw = ImageDraw.Draw(sheet)
    draw.text((4, 8), f"original: 24 bits a pixel, {plain // 8:,} bytes", fill="black")
    caption = f"{COLOURS} colours: {packed // 8:,} bytes, {packed / plain:.1%} of the original"
    draw.text((width + 16, 8), caption, fill="black")
    sheet.save(path)
    print(
        f"  {width} x {height} pixels in {COLOURS} colours: {packed:,} of {plain:,} bits, "
        f"{packed / plain:.1%}, a ratio of {plain / packed:.1f} to 1"
    )
    return path


def larger_than_memory(folder: Path) -> None:
    """Generate an array block by block, and cluster it on workers that could not hold it."""
    path = folder / "large.zarr"
    shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(folder / "runs" / "large-kmeans", ignore_errors=True)
    began = time.monotonic()
    out_of_core.generate(path, int(BIG_GB * 1e9))
    print(f"  generated {BIG_GB:g} GB in {time.monotonic() - began:.1f} s: {path}", flush=True)
    config = out_of_core.configure(path, folder / "runs", WORKERS, MEMORY, "kmeans", BLOCK)
    out_of_core.show(out_of_core.measure(config))
    print(f"  checkpoints, model, labels, summary: {folder / 'runs' / 'large-kmeans'}")


def main() -> None:
    """Run both parts, with one folder for their results."""
    parser = argparse.ArgumentParser(description="emdist's demonstration")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo"))
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    print(f"1. The colours of a photograph: K-means with {COLOURS} clusters, as a Prefect flow")
    picture = photograph(folder)
    print(f"  original and recoloured: {picture}\n")
    print(f"2. {BIG_GB:g} GB on {WORKERS} Dask workers of {MEMORY} each")
    larger_than_memory(folder)
    print(f"\nDone in {time.monotonic() - began:.0f} s. Everything is in {folder.resolve()}")
    print(f"Look at {picture}, then try: .venv/bin/emdist inspect {folder / 'runs' / 'photo'}")


if __name__ == "__main__":
    main()
