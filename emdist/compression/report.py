"""The report of an image compression: sizes and losses, as JSON and as a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.filesize import decimal

from emdist.report.outlook import duration
from emdist.report.page import Page


@dataclass(frozen=True)
class Compression:
    """The result of `compress_image`: what it wrote, and how much was lost.

    Attributes
    ----------
    source, out
        Path of the image, and path of the PNG.
    width, height
        Size of the picture as it is shown, in pixels.
    colours, asked
        Number of colours in the palette, and the number asked for. An image may have fewer.
    raw_bits
        Size of the image's uncompressed pixels, in bits.
    bits
        Size of palette and indices by the formula of `compressed_bits`, in bits.
    index_bits
        Bits of a pixel in the PNG, before it is deflated: 1, 2, 4 or 8.
    file_bytes
        Size of the PNG, in bytes.
    rmse
        Root of the mean squared error of a band of a pixel, on a scale of 0 to 255.
    psnr
        20 log10(255 / rmse), in decibels; None if nothing was lost.
    inertia
        Inertia of K-means, in squared units of the stored pixels.
    iterations, status
        Number of iterations of the best restart, and why it stopped.
    seconds
        Total time.
    notes
        Properties of the image that could not be kept, one sentence each.
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
        """Return JSON values, with the sizes as shares of `raw_bits`."""
        values = asdict(self) | {"notes": list(self.notes)}
        share, file_share = self.bits / self.raw_bits, 8 * self.file_bytes / self.raw_bits
        return values | {"share": share, "file_share": file_share}

    def to_page(self) -> Page:
        """Return the report as a page of facts."""
        fewer = f" (the image has no more; you asked for {self.asked})" * (
            self.colours < self.asked
        )
        psnr = "no loss" if self.psnr is None else f"PSNR {self.psnr:.2f} dB"
        facts = [
            ("picture", self.out),
            ("pixels", f"{self.width} x {self.height}, {self.raw_bits:,} bits uncompressed"),
            ("colours", f"{self.colours}{fewer}"),
            (
                "24 K + N ceil(log2 K)",
                f"{self.bits:,} bits, {self.bits / self.raw_bits:.1%} of the uncompressed size",
            ),
            (
                "file",
                f"{decimal(self.file_bytes)}, {8 * self.file_bytes / self.raw_bits:.1%} of the "
                f"uncompressed size ({self.index_bits} bit{'s' * (self.index_bits > 1)} a pixel, "
                "then deflated)",
            ),
            ("error", f"RMSE {self.rmse:.3f} on a scale of 0 to 255, {psnr}"),
            ("iterations", f"{self.iterations}, {self.status}"),
            ("time", duration(self.seconds)),
        ]
        return Page(facts + [("note", note) for note in self.notes])
