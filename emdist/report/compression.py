"""What was written for an image, and what it cost: JSON for programs, a page for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.filesize import decimal

from emdist.report.outlook import duration
from emdist.report.page import Page


@dataclass(frozen=True)
class Compression:
    """What `compress_image` wrote, and what it lost.

    Attributes
    ----------
    source, out
        The image, and the PNG.
    width, height
        As shown.
    colours, asked
        Entries of the palette, and how many were asked for: an image may have fewer.
    raw_bits
        Of the image's pixels, uncompressed.
    bits
        By the formula, `compressed_bits`.
    index_bits
        Of a pixel in the PNG, before its deflate: 1, 2, 4 or 8.
    file_bytes
        Size of the PNG.
    rmse
        Root of the mean squared error of a band of a pixel, on a scale of 0 to 255.
    psnr
        20 log10(255 / rmse), decibels; None if nothing was lost.
    inertia
        Of K-means, in the squared units of the stored pixels.
    iterations, status
        Of the best start, and how it stopped.
    seconds
        All in all.
    notes
        What of the image could not be kept.
    """

    source: str
    out: str
    width: int
    height: int
    colours: int
    asked: int
    raw_bits: int
    bits: int
    index_bits: int
    file_bytes: int
    rmse: float
    psnr: float | None
    inertia: float
    iterations: int
    status: str
    seconds: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, with the shares of `raw_bits`."""
        values = asdict(self) | {"notes": list(self.notes)}
        share, file_share = self.bits / self.raw_bits, 8 * self.file_bytes / self.raw_bits
        return values | {"share": share, "file_share": file_share}

    def to_page(self) -> Page:
        """For people."""
        fewer = f", all that there are ({self.asked} asked for)" * (self.colours < self.asked)
        psnr = "nothing is lost" if self.psnr is None else f"PSNR {self.psnr:.2f} dB"
        facts = [
            ("picture", self.out),
            ("pixels", f"{self.width} x {self.height}, {self.raw_bits:,} bits raw"),
            ("colours", f"{self.colours}{fewer}"),
            (
                "24 K + N ceil(log2 K)",
                f"{self.bits:,} bits, {self.bits / self.raw_bits:.1%} of the raw",
            ),
            (
                "file",
                f"{decimal(self.file_bytes)}, {8 * self.file_bytes / self.raw_bits:.1%} of the "
                f"raw: {self.index_bits} bit{'s' * (self.index_bits > 1)} a pixel, deflated",
            ),
            ("error", f"RMSE {self.rmse:.3f} of 255, {psnr}"),
            ("iterations", f"{self.iterations}, {self.status}"),
            ("time", duration(self.seconds)),
        ]
        return Page(facts + [("note", note) for note in self.notes])
