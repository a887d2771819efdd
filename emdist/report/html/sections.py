"""The sections of a report about the result: what was found, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from emdist.fit.criteria import CRITERIA
from emdist.plot.chart import chart
from emdist.plot.colours import NOBODY, brief, colours
from emdist.plot.svg import to_svg
from emdist.report.html import markup
from emdist.report.html.markup import Cell, count, number, percent
from emdist.report.html.reported import ReportedRun
from emdist.report.html.verdict import pairs, reservations, runner_up

Part = tuple[str, str, str]
#: How many components, features and pairs the tables show.
_COMPONENTS, _FEATURES, _PAIRS, _ERRORS = 200, 40, 15, 60
#: How many features have a column of means.
_COLUMNS = 6


def drawn(told: ReportedRun, kind: str, note: str = "", title: str = "", **options: Any) -> str:
    """Return a figure, or nothing if it cannot be drawn."""
    if chart(kind).lacks(told.findings):
        return ""
    return markup.figure(to_svg(told.findings, kind, title, **options), note)


def figures(*parts: str) -> str:
    """Return figures beside each other."""
    kept = [part for part in parts if part]
    return f'<div class="figures">{"".join(kept)}</div>' if kept else ""


def found(told: ReportedRun) -> Part:
    """Return the section about the clusters: sizes, means, what sets them apart, overlaps."""
    findings = told.findings
    rows = findings.rows
    note = f"From {rows.told}." if rows is not None else ""
    body = [
        _components(told),
        figures(drawn(told, "sizes"), drawn(told, "profiles", _PROFILES)),
        figures(drawn(told, "transitions")),
        drawn(told, "images"),
        drawn(told, "label_map", findings.grid.note if findings.grid else ""),
        _apart(told),
        figures(
            drawn(told, "scatter", f"{_ELLIPSES} {note}"),
            drawn(told, "density", note),
            *_planes(told, note),
        ),
    ]
    return "found", "What was found", markup.section("found", "What was found", body)


_ELLIPSES = "An ellipse has a radius of 2 deviations: it holds 86 % of a Gaussian."
_PROFILES = "Numbers are means in the units of the data; colours compare them with all rows."


def _planes(told: ReportedRun, note: str) -> list[str]:
    findings = told.findings
    if findings.n_features < 3 or findings.k < 2:
        return []
    title = "Rows in the plane in which the clusters are furthest apart"
    return [drawn(told, "scatter", note, title, plane="discriminant")]


def _components(told: ReportedRun) -> str:
    findings = told.findings
    listed = list(told.summary.get("components") or ())
    contrasts, palette = findings.contrasts, findings.shades(colours(findings.k))
    columns = sorted(findings.telling(_COLUMNS))
    lines = []
    for k in range(min(findings.k, _COMPONENTS)):
        labelled = listed[k]["labelled"] if k < len(listed) else _counted(told, k)
        share = listed[k]["weight"] if k < len(listed) else float(findings.shares[k])
        line = [
            Cell(str(k), k, palette[k]),
            percent(share),
            count(labelled) if math.isfinite(labelled) else Cell("-"),
        ]
        for f in columns:
            spread = "" if contrasts is None else f" ± {contrasts.deviation[k, f]:.3g}"
            mean = float(findings.means[k, f])
            line.append(Cell(f"{mean:.4g}{spread}", mean))
        line.append(Cell("-" if contrasts is None else marks_of(told, k)))
        lines.append(line)
    if noise := (told.summary.get("result") or {}).get("noise"):
        blank = [Cell("-")] * (len(columns) + 1)
        lines.append([Cell("noise", -1, NOBODY), percent(noise["weight"]),
                      count(noise["labelled"]), *blank])  # fmt: skip
    header = [
        findings.word,
        "share",
        "rows labelled",
        *(findings.names[f] for f in columns),
        "stands out by",
    ]
    caption = f"The {findings.word}s: their means in the units of the data"
    if contrasts is not None:
        caption += " (± the standard deviation of their rows)"
    if findings.k > _COMPONENTS:
        caption += f". The first {_COMPONENTS} of {findings.k} are shown"
    return markup.table(f"{caption}.", header, lines)


def _counted(told: ReportedRun, k: int) -> float:
    """Return the number of rows with a label if all rows were looked at; NaN otherwise."""
    rows = told.findings.rows
    if rows is None or not rows.is_all:
        return math.nan
    return float((rows.labels == k).sum())


def marks_of(told: ReportedRun, k: int) -> str:
    """Return what sets a component apart from all rows, in words."""
    contrasts = told.findings.contrasts
    assert contrasts is not None
    parts = []
    for f in contrasts.marks(k, 3):
        away = float(contrasts.away[k, f])
        if abs(away) >= 0.5:
            much = "much " if abs(away) >= 1.5 else ""
            parts.append(
                f"{much}{'higher' if away > 0 else 'lower'} {brief(told.findings.names[f])}"
            )
    return ", ".join(parts) or "close to the average"


def _apart(told: ReportedRun) -> str:
    findings = told.findings
    contrasts = findings.contrasts
    if contrasts is None or findings.k < 2:
        return ""
    lines = []
    for f in findings.telling(_FEATURES):
        means = contrasts.mean[:, f]
        low, high = _extreme(means)
        lines.append([
            Cell(findings.names[f]), percent(float(contrasts.explained[f])),
            Cell(f"{low}: {means[low]:.4g}" if low >= 0 else "-", low),
            Cell(f"{high}: {means[high]:.4g}" if high >= 0 else "-", high),
            number(float(contrasts.total_mean[f])), number(float(contrasts.total_deviation[f])),
        ])  # fmt: skip
    header = ("feature", "variance between clusters", f"lowest {findings.word}: mean",
              f"highest {findings.word}: mean", "mean of all", "deviation of all")  # fmt: skip
    assert findings.rows is not None
    return markup.table(
        f"Which features tell the {findings.word}s apart, from {findings.rows.told}. 100 %: all "
        "rows of a cluster have one value; 0 %: all clusters have the same mean.",
        header,
        lines,
    )


def _extreme(means: Any) -> tuple[int, int]:
    known = [(float(m), i) for i, m in enumerate(means) if math.isfinite(m)]
    return (min(known)[1], max(known)[1]) if known else (-1, -1)


def sure(told: ReportedRun) -> Part:
    """Return the section about trust: warnings, convergence, overlaps, other models."""
    result = told.summary.get("result") or {}
    fitted, findings = told.findings.fitted, told.findings
    reasons, doubts = reservations(told), told.doubts
    history = fitted.history
    starts = len({record.restart for record in history})
    state = fitted.status.value.partition(". ")[0]
    facts = [
        ("end of the fit", f"{state}, after {fitted.iterations:,} iterations"),
        ("starts", f"{max(starts, 1)}; the best one is number {fitted.restart + 1}"),
        (findings.objective, f"{result.get('final', fitted.objective):.10g}"),
    ]
    body = [
        "<h3>Warnings</h3>" if doubts else markup.text("emdist has no warnings about this result."),
        markup.listing(doubts, "doubts"),
        "<h3>What else to keep in mind</h3>" if reasons else "",
        markup.listing(reasons),
        markup.facts(facts),
        _uncertainty(told),
        *([_models(told)] if told.is_sweep else []),
        figures(
            drawn(told, "criterion", " ".join(runner_up(told)) if told.is_sweep else ""),
            drawn(told, "convergence", terms=False),
        ),
        _overlaps(told),
        figures(
            drawn(told, "overlap"),
            drawn(told, "uncertainty"),
            drawn(
                told, "silhouettes", "1: far from the other clusters; below 0: nearer to another."
            ),
        ),
    ]
    return "sure", "How sure it is", markup.section("sure", "How sure it is", body)


def _uncertainty(told: ReportedRun) -> str:
    """Return the standard errors that were stored with the run, or how to get them."""
    known = told.uncertainty.get("standard_errors") or {}
    lines = [
        [Cell(str(one["parameter"])), Cell(_place(told, one)), number(_value(one["estimate"])),
         number(_value(one["standard_error"]), 3), number(_value(one["low"])),
         number(_value(one["high"]))]
        for one in known.get("parameters") or ()
    ]  # fmt: skip
    if not lines:
        return markup.text(
            f"For standard errors, the stability of labels and a test for one {told.findings.word} "
            f"more, run emdist uncertainty {told.run} and write the report again."
        )
    more = f". The first {_ERRORS} of {len(lines)} are shown" if len(lines) > _ERRORS else ""
    caption = f"Parameters with standard errors and intervals of {known.get('level', 0.95):.0%}"
    header = ("parameter", "of", "estimate", "standard error", "low", "high")
    doubts = markup.listing([str(one) for one in known.get("doubts") or ()], "doubts")
    return doubts + markup.table(f"{caption}{more}.", header, lines[:_ERRORS])


def _place(told: ReportedRun, one: Mapping[str, Any]) -> str:
    parts = [str(one.get(name)) for name in ("feature", "other") if one.get(name) not in (None, "")]
    k = one.get("component")
    own = [] if k in (None, "") else [f"{told.findings.word} {k}"]
    return ", ".join([*own, *parts])


def _value(found: Any) -> float:
    return math.nan if found is None else float(found)


def _models(told: ReportedRun) -> str:
    findings = told.findings
    names = [name for name in findings.models[0].criteria if name in CRITERIA]
    lines = []
    for row in findings.models:
        marks = ["best"] if row.name == findings.best else []
        marks += ["on the variance floor"] if row.degenerate else []
        marks += [] if row.converged else ["not converged"]
        lines.append([
            Cell(row.name), Cell(str(row.n_components), row.n_components), number(row.score, 8),
            *(number(row.criteria[name], 8) for name in names), Cell(", ".join(marks)),
        ])  # fmt: skip
    header = ("model", "k", findings.objective, *(CRITERIA[name].title for name in names), "notes")
    return markup.table("All models that were compared.", header, lines)


def _overlaps(told: ReportedRun) -> str:
    findings = told.findings
    known = [pair for pair in pairs(told)[:_PAIRS] if pair[2] > 0.001]
    overlap, rows = findings.overlap, findings.rows
    if not known or overlap is None or rows is None:
        return ""
    lines = [
        [Cell(f"{i} and {j}", i * findings.k + j), percent(float(overlap[i, j])),
         percent(float(overlap[j, i])), Cell(_between(told, i, j))]
        for i, j, _ in known
    ]  # fmt: skip
    header = ("pair", "rows of the first that may be of the second", "and the reverse",
              "told apart best by")  # fmt: skip
    return markup.table(f"The pairs that overlap most, from {rows.told}.", header, lines)


def _between(told: ReportedRun, i: int, j: int) -> str:
    """Return the feature in which two components differ most, relative to their widths."""
    found = told.findings.contrasts
    assert found is not None
    best, name = 0.0, "-"
    for f in range(told.findings.n_features):
        width = math.sqrt((found.deviation[i, f] ** 2 + found.deviation[j, f] ** 2) / 2)
        away = abs(float(found.mean[i, f] - found.mean[j, f]))
        if math.isfinite(away) and width > 0 and away / width > best:
            best, name = away / width, told.findings.names[f]
    return f"{name} ({best:.1f} deviations apart)" if best else name
