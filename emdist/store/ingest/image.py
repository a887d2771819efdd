"""PNG, JPEG, TIFF and BMP images: one row per pixel, row by row, one feature per band.

A pixel keeps its stored depth (8 or 16 bit grey, 32-bit float TIFF, 8-bit colour). Alpha is
dropped, palettes and other colour models become red, green, blue; each is said in a note. The
image as a whole must fit in memory, since its codecs decode it as a whole. Orientation tags
are not applied: pixels stay where the file has them (in a TIFF, Pillow itself turns them).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from emdist.errors import DataError, EmdistError, ShapeError
from emdist.interfaces import Array
from emdist.store.ingest.png import is_whole
from emdist.store.ingest.table import File, Selection, Table, need

suffixes = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

#: What Pillow may take a file for, whatever its name: it would run Ghostscript for PostScript.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")

#: Pages that are counted: what a file says of them is followed from one to the next.
_COUNTED = 100

#: Pillow modes that are one band of numbers as they are, and their types.
_GREY = {
    "1": np.uint8,
    "L": np.uint8,
    "LA": np.uint8,
    "La": np.uint8,
    "I;16": np.uint16,
    "I;16L": np.uint16,
    "I;16B": np.uint16,
    "I": np.int32,
    "F": np.float32,
}


def open_image(file: File, selection: Selection) -> Table:
    """The pixels of one image, (height * width, bands)."""
    with decoding(file) as image:
        width, height = image.size
        grey = image.mode in _GREY
        notes = _notes(image, file)
        dtype = np.dtype(_GREY.get(image.mode, np.uint8))
    names = ("grey",) if grey else ("red", "green", "blue")
    index = selection.pick(names, file)
    attributes = {"height": height, "width": width, "bands": len(index)}
    return Table(
        file,
        tuple(names[i] for i in index),
        dtype,
        height * width,
        partial(_blocks, file, index, dtype),
        attributes,
        notes,
    )


reader = open_image


@contextmanager
def decoding(file: File) -> Iterator[Any]:
    """The opened image, of one page; whatever its codec raises becomes one DataError."""
    pillow = need("PIL.Image")
    bombs = (pillow.DecompressionBombError, pillow.DecompressionBombWarning)
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels and refuses from 179: only the second is a fault.
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            with pillow.open(file.path, formats=_FORMATS) as image:
                if (pages := _pages(image)) > 1:
                    more = " or more" if pages == _COUNTED else ""
                    raise ShapeError(
                        f"{file} holds {pages}{more} pages; save each as an image of its own."
                    )
                yield image
    except (EmdistError, PermissionError):
        raise
    except bombs as error:
        raise DataError(f"{file} is too large for Pillow: {error} Cut it into tiles.") from error
    except MemoryError as error:
        raise DataError(f"{file} takes more memory than there is. Cut it into tiles.") from error
    except Exception as error:  # a codec that meets what it was not made for raises anything
        detail = str(error).rstrip(".")[:300]
        raise DataError(f"{file} is no readable image: {detail}. Save it again.") from error


def _pages(image: Any) -> int:
    """How many pages there are, as far as they are counted."""
    for page in range(1, _COUNTED):
        try:
            image.seek(page)
        except EOFError:
            return page
    return _COUNTED


def has_alpha(image: Any) -> bool:
    """Whether an opened image says how transparent its pixels are."""
    return image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info


def _notes(image: Any, file: File) -> tuple[str, ...]:
    """What of the image does not reach the array."""
    notes = []
    if has_alpha(image):
        notes.append(f"{file.name}: the alpha band was dropped")
    if image.mode not in _GREY and image.mode not in ("RGB", "RGBA", "RGBa", "RGBX"):
        notes.append(f"{file.name}: mode {image.mode} was converted to red, green, blue")
    if image.mode in ("RGB", "RGBA") and any(";16" in str(tile[-1]) for tile in image.tile):
        notes.append(f"{file.name}: 16-bit colour was reduced to 8 bits")
    return tuple(notes)


def _blocks(file: File, index: list[int], dtype: np.dtype[Any], rows: int) -> Iterator[Array]:
    with decoding(file) as image:
        if image.format == "PNG" and not is_whole(file.path):
            raise ValueError("it has fewer pixels than it claims")  # as `decoding` tells it
        pixels = _bands(image)
        width, height = pixels.size
        lines = max(1, rows // width)
        for top in range(0, height, lines):
            # A strip at a time, so that the image is in memory once and not twice.
            strip = np.asarray(pixels.crop((0, top, width, min(height, top + lines))))
            yield np.ascontiguousarray(
                strip.reshape(-1, strip.size // (strip.shape[0] * width))[:, index].astype(
                    dtype, copy=False
                )
            )


def _bands(image: Any) -> Any:
    """The image in a mode that is plain bands of numbers."""
    if image.mode in ("LA", "La"):
        return image.getchannel("L")
    if image.mode in _GREY or image.mode == "RGB":
        image.load()
        return image
    if image.mode in ("P", "PA") and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
