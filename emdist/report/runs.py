"""Pages about runs: their list, a single one, a comparison, and what is deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rich.filesize import decimal

from emdist.report.page import Page, numbered

#: Columns of the list that hold text.
_TEXTS = ("run", "state", "model", "data", "started", "ended", "deletes")
#: States of which the page says why.
_TOLD = ("running", "unclear", "failed", "collapsed", "deleting", "damaged", "unreadable")
#: How many reasons are shown, and how many characters of one.
_LINES, _WIDTH = 20, 300
#: How many components of a comparison are shown.
_COMPONENTS = 100


def page_of_runs(runs: Sequence[Mapping[str, Any]], others: int = 0) -> Page:
    """Return the list of runs as a page.

    Parameters
    ----------
    runs
        The runs as JSON values; see `emdist.jobs.runs.described.RunInfo`.
    others
        How many other folders are beside them.
    """
    facts = [(printable(one["key"]), _brief(one["why"])) for one in runs
             if one["state"] in _TOLD and one["why"]]  # fmt: skip
    if len(facts) > _LINES:
        facts = [*facts[:_LINES], ("", f"and {len(facts) - _LINES} more; --json has all reasons")]
    facts += [
        (printable(one["key"]), f"is a link to {printable(one['link'])}")
        for one in runs
        if one["link"]
    ]
    total = sum(one["bytes"] for one in runs)
    if runs:
        facts.append(("in all", f"{numbered(len(runs), 'run')}, {decimal(total)}"))
    else:
        facts.append(("runs", "none"))
    if others:
        facts.append(("other folders", f"{others:,}, which are no runs"))
    if not runs:
        return Page(facts)
    header = ("run", "state", "model", "k", "data", "iterations", "objective", "rows", "started",
              "ended", "size")  # fmt: skip
    return Page(facts, header, [_row(one) for one in runs], _TEXTS)


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    objective = one["objective"]
    return (
        printable(one["key"]),
        one["state"],
        f"labels: {one['model']}" if one["kind"] == "labels" else one["model"],
        sizes(one["k"]),
        printable(str(one["data"]).rstrip("/").rpartition("/")[2]),
        _number(one["iterations"]),
        f"{objective:.8g}" if isinstance(objective, int | float) else "",
        _number(one["rows"]),
        moment(one["started"]),
        moment(one["ended"]),
        decimal(one["bytes"]),
    )


def page_of_run(one: Mapping[str, Any], parts: Mapping[str, int], rest: Page) -> Page:
    """Return the page of a run: its state and disk usage, and then what `emdist inspect` tells."""
    owner = one.get("owner") or {}
    facts = [
        ("run", printable(one["path"])),
        ("state", one["state"] + (f": {one['why']}" if one["why"] else "")),
        *([("link to", printable(one["link"]))] if one["link"] else []),
        ("started", moment(one["started"]) or "unknown"),
        *([("ended", moment(one["ended"]))] if one["ended"] else []),
        *([("process", f"{owner.get('pid')} on {owner.get('host')}")] if owner.get("pid") else []),
        ("on disk", decimal(one["bytes"])),
        *(("", f"{printable(name)}: {decimal(size)}") for name, size in parts.items()),
    ]
    if one.get("keep"):
        kept = "its model is kept" if one["keep"].get("keep_model") is not False else "whole"
        facts.append(("retention", f"{one['keep'].get('after')} after its end; {kept}"))
    known = {"run", "kind"}
    return replace(rest, facts=[*facts, *(pair for pair in rest.facts if pair[0] not in known)])


def page_of_comparison(found: Mapping[str, Any]) -> Page:
    """Return runs side by side: first what differs in their configuration, then their results."""
    runs = [printable(one["key"]) for one in found["runs"]]
    facts = [("note", note) for note in found["notes"]]
    rows = [
        (name, *("" if value is None else str(value) for value in values))
        for name, values in found["differences"].items()
    ]
    if not rows:
        facts.append(("configuration", "the same"))
    rows += [(name, *map(_cell, values)) for name, values in found["results"].items()]
    return Page(facts, ("", *runs), rows, ("", *runs))


def pages_of_matches(found: Mapping[str, Any]) -> list[Page]:
    """Return how the components and labels of runs agree with those of the first: a page each."""
    return [
        _page_of_match(one) for one in found["matches"] if "components" in one or "labels" in one
    ]


def _page_of_match(one: Mapping[str, Any]) -> Page:
    run, first = printable(one["run"]), printable(one["with"])
    facts = [("compared", f"{run} with {first}")]
    if gone := one.get("gone"):
        facts.append(("gone", f"components {', '.join(map(str, gone))} of {first}"))
    labels = one.get("labels", {})
    facts += [(title, f"{labels[name]:.4f}") for name, title in _FIGURES.items() if name in labels]
    if labels:
        facts.append(("rows with both labels", f"{labels['rows']:,}"))
    rows = [
        (
            str(part["component"]),
            "new" if part["matches"] is None else str(part["matches"]),
            f"{part['weight']:.4f}",
            "" if part["weight_before"] is None else f"{part['weight_before']:.4f}",
            "" if part["moved"] is None else f"{part['moved']:.3g}",
        )
        for part in one.get("components", ())[:_COMPONENTS]
    ]
    if (more := len(one.get("components", ())) - _COMPONENTS) > 0:
        facts.append(("components", f"{more:,} more than are shown here; --json has all"))
    header = (f"component of {run}", f"is that of {first}", "weight", "weight before",
              "moved (standard deviations)")  # fmt: skip
    return Page(facts, header if rows else (), rows)


_FIGURES = {
    "same": "rows of matching components",
    "adjusted_rand": "adjusted Rand index",
    "adjusted_mutual_information": "adjusted mutual information",
    "v_measure": "V-measure",
}


def page_of_removals(removals: Sequence[Mapping[str, Any]], done: bool) -> Page:
    """Return what is deleted of runs, or would be."""
    kept = [("kept", printable(line)) for one in removals for line in one["kept"]]
    total, files = sum(one["bytes"] for one in removals), sum(one["files"] for one in removals)
    verb = "deleted" if done else "to delete"
    facts = [
        *kept,
        (verb, f"{numbered(len(removals), 'run')}, {numbered(files, 'file')}, {decimal(total)}"),
    ]
    rows = [
        (
            printable(one["run"]),
            one["state"],
            "everything" if one["whole"] else ", ".join(map(printable, one["deletes"])),
            f"{one['files']:,}",
            decimal(one["bytes"]),
        )
        for one in removals
    ]
    header = ("run", "state", "deletes", "files", "size")
    return Page(facts, header if rows else (), rows, _TEXTS)


def sizes(k: Any) -> str:
    """Return numbers of components as a text: one, or the ends of a list."""
    if isinstance(k, list):
        return f"{k[0]}..{k[-1]}" if len(k) > 3 else ", ".join(map(str, k))
    return "" if k is None else str(k)


def moment(time: Any) -> str:
    """Return a stored time in the time zone of this machine, to the minute; "" for none."""
    try:
        return f"{datetime.fromisoformat(str(time)).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return ""


def printable(text: str) -> str:
    """Return a name in one line, with escapes for what cannot be printed."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def _brief(text: str) -> str:
    line = printable(text)
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}..."


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return _number(value) if type(value) is int else "" if value is None else str(value)
