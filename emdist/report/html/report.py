"""`html_report`: the page of a run."""

from __future__ import annotations

from html import escape

from emdist.report.html.document import document
from emdist.report.html.origin import asked, made
from emdist.report.html.reported import ReportedRun
from emdist.report.html.sections import found, sure
from emdist.report.html.verdict import Verdict, verdicts


def html_report(told: ReportedRun) -> str:
    """Return the report of a run as one HTML page. The same run gives the same page."""
    answers = verdicts(told)
    rows = told.data.get("rows")
    of = f"{rows:,} rows x {told.findings.n_features} features" if rows else "the data"
    where = str(told.data.get("array") or "")
    lede = f"{of}{f' of {where}' if where else ''}"
    if created := str(told.record.get("created") or "")[:10]:
        lede += f", fitted on {created}"
    head = f'<div class="cards">{"".join(_card(one) for one in answers)}</div>'
    sections = [asked(told), found(told), sure(told), *told.extra, made(told)]
    return document(f"Clusters of {told.name}", f"{lede}.", head, sections)


def _card(one: Verdict) -> str:
    more = "".join(f"<p>{escape(line)}</p>" for line in one.more if line)
    mood = f" {one.mood}" if one.mood else ""
    return (
        f'<div class="card{mood}"><h3>{escape(one.question)}</h3>'
        f"<strong>{escape(one.answer)}</strong>{more}</div>"
    )
