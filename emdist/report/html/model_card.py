"""`model_card`: what users of a model must know, in Markdown, beside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

from emdist.report.html.reported import ReportedRun
from emdist.report.html.verdict import number_of, overlapping, reservations, telling

#: How many components and features the card lists.
_COMPONENTS, _FEATURES = 24, 8


def model_card(told: ReportedRun) -> str:
    """Return the model card of a run: use, clusters, limits and origin of its model."""
    findings, record = told.findings, told.record
    stored: Mapping[str, Any] = record.get("data") or {}
    versions: Mapping[str, Any] = record.get("versions") or {}
    rows = told.data.get("rows") or (stored.get("shape") or ["?"])[0]
    k = number_of(told)
    lines = [
        f"# Model card: {_plain(told.name)}",
        "",
        f"{k.answer} by the model `{findings.section.name}`, fitted by emdist to {rows:,} rows of "
        f"{findings.n_features} features. {' '.join(k.more)}",
        "",
        "## Use",
        "",
        "The model gives each row of new data the label of a cluster:",
        "",
        f"    emdist label {quote(' '.join(told.run.split()))} NEW.zarr LABELS.zarr",
        "",
        "New data need the same features, in the same order and units. A label is a summary of the "
        "data that the model was fitted to. It is no known class.",
        "",
        "## Clusters",
        "",
        *_clusters(told),
        "",
        "## Limits",
        "",
        *_bullets([*told.doubts, *reservations(told), *_answers(told)] or ["No warnings."]),
        "",
        "## Origin",
        "",
        *_bullets(
            [
                f"Data: {stored.get('array', 'not known')}",
                *(f"Data, {n}: {stored[n]}" for n in ("sampled_sha256", "snapshot") if n in stored),
                f"Model, sha256: {told.sha256}",
                f"Begun: {record.get('created', 'not known')}",
                f"emdist {versions.get('emdist', '?')}, numpy {versions.get('numpy', '?')}, "
                f"Python {versions.get('python', '?')}",
                f"Repeat: {told.command}",
            ]
        ),
        "",
    ]
    return "\n".join(lines)


def _answers(told: ReportedRun) -> list[str]:
    if told.findings.rows is None:
        return []
    return [
        f"{one.question} {one.answer}. {' '.join(one.more)}"
        for one in (overlapping(told), telling(told))
    ]


def _clusters(told: ReportedRun) -> list[str]:
    findings = told.findings
    listed = list(told.summary.get("components") or ())
    which = sorted(findings.telling(_FEATURES))
    header = [findings.word, "share", *(findings.names[f] for f in which)]
    lines = [_row(header), "|" + " --: |" * len(header)]
    for k in range(min(findings.k, _COMPONENTS)):
        share = listed[k]["weight"] if k < len(listed) else float(findings.shares[k])
        means = [f"{findings.means[k, f]:.4g}" for f in which]
        lines.append(_row([str(k), f"{100 * share:.3g} %", *means]))
    if findings.k > _COMPONENTS:
        lines += ["", f"The first {_COMPONENTS} of {findings.k} are listed."]
    if findings.n_features > _FEATURES:
        lines += ["", f"{len(which)} of {findings.n_features} features are listed."]
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _bullets(items: Sequence[str]) -> list[str]:
    return [f"- {_plain(item)}" for item in items]


def _plain(words: str) -> str:
    """Return text on one line, without HTML, links and code, which Markdown would pass on."""
    line = " ".join(words.split()).replace("&", "&amp;").replace("<", "&lt;")
    return line.replace("`", "\\`").replace("[", "\\[")
