"""``emdist fit --repeat RUN``: repeats a run, and says whether the results are bit-identical."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emdist.fit.events import Warned
from emdist.report.answer import print_result
from emdist.report.display import Mode, display
from emdist.report.page import Page
from emdist.wording import Layer


def repeat_run(place: str, given: Mapping[str, Any], mode: Mode, layer: Layer) -> None:
    """Repeat the run at `place` and print whether the results are bit-identical.

    Raises
    ------
    SystemExit
        With code 1, if they are not.
    """
    from emdist.jobs.repeat import changes, repeat, repetition
    from emdist.store.places.location import Location

    run = Location(place)
    config = repetition(run, given)
    with display(mode, layer) as listen:
        for line in changes(run, config):
            listen(Warned(f"The data differ from those of the run: {line}"))
        found = repeat(run, config, listen)
    print_result(found, _page(found), found["repeated"], mode, layer)
    if not found["same_bits"]:
        raise SystemExit(1)


def _page(found: Mapping[str, Any]) -> Page:
    """Return the comparison of both runs as a page, the result first."""
    same = {True: "the same", False: "different", None: "not compared: a run has no labels"}
    differs = found["differs"] or ["nothing"]
    return Page(
        [
            ("results", "bit-identical" if found["same_bits"] else "not bit-identical"),
            ("model", same[found["same_model"]]),
            ("labels", same[found["same_labels"]]),
            ("objectives", ", ".join(f"{value:.17g}" for value in found["objective"])),
            ("run", found["run"]),
            ("repeated", found["repeated"]),
            *(("differs" if at == 0 else "", line) for at, line in enumerate(differs)),
        ]
    )
