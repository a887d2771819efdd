"""PNG, JPEG, TIFF and BMP images: each pixel becomes a row, and each band a feature.

Pixels come row by row. A pixel keeps its stored depth (8 or 16 bit grey, 32-bit TIFF, 8-bit
colour). Alpha is dropped, and palettes and other colour models become red, green, blue. A note
reports each of these changes. Colours of 16 bits and rasters with other bands, whose numbers Pillow
does not give, are refused. The whole image must fit in memory, because its codecs decode it as a
whole. Orientation tags are not applied: pixels stay where the file has them (in a TIFF, Pillow
itself applies them).
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from emdist.errors import DataError, EmdistError, ShapeError
from emdist.ingest.raster import (
    as_raster,
    by_rasterio,
    described,
    described_file,
    no_data,
    refuse_raster,
)
from emdist.ingest.table import File, Selection, Table, need
from emdist.interfaces import Array
from emdist.runtime.defects import is_defect
from emdist.untrusted.png import is_whole

suffixes = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

#: The only formats that Pillow may recognise, whatever the file's name: it would run Ghostscript
#: for PostScript.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")

#: The largest number of pages that are counted, because each page only says where the next one is.
_COUNTED = 100

#: The Pillow modes with one band of unchanged numbers, and their dtypes.
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
    """Open the pixels of one image, shape (height * width, bands)."""
    with decoding(file) as image:
        width, height = image.size
        grey = image.mode in _GREY
        if _is_reduced(image) and not selection.reduced:
            raise DataError(
                f"{file} has several bands of 16 bits, but Pillow reads only 8 bits of each. "
                f"{by_rasterio(file)}"
            )
        notes = _notes(image, file)
        dtype = _dtype(image)
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
    """Yield the opened image, of one page. Whatever its codec raises becomes one DataError."""
    pillow = need("PIL.Image")
    bombs = (pillow.DecompressionBombError, pillow.DecompressionBombWarning)
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses from 179 on. Only the second is an
            # error here.
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            with pillow.open(file.path, formats=_FORMATS) as image:
                if (pages := _pages(image)) > 1:
                    more = " or more" if pages == _COUNTED else ""
                    what = "pages, the frames of an animation" if image.format == "PNG" else "pages"
                    raise ShapeError(
                        f"{file} has {pages}{more} {what}, expected one; save each as a separate "
                        "image."
                    )
                if image.format == "TIFF":
                    refuse_raster(described(dict(image.tag_v2)), file)
                yield image
    except (EmdistError, PermissionError):
        raise
    except bombs as error:
        raise DataError(f"{file} is too large for Pillow: {error} Cut it into tiles.") from error
    except MemoryError as error:
        raise DataError(
            f"{file} needs more memory than this process has. Cut it into tiles."
        ) from error
    except Exception as error:  # codecs raise anything for data that they were not made for
        if is_defect(error, _read_sound_image):
            raise
        if isinstance(error, pillow.UnidentifiedImageError) and (
            found := described_file(file.path)
        ):
            raise as_raster(found, file) from None
        detail = str(error).rstrip(".")[:300]
        raise DataError(f"{file} is not a readable image: {detail}. Save it again.") from error


def _read_sound_image() -> None:
    """Write and read a small valid image, as the control that `is_defect` needs."""
    pillow = need("PIL.Image")
    stream = io.BytesIO()
    pillow.new("RGB", (2, 2)).save(stream, "PNG")
    with pillow.open(stream, formats=_FORMATS) as image:
        _pages(image)
        np.asarray(_bands(image).crop((0, 0, 2, 1)))
        image.getexif()
        image.convert("RGBA").getchannel("A").getextrema()


def _pages(image: Any) -> int:
    """Return the number of pages, up to the limit for counting."""
    for page in range(1, _COUNTED):
        try:
            image.seek(page)
        except EOFError:
            return page
    return _COUNTED


def has_alpha(image: Any) -> bool:
    """Return whether an opened image says how transparent its pixels are."""
    return image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info


def _notes(image: Any, file: File) -> tuple[str, ...]:
    """Return notes on what is lost or changed between the image and the array."""
    notes = []
    if has_alpha(image):
        notes.append(f"{file.name}: the alpha band was dropped")
    if image.mode not in _GREY and image.mode not in ("RGB", "RGBA", "RGBa", "RGBX"):
        notes.append(f"{file.name}: mode {image.mode} was converted to red, green, blue")
    if _is_reduced(image):
        notes.append(f"{file.name}: 16-bit colour was reduced to 8 bits")
    if image.format == "TIFF" and (marked := no_data(image.tag_v2)):
        notes.append(f"{file.name}: pixels without data keep the value {marked} of the file")
    raw = _raw_modes(image)
    if any(re.fullmatch(r"L;[24].*", mode) for mode in raw):
        notes.append(f"{file.name}: grey of 2 or 4 bits was scaled to 0 ... 255")
    if any(re.fullmatch(r"[1L];\d?I.*", mode) for mode in raw):
        notes.append(f"{file.name}: 0 is white in the file, so the values were inverted")
    return tuple(notes)


def _raw_modes(image: Any) -> list[str]:
    """Return how the pixels are packed in the file, in Pillow's terms."""
    return [str(part) for tile in image.tile for part in np.ravel(np.array(tile[-1], object))]


def _is_reduced(image: Any) -> bool:
    """Return whether Pillow gives only 8 of the 16 bits of the file's numbers."""
    whole = image.mode in ("I", "F") or image.mode.startswith("I;16")
    return not whole and any(";16" in mode for mode in _raw_modes(image))


def _dtype(image: Any) -> np.dtype[Any]:
    """Return the dtype of the numbers in the file.

    Pillow has no mode for some types and wraps their values around. The cast to this dtype restores
    them.
    """
    if image.format == "TIFF" and image.mode in ("I", "L"):
        kind = described(dict(image.tag_v2))
        if (image.mode, kind.kind, kind.bits) == ("I", 1, (32,)):
            return np.dtype(np.uint32)
        if (image.mode, kind.kind, kind.bits) == ("L", 2, (8,)):
            return np.dtype(np.int8)
    return np.dtype(_GREY.get(image.mode, np.uint8))


def _blocks(file: File, index: list[int], dtype: np.dtype[Any], rows: int) -> Iterator[Array]:
    """Yield blocks of pixels, in strips of whole lines of the image."""
    with decoding(file) as image:
        if image.format == "PNG" and not is_whole(file.path):
            # `decoding` turns it into a DataError
            raise ValueError("it has fewer pixels than it claims")
        pixels = _bands(image)
        width, height = pixels.size
        lines = max(1, rows // width)
        for top in range(0, height, lines):
            # One strip at a time, so that the image is in memory once and not twice.
            strip = np.asarray(pixels.crop((0, top, width, min(height, top + lines))))
            yield np.ascontiguousarray(
                strip.reshape(-1, strip.size // (strip.shape[0] * width))[:, index].astype(
                    dtype, copy=False
                )
            )


def _bands(image: Any) -> Any:
    """Return the image in a mode whose bands are plain numbers."""
    if image.mode in ("LA", "La"):
        return image.getchannel("L")
    if image.mode in _GREY or image.mode == "RGB":
        image.load()
        return image
    if image.mode in ("P", "PA") and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
