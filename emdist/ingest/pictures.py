"""Image files as pictures: what their numbers look like, and indexed-colour PNG out.

Ingest brings the numbers of an image into an array; this says what a viewer makes of them:
which is white, what lies on top, what is transparent.
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

#: Entries of a PNG's palette at most.
MAX_COLOURS = 256

#: The value that is white, by Pillow's mode, where it is not 255.
_WHITE = {"1": 1, "I;16": 65535, "I;16L": 65535, "I;16B": 65535}

#: EXIF orientation -> Pillow's operation that turns the picture upright.
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
    """What a viewer makes of the numbers that `ingest` takes from an image file.

    Attributes
    ----------
    width, height
        Of the stored pixels, before they are turned.
    white
        The largest value of a band: 1, 255 or 65535.
    orientation
        EXIF, 1 to 8: how the stored pixels are to be turned.
    profile
        ICC profile of red, green and blue, or None for sRGB.
    """

    width: int
    height: int
    white: int
    orientation: int = 1
    profile: bytes | None = None

    @property
    def band_bits(self) -> int:
        """Bits of one band of one pixel, uncompressed."""
        return self.white.bit_length()

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) as shown."""
        turned = self.orientation >= 5
        return (self.height, self.width) if turned else (self.width, self.height)


def read_picture(file: File) -> Picture:
    """What `file` looks like, from its header (and its alpha band, where it has one).

    Raises
    ------
    DataError
        If it is no readable image, has transparent pixels, or several pages.
    DtypeError
        If its numbers have no white: floats and 32-bit integers.
    """
    with decoding(file) as image:
        width, height = image.size
        white = _white(image, file)
        if has_alpha(image) and not _is_opaque(image):
            raise DataError(
                f"{file} has transparent pixels, and a palette of opaque colours cannot keep "
                "them; flatten the image onto a background first."
            )
        colour = image.mode in ("RGB", "RGBA", "RGBX", "P")
        profile = image.info.get("icc_profile") if colour else None
        return Picture(width, height, white, _orientation(image), profile or None)


def _white(image: Any, file: File) -> int:
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise DtypeError(
            f"{file} holds numbers of 32 bits, for which no value is white; scale it to 8 or "
            "16 bits first, or cluster its values with `emdist ingest` and `emdist fit`."
        )
    # Before Pillow 11 a PNG of 16 bits has the mode I.
    return 65535 if image.mode == "I" else _WHITE.get(image.mode, 255)


def _is_opaque(image: Any) -> bool:
    if image.mode in ("I", "I;16"):  # Pillow does not convert their one clear grey
        return not bool((np.asarray(image) == image.info["transparency"]).any())
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    bands = image.convert(straight) if straight else image
    if "A" not in bands.getbands():
        bands = bands.convert("RGBA")
    return bool(bands.getchannel("A").getextrema()[0] == 255)


def _orientation(image: Any) -> int:
    if image.format == "TIFF":  # Pillow turns it when it decodes
        return 1
    found = image.getexif().get(_ORIENTATION, 1)
    return found if found in _UPRIGHT else 1


def index_bits(colours: int) -> int:
    """Bits that a PNG takes for a pixel of `colours` colours: 1, 2, 4 or 8, before deflate."""
    return next(bits for bits in (1, 2, 4, 8) if colours <= 1 << bits)


def indexed_png(indices: NDArray[np.uint8], palette: NDArray[np.uint8], picture: Picture) -> bytes:
    """A PNG of colour type 3.

    Parameters
    ----------
    indices
        (height, width) entries of the palette, as the pixels are stored in `picture`.
    palette
        (k, 3) red, green, blue; k at most 256.
    picture
        Tells how to turn the pixels upright, and the colours' profile.

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
