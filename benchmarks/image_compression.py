"""Make the pictures and figures of docs/image-compression.md.

    python -m benchmarks.image_compression [docs/images] [--large]

It cuts the two photographs that scikit-learn ships to 240 x 180 pixels, compresses them to K = 2, 3
and 10 colours, and prints size and error for every K. Then it compresses the whole photographs.
With ``--large`` it compresses one of 48 megapixels in its own process and prints the memory used.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from emdist.compression.image import compress_image
from emdist.compression.report import Compression
from emdist.ingest.files import find

NAMES = ("china", "flower")
SIZE = (240, 180)
#: Numbers of colours whose pictures are kept: those of Bishop 2006, figure 9.3.
SHOWN = (2, 3, 10)
COLOURS = (2, 3, 4, 8, 10, 16, 32, 64, 128, 256)


def cut(name: str, folder: Path) -> Path:
    """Cut the middle of a photograph, 240 x 180 pixels, and write it as a lossless PNG."""
    path = folder / f"{name}.png"
    with Image.open(find(f"sklearn:{name}.jpg")[0].path) as photograph:
        # Leave out the ICC profile, which is larger than a palette of ten colours.
        photograph.info.clear()
        ImageOps.fit(photograph, SIZE).save(path, optimize=True)
    return path


def compressed(photograph: Path, folder: Path) -> list[Compression]:
    """Compress `photograph` to every number of colours; keep the shown pictures in `folder`."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for colours in COLOURS:
            place = folder if colours in SHOWN else Path(scratch)
            out = place / f"{photograph.stem}-{colours}.png"
            found.append(compress_image(photograph, out, colours, overwrite=True))
    return found


def row(found: Compression) -> str:
    """Format one line of the Markdown table."""
    cells = (
        f"{found.colours}",
        f"{found.bits:,}",
        f"{found.bits / found.raw_bits:.1%}",
        f"{found.index_bits}",
        f"{found.file_bytes:,}",
        f"{8 * found.file_bytes / found.raw_bits:.1%}",
        f"{found.rmse:.1f}",
        "exact" if found.psnr is None else f"{found.psnr:.1f}",
        f"{found.iterations}",
    )
    return f"| {' | '.join(cells)} |"


def show(name: str, lines: Iterable[Compression]) -> None:
    """Print the table of one photograph."""
    print(f"\n{name}\n")
    print(
        "| K | bits | share | bits a pixel in the PNG | file, bytes | share | RMSE | PSNR, dB | ",
        end="",
    )
    print("iterations |\n|" + " --: |" * 9)
    for found in lines:
        print(row(found))


def chart(tables: dict[str, list[Compression]], path: Path) -> None:
    """Draw PSNR against the share of the raw size, by the formula and as a file."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6.4, 3.4), dpi=100, layout="constrained")
        axes = figure.subplots()
        for at, (name, lines) in enumerate(tables.items()):
            psnr = [found.psnr or float("inf") for found in lines]
            formula = [100 * found.bits / found.raw_bits for found in lines]
            file = [800 * found.file_bytes / found.raw_bits for found in lines]
            axes.plot(formula, psnr, "o-", color=f"C{at}", ms=4, label=f"{name}, formula")
            axes.plot(
                file, psnr, "s--", color=f"C{at}", ms=4, mfc="white", label=f"{name}, PNG file"
            )
            for found, x, y in zip(lines, formula, psnr, strict=True):
                if not at and found.colours in (2, 3, 10, 64, 256):
                    axes.annotate(
                        f"K = {found.colours}", (x, y), (4, -11), textcoords="offset points"
                    )
        axes.set_ylim(bottom=16)
        axes.set_xlabel("share of the raw bits, per cent")
        axes.set_ylabel("PSNR, dB")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, loc="lower right")
        figure.savefig(path)


def large(folder: Path) -> None:
    """Print time and peak memory of compressing a photograph enlarged to 8000 x 6000."""
    with Image.open(find("sklearn:china.jpg")[0].path) as photograph:
        photograph.resize((8000, 6000)).save(folder / "large.jpg", quality=92)
    code = (
        "import json, sys; from emdist.compression.image import compress_image\n"
        "found = compress_image(*sys.argv[1:], 16).to_dict()\n"
        "from benchmarks.memory import peak_memory\n"
        "print(json.dumps(found | {'peak': peak_memory()}))"
    )
    files = [str(folder / "large.jpg"), str(folder / "large.png")]
    done = subprocess.run(
        [sys.executable, "-c", code, *files], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    mib = {
        "peak memory": found["peak"],
        "raw pixels": found["raw_bits"] / 8,
        "file": found["file_bytes"],
    }
    print(
        f"\n{found['width']} x {found['height']}: {found['iterations']} iterations, "
        f"{found['seconds']:.0f} s in all; "
        + ", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in mib.items())
    )


def main() -> None:
    """Write the pictures into the folder, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images"))
    parser.add_argument("--large", action="store_true", help="48 megapixels as well")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: compressed(cut(name, folder), folder) for name in NAMES}
    for name, lines in tables.items():
        show(f"{name}, {SIZE[0]} x {SIZE[1]}", lines)
    chart(tables, folder / "compression.png")
    with tempfile.TemporaryDirectory() as scratch:
        for name in NAMES:
            found = compress_image(f"sklearn:{name}.jpg", Path(scratch) / f"{name}.png", 10)
            show(f"{name}, {found.width} x {found.height}, {found.seconds:.1f} s", [found])
        if arguments.large:
            large(Path(scratch))


if __name__ == "__main__":
    main()
