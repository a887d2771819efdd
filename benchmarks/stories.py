"""Makes the data and the pictures of docs/ocean.md and docs/raster.md.

    python -m benchmarks.stories FOLDER

runs the code that the pages show in FOLDER, and writes ocean.png and raster.png there.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks.story_data import ocean, scene

PAGES = ("ocean", "raster")


def code_of(page: str) -> str:
    """Return the first Python code that a page of the documentation shows."""
    text = (Path(__file__).parent.parent / "docs" / f"{page}.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def main(folder: str) -> None:
    """Run the code of both pages in `folder`, and save its pictures."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    Path(folder).mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    mpl.rcParams.update({"figure.figsize": (7, 4), "image.cmap": "tab20", "savefig.dpi": 90})
    ocean("ocean.zarr")
    scene("scene.zarr")
    for page in PAGES:
        known: dict[str, Any] = {}
        exec(code_of(page), known)
        plt.tight_layout()
        plt.savefig(f"{page}.png")
        plt.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
