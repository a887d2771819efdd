"""Images as pictures: how a viewer shows their numbers, and how to write indexed-colour PNG.

Ingest copies the numbers of an image into an array. This module says what a viewer makes of them:
which value is white, which way is up, what is transparent.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.errors import DataError, DtypeError
from emdist.ingest.image import decoding, has_alpha
from emdist.ingest.table import File, need
from emdist.interfaces import Array

#: The largest number of entries in the palette of a PNG.
MAX_COLOURS = 256

#: The value that is white, by Pillow's mode, if it is not 255.
_WHITE = {"1": 1, "I;16": 65535, "I;16L": 65535, "I;16B": 65535}

#: Pillow's operation that turns the picture upright, by EXIF orientation.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """How a viewer shows the numbers that `ingest` takes from an image file.

    Attributes
    ----------
    width, height
        The width and height of the stored pixels, before they are turned.
    white
        The largest value of a band: 1, 255 or 65535.
    orientation
        The EXIF orientation, 1 to 8, which says how to turn the stored pixels.
    profile
        The ICC profile of red, green and blue, or None for sRGB.
    """

    width: int
    height: int
    white: int
    orientation: int = 1
    profile: bytes | None = None

    @property
    def band_bits(self) -> int:
        """The bits of one band of one pixel, uncompressed."""
        return self.white.bit_length()

    @property
    def upright(self) -> tuple[int, int]:
        """The width and height as shown."""
        turned = self.orientation >= 5
        return (self.height, self.width) if turned else (self.width, self.height)


def read_picture(file: File) -> Picture:
    """Return how `file` looks, from its header and from its alpha band if it has one.

    Raises
    ------
    DataError
        If it is no readable image, or has transparent pixels or several pages.
    DtypeError
        If its numbers have no white: floats and 32-bit integers.
    """
    with decoding(file) as image:
        width, height = image.size
        white = _white(image, file)
        if has_alpha(image) and not _is_opaque(image):
            raise DataError(
                f"{file} has transparent pixels, which a palette of opaque colours cannot "
                "represent; flatten the image onto a background first."
            )
        colour = image.mode in ("RGB", "RGBA", "RGBX", "P")
        profile = image.info.get("icc_profile") if colour else None
        return Picture(width, height, white, _orientation(image), profile or None)


def _white(image: Any, file: File) -> int:
    """Return the value that is white. Raise DtypeError for numbers without one."""
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise DtypeError(
            f"{file} has 32-bit values, for which no value means white. Scale it to 8 or 16 bits "
            "first, or cluster its values with `emdist ingest` and `emdist fit`."
        )
    # Before Pillow 11, a PNG of 16 bits has the mode I.
    return 65535 if image.mode == "I" else _WHITE.get(image.mode, 255)


def _is_opaque(image: Any) -> bool:
    """Return whether no pixel of an image with transparency is transparent."""
    if image.mode in ("I", "I;16"):  # Pillow does not convert the one transparent grey of these
        return not bool((np.asarray(image) == image.info["transparency"]).any())
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    bands = image.convert(straight) if straight else image
    if "A" not in bands.getbands():
        bands = bands.convert("RGBA")
    return bool(bands.getchannel("A").getextrema()[0] == 255)


def _orientation(image: Any) -> int:
    """Return the EXIF orientation, or 1 if it is missing, invalid or applied already."""
    if image.format == "TIFF":  # Pillow turns the image when it decodes it
        return 1
    found = image.getexif().get(_ORIENTATION, 1)
    return found if found in _UPRIGHT else 1


def index_bits(colours: int) -> int:
    """Return the bits of a PNG pixel for so many colours: 1, 2, 4 or 8, before deflate."""
    return next(bits for bits in (1, 2, 4, 8) if colours <= 1 << bits)


def indexed_png(indices: NDArray[np.uint8], palette: NDArray[np.uint8], picture: Picture) -> bytes:
    """Return the bytes of a PNG of colour type 3.

    Parameters
    ----------
    indices
        The palette entry of each pixel, shape (height, width), as the pixels of `picture` are
        stored.
    palette
        The colours as red, green, blue, shape (k, 3), with k at most 256.
    picture
        It says how to turn the pixels upright, and has the profile of the colours.

    Source: W3C, *Portable Network Graphics (PNG) Specification (Third Edition)*, 11.2.
    """
    pillow = need("PIL.Image")
    image = pillow.fromarray(indices)
    image.putpalette(_bytes(palette))
    if picture.orientation in _UPRIGHT:
        image = image.transpose(pillow.Transpose[_UPRIGHT[picture.orientation]])
    out = io.BytesIO()
    profile = {"icc_profile": picture.profile} if picture.profile else {}
    image.save(out, "PNG", optimize=True, bits=index_bits(len(palette)), **profile)
    return out.getvalue()


def _bytes(values: Array) -> bytes:
    return np.ascontiguousarray(values, np.uint8).tobytes()
