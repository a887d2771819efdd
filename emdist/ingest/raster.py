"""TIFF files by their tags: distinguishes pictures from rasters of numbers, which are refused.

Pillow takes the fourth band of a raster for transparency, skips a fifth and a sixth band, and does
not open a file for which it has no mode. None of that may change an array without notice.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emdist.errors import DataError
from emdist.ingest.table import File, need

#: Tags (TIFF 6.0, GeoTIFF 1.1, GDAL).
_BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA, _FORMAT = 258, 262, 277, 338, 339
_NO_DATA = 42113
_GEO = (33550, 33922, 34264, 34735, 42112, _NO_DATA)
#: The types of numbers, by the value of tag 339.
_KINDS = {1: "unsigned integers", 2: "signed integers", 3: "floats", 5: "complex", 6: "complex"}
#: Photometric interpretations: grey, colours of three bands, and of four.
_GREY, _THREE, _CMYK = (0, 1), (2, 6, 8), 5
#: The values of extra samples that mean transparency.
_ALPHA = (1, 2)


@dataclass(frozen=True)
class TiffPage:
    """What the first page of a TIFF file holds.

    Attributes
    ----------
    bands
        The number of values of a pixel.
    bits
        The bits of each band.
    kind
        TIFF's tag SampleFormat: 1 unsigned, 2 signed, 3 floating point.
    photometric
        TIFF's tag PhotometricInterpretation: what the bands mean.
    extra
        What the bands mean that are no colours.
    geo
        Whether the file states its position on earth, or GDAL wrote it.
    """

    bands: int
    bits: tuple[int, ...]
    kind: int
    photometric: int
    extra: tuple[int, ...]
    geo: bool

    @property
    def is_picture(self) -> bool:
        """Whether the numbers are those of a picture: grey or colours, perhaps with alpha."""
        if self.bands == 1:
            return True
        if max(self.bits) > 8 and (self.geo or set(self.bits) != {16}):
            return False
        if self.photometric == _CMYK:
            return self.bands == 4 and not self.geo
        colours = 1 if self.photometric in _GREY else 3
        if self.bands == colours:
            return colours == 3 and self.photometric in _THREE
        # GDAL calls the fourth band of any raster transparency.
        alpha = len(self.extra) == 1 and self.extra[0] in _ALPHA
        return self.bands == colours + 1 and alpha and not self.geo

    def __str__(self) -> str:
        name = "GeoTIFF" if self.geo else "TIFF file"
        bits = "/".join(map(str, sorted(set(self.bits))))
        bands = f"{self.bands} band{'s' if self.bands != 1 else ''}"
        return f"a {name} of {bands} of {bits} bits ({_KINDS.get(self.kind, 'numbers')})"


def described(tags: Any) -> TiffPage:
    """Return the description that follows from the `tags` of a page, a mapping by number."""
    bits = _many(tags.get(_BITS, 1))
    formats = _many(tags.get(_FORMAT, 1))
    return TiffPage(
        bands=int(tags.get(_SAMPLES, 1)),
        bits=bits or (1,),
        kind=formats[0] if formats else 1,
        photometric=int(tags.get(_PHOTOMETRIC, 1)),
        extra=_many(tags.get(_EXTRA, ())),
        geo=any(tag in tags for tag in _GEO),
    )


def no_data(tags: Any) -> str:
    """Return the value that GDAL gave to pixels without data, or "" if it named none."""
    return str(tags.get(_NO_DATA, "")).strip("\0 ")[:40]


def _many(value: Any) -> tuple[int, ...]:
    return tuple(int(one) for one in (value if isinstance(value, tuple | list) else (value,)))


def described_file(path: Path) -> TiffPage | None:
    """Return what the tags of a TIFF file say, or None for other files.

    It works whether Pillow can open the file or not.
    """
    tiff = need("PIL.TiffImagePlugin")
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
            if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return None
            if head[2:4] in (b"+\0", b"\0+"):  # BigTIFF
                head += stream.read(8)
            tags = tiff.ImageFileDirectory_v2(head)
            stream.seek(tags.next)
            tags.load(stream)
            return described(dict(tags))
    except (OSError, ValueError, TypeError, KeyError, SyntaxError, struct.error, OverflowError):
        return None


def refuse_raster(found: TiffPage, file: File) -> None:
    """Raise DataError for what is no picture, and say how to bring it into an array."""
    if not found.is_picture:
        raise as_raster(found, file)


def as_raster(found: TiffPage, file: File) -> DataError:
    """Return the error for a TIFF file that is no picture, or whose numbers no picture has."""
    return DataError(
        f"{file} is {found}, which is a raster, but emdist reads only pictures. {by_rasterio(file)}"
    )


def by_rasterio(file: File) -> str:
    """Return advice for a file whose numbers Pillow does not give."""
    stem = file.path.stem
    return (
        f'Save its bands with rasterio and ingest {stem}.npy instead: python -c "import numpy, '
        f"rasterio; r = rasterio.open('{file.path}'); numpy.save('{stem}.npy', "
        f'r.read().reshape(r.count, -1).T)" (pip install rasterio).'
    )
