"""``emdist compress``: reduces an image to K colours."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.options import Json, Overwrite, Quiet, Seed, Starts
from emdist.parameters.configuration import CONFIGURATION
from emdist.report.answer import REPEAT, mode_of, print_result, reported
from emdist.report.display import display


def compress(
    photo: Annotated[
        str,
        typer.Argument(
            help="PNG, JPEG, TIFF or BMP file, or sklearn:china.jpg, sklearn:flower.jpg."
        ),
    ],
    out: Annotated[str, typer.Argument(help="PNG file to write.")],
    colours: Annotated[
        int,
        typer.Option(
            "--colours",
            "--colors",
            "-k",
            metavar="N",
            help="Number of colours in the palette, 1 to 256.",
        ),
    ] = 16,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="How the starting colours are chosen, on a sample of the pixels. One of "
            f"{', '.join(CONFIGURATION['fit.init'].choices)}. (default: k-means++)",
        ),
    ] = None,
    seed: Seed = None,
    n_init: Starts = None,
    max_iter: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Maximum number of iterations of one restart. (default: 300)"
        ),
    ] = None,
    tol: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Stop when the squared movement of the colours, relative to the mean variance, "
            "falls below this. (default: 1e-4)",
        ),
    ] = None,
    overwrite: Annotated[bool, Overwrite] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Reduce an image to a palette of K colours by K-means.

    The result is an indexed-colour PNG. N pixels take 24 K + N ceil(log2 K) bits before PNG
    compresses them.

    Examples:
      emdist compress photo.jpg photo-10.png --colours 10
      emdist compress sklearn:china.jpg china.png -k 16
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT) as layer:
        from emdist.compression.image import compress_image
        from emdist.settings.config import FitSection, make_section

        given = {"init": init, "seed": seed, "n_init": n_init, "max_iter": max_iter, "tol": tol}
        chosen = {key: value for key, value in given.items() if value is not None}
        fit = make_section(
            FitSection,
            chosen,
            "the command line",
            {key: f"--{key.replace('_', '-')}" for key in chosen},
        )
        with display(mode, layer) as listen:
            found = compress_image(photo, out, colours, fit, overwrite, listen)
        print_result(found.to_dict(), found.to_page(), found.out, mode, layer)
