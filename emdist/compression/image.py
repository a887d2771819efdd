"""Image compression by K-means: computes a palette of K colours, and an index for every pixel.

Source: Bishop 2006, *Pattern Recognition and Machine Learning*, 9.1.1.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emdist.composition.make import make_source
from emdist.compression.pictures import MAX_COLOURS, Picture, index_bits, indexed_png, read_picture
from emdist.compression.report import Compression
from emdist.errors import ConfigError, OutputExistsError, StorageError
from emdist.fit.events import Began, Event, Listener, Saved, Warned, unheard
from emdist.fit.fitted import Fitted
from emdist.ingest import ingest
from emdist.ingest.files import find, suffix_of
from emdist.ingest.image import suffixes
from emdist.ingest.table import File
from emdist.ingest.target import storing
from emdist.interfaces import Floats, Source
from emdist.jobs.fit import FitJob
from emdist.jobs.run import open_job
from emdist.kernels.tiles.tiles import tiles
from emdist.settings.config import Config, DataSection, FitSection, ModelSection, RunSection
from emdist.store.places.abandoned import in_use, remove_abandoned
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.sources.references import ArrayRef, open_checked

#: Pixels of a chunk, and of a block. A label pass holds about 40 bytes for each pixel of a block.
#: Chunks of the usual size in bytes, at 3 bytes a pixel, would make it the largest of all stages.
_CHUNK = 1 << 18
#: Pixels whose colours are compared at a time.
_STRIP = 1 << 16


def compressed_bits(pixels: int, colours: int) -> int:
    """Return the size in bits of a palette of 24-bit colours and one index per pixel.

    The size is ``24 K + N ceil(log2 K)`` for N pixels and K colours (Bishop 2006, 9.1.1).
    """
    return 24 * colours + pixels * math.ceil(math.log2(colours))


def compress_image(
    source: str | Path,
    out: str | Path,
    colours: int = 16,
    fit: FitSection | None = None,
    overwrite: bool = False,
    listen: Listener = unheard,
) -> Compression:
    """Write an image as an indexed-colour PNG, whose palette K-means computes from its pixels.

    The pixels are ingested, fitted and labelled block by block, in a temporary folder beside `out`.
    The image itself is in memory only while it is decoded (its bands), and the picture while it is
    encoded (one byte per pixel).

    Parameters
    ----------
    source
        A PNG, JPEG, TIFF or BMP file, or ``sklearn:china.jpg`` or ``sklearn:flower.jpg``.
    out
        The PNG file to write, in a folder that exists.
    colours
        Number K of colours, 1 to 256. An image with fewer colours keeps its own colours exactly.
    fit
        Random seed, starting values and stop rules; None for the defaults of K-means.
    overwrite
        Whether a file at `out` may be replaced.
    listen
        Called with each event.

    Returns
    -------
    Compression
        Sizes, losses and times, for the report.

    Raises
    ------
    ConfigError
        If `colours` is out of range, `source` is not a single image, or `out` is not a .png.
    DataError
        If the image is unreadable, animated, transparent, or has no defined white.
    OutputExistsError
        If there is something at `out` already.
    StorageError
        If `out` cannot be written.
    """
    began = time.monotonic()
    target = _checked_target(out, colours)
    file = _image_file(source, target)
    _check_free(target, overwrite)
    picture = read_picture(file)
    with _workplace(target) as folder:
        listen(Began("ingest", str(file)))
        pixels = folder.child("pixels.zarr")
        notes = ingest(file.path, pixels, rows_per_chunk=_CHUNK, reduced=True).notes
        for note in notes:
            listen(Warned(note))
        fitted, found = _fit_and_recolour(pixels, picture, colours, fit or FitSection(), listen)
    png = indexed_png(found.indices, found.palette, picture)
    _write(target, png, overwrite)
    width, height = picture.upright
    return Compression(
        source=str(source),
        out=str(target),
        width=width,
        height=height,
        colours=len(found.palette),
        asked=colours,
        raw_bits=width * height * fitted.n_features * picture.band_bits,
        bits=compressed_bits(width * height, len(found.palette)),
        index_bits=index_bits(len(found.palette)),
        file_bytes=len(png),
        rmse=found.rmse,
        psnr=20 * math.log10(255 / found.rmse) if found.rmse else None,
        inertia=fitted.objective,
        iterations=fitted.iterations,
        status=fitted.status.outcome,
        seconds=round(time.monotonic() - began, 3),
        notes=notes,
    )


def _checked_target(out: str | Path, colours: int) -> Path:
    if not 1 <= colours <= MAX_COLOURS:
        raise ConfigError(
            f"The palette of a PNG has 1 to {MAX_COLOURS} colours, got {colours}. Ask for a number "
            "in this range."
        )
    if "://" in str(out):
        raise ConfigError(
            f"{out} is a URL, expected a local path. Write a local file and copy it there."
        )
    target = Path(out).absolute()
    if target.suffix.lower() != ".png":
        raise ConfigError(
            f"{out} does not end in .png, but emdist writes a PNG. Rename the output."
        )
    if not target.parent.is_dir():
        raise StorageError(
            f"The folder {target.parent} for {target.name} does not exist. Create it first."
        )
    return target


def _image_file(source: str | Path, target: Path) -> File:
    files = find(source)
    if len(files) != 1:
        raise ConfigError(
            f"{source} matches {len(files)} files, expected one. Compress one image at a time."
        )
    if suffix_of(files[0].path) not in suffixes:
        raise ConfigError(f"{source} is not an image, expected one of {', '.join(suffixes)}.")
    if target.exists() and target.samefile(files[0].path):
        raise ConfigError(f"The output would replace the image {source}. Choose another output.")
    return files[0]


def _check_free(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise OutputExistsError(f"{target} is a folder, expected a file. Name a file in it.")
    if target.exists() and not overwrite:
        raise OutputExistsError(
            f"{target} already exists. Choose another output, or replace it (--overwrite of "
            "`emdist compress`, overwrite=True in Python)."
        )


@contextmanager
def _workplace(target: Path) -> Iterator[Location]:
    """Make a temporary folder beside `target`, on the disk that has to hold the result anyway."""
    prefix = f".{target.name}.partial-"
    remove_abandoned(target.parent, prefix)
    with storing(Location(str(target))):
        folder = tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent)
    with folder as path, in_use(Path(path)):
        yield Location(path)


@dataclass(frozen=True)
class _Recoloured:
    """An indexed picture: (height, width) indices, a (k, 3) palette, and its error (RMSE)."""

    indices: NDArray[np.uint8]
    palette: NDArray[np.uint8]
    rmse: float


def _fit_and_recolour(
    pixels: Location, picture: Picture, colours: int, fit: FitSection, listen: Listener
) -> tuple[Fitted, _Recoloured]:
    """Fit K-means to the ingested pixels and label them, in a run in the same folder."""
    data = DataSection(path=str(pixels))
    folder = pixels.path.parent
    own = _own_colours(make_source(data), colours)
    if own is not None:
        # The distinct colours are already the solution: K-means starts there and stops.
        np.savez(folder / "start.npz", means=own)
        fit = fit.model_copy(update={"start": str(folder / "start.npz")})
        colours = len(own)

    def tell(event: Event) -> None:
        if isinstance(event, Began) and event.stage == "open":
            width, height = picture.upright
            event = Began("open", f"{width} x {height} pixels, {colours} colours")
        if not isinstance(event, Saved):  # Nobody can resume from this temporary folder.
            listen(event)

    config = Config(
        data=data,
        model=ModelSection(n_components=colours),
        fit=fit,
        run=RunSection(folder=str(folder), key="run"),
    )
    with open_job(config, listen=tell) as job:
        # The folder is new, so there is no finished run whose summary could be returned.
        assert isinstance(job, FitJob)
        job.complete()
        listen(Began("writing the picture"))
        return job.fitted, _recolour(job, picture)


def _own_colours(source: Source, most: int) -> Floats | None:
    """Return the (k, bands) distinct pixels, or None as soon as there are more than `most`."""
    place = np.uint64(1) << np.arange(0, 16 * source.shape[1], 16, dtype=np.uint64)
    codes = np.empty(0, np.uint64)
    for i in range(len(source)):
        x = source.read(i).x
        for a, b in tiles(len(x), _STRIP):
            codes = np.union1d(codes, x[a:b].astype(np.uint64) @ place)
            if len(codes) > most:
                return None
    return (codes[:, None] // place % 65536).astype(np.float64)


def _recolour(job: FitJob, picture: Picture) -> _Recoloured:
    """Make the palette from the centres and the indices from the labels, block by block."""
    palette = _palette(job, picture)
    ref = ArrayRef(job.target, "labels")
    source, labels = job.source, ref.checked(open_checked(ref)).reader()
    n, bands = source.shape
    shown = palette[:, :bands].astype(np.float64)
    indices, error = np.empty(n, np.uint8), 0.0
    for i in range(len(source)):
        block = source.read(i)
        at = slice(block.start, block.start + len(block.x))
        indices[at] = labels[at]
        for a, b in tiles(len(block.x), _STRIP):
            lost = block.x[a:b] * (255 / picture.white) - shown[indices[at][a:b]]
            error += float(np.square(lost).sum())
    rmse = math.sqrt(error / (n * bands))
    return _Recoloured(indices.reshape(picture.height, picture.width), palette, rmse)


def _palette(job: FitJob, picture: Picture) -> NDArray[np.uint8]:
    """Round the centres to (k, 3) colours of 8 bits; grey becomes three equal bands."""
    model, fitted = job.plan.model, job.fitted
    centres = model.locations(model.translate(fitted.params, fitted.spread.origin))
    rounded = np.clip(np.rint(centres * (255 / picture.white)), 0, 255).astype(np.uint8)
    return np.broadcast_to(rounded, (len(rounded), 3)).copy()


def _write(target: Path, png: bytes, overwrite: bool) -> None:
    folder = open_folder(Location(str(target.parent)))
    if overwrite:
        folder.write(target.name, png)
        return
    try:
        folder.create(target.name, png)
    except FileExistsError:
        raise OutputExistsError(
            f"Another process created {target} in the meantime. Choose another output."
        ) from None
