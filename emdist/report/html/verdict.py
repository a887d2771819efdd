"""The answers that a colleague looks for: what is k, what overlaps, what tells clusters apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emdist.fit.criteria import CRITERIA
from emdist.plot.findings import NEAR, certainty
from emdist.report.html.reported import ReportedRun

#: Responsibility, or share of rows, from which on two clusters are said to overlap.
OVERLAPS = 0.05
#: Differences of BIC: below the first there is no evidence, from the second on it is very strong
#: (Kass and Raftery 1995).
_WEAK, _STRONG = 2.0, 10.0
#: A feature in which this share of the variance lies between clusters tells them apart well.
_TELLING = 0.5
#: A silhouette below the first shows no structure, from the second on a strong one (Kaufman and
#: Rousseeuw 1990); the figures were made for Euclidean distances.
_LOOSE = 0.25
#: Restarts agree if their objectives differ by less than this share.
_AGREE = 1e-3


@dataclass(frozen=True)
class Verdict:
    """One answer.

    Attributes
    ----------
    question, answer
        The question, and the answer in a few words.
    more
        Sentences that explain it.
    mood
        "good", "doubt" or "".
    """

    question: str
    answer: str
    more: tuple[str, ...] = ()
    mood: str = ""


def verdicts(told: ReportedRun) -> list[Verdict]:
    """Return the answers to the four questions of a colleague."""
    return [number_of(told), overlapping(told), telling(told), trusted(told)]


def number_of(told: ReportedRun) -> Verdict:
    """Return how many components there are, and who chose that."""
    findings = told.findings
    k, word = findings.k, findings.word
    answer = f"k = {k} {word}{'s' if k != 1 else ''}"
    if told.is_sweep:
        title = CRITERIA[findings.criterion].title.partition(",")[0]
        tried = sorted({row.n_components for row in findings.models})
        more = (
            f"{title} chose the model {findings.best} among {len(findings.models)} models with "
            f"{tried[0]} to {tried[-1]} {word}s.",
            *runner_up(told),
        )
        return Verdict("How many clusters are there?", answer, more)
    asked = told.record["config"]["model"].get("n_components")
    why = "This number was asked for, and not found in the data."
    if findings.section.chain is None:
        why += f" To compare numbers, run emdist sweep with -k {max(2, k - 2)}..{k + 3}."
    if asked is not None and asked != k:
        why = f"{asked} were asked for, of which {k} are left. {why}"
    return Verdict("How many clusters are there?", answer, (why,))


def runner_up(told: ReportedRun) -> tuple[str, ...]:
    """Return how far ahead of the second the best model is."""
    findings = told.findings
    rule = CRITERIA[findings.criterion]
    sound = [
        row
        for row in findings.models
        if not row.degenerate and math.isfinite(row.criteria.get(findings.criterion, math.nan))
    ]
    best = [row for row in sound if row.name == findings.best]
    others = [row for row in sound if row.name != findings.best]
    if not best or not others:
        return ()
    sign = 1.0 if rule.lower else -1.0
    second = min(others, key=lambda row: sign * row.criteria[findings.criterion])
    ahead = sign * (second.criteria[findings.criterion] - best[0].criteria[findings.criterion])
    said = f"The next best is {second.name}, behind by {ahead:.4g}"
    if findings.criterion == "bic" and ahead >= 0:
        weight = (
            "which is hardly any evidence for either"
            if ahead < _WEAK
            else "which is some evidence"
            if ahead < _STRONG
            else "which is strong evidence"
        )
        said += (
            f", {weight} (differences of BIC below {_WEAK:g} are weak, above {_STRONG:g} strong)"
        )
    return (f"{said}.",)


def pairs(told: ReportedRun) -> list[tuple[int, int, float]]:
    """Return pairs of components with how much they overlap, the largest first."""
    found, k = told.findings.overlap, told.findings.k
    if found is None:
        return []
    both = [(i, j, float(max(found[i, j], found[j, i]))) for i in range(k) for j in range(i + 1, k)]
    return sorted(both, key=lambda pair: -pair[2])


def overlapping(told: ReportedRun) -> Verdict:
    """Return which components overlap."""
    question, findings = "Which clusters overlap?", told.findings
    if findings.k == 1:
        return Verdict(question, "There is only one")
    if findings.overlap is None:
        return Verdict(question, "Not known", (told.unread or "The model does not tell.",))
    all_pairs = pairs(told)
    found = [pair for pair in all_pairs if pair[2] >= OVERLAPS]
    how = (
        f"Two clusters overlap if for {OVERLAPS:.0%} of the rows of one, its own centre is more "
        f"than {NEAR:g} times as far as that of the other."
        if findings.has_centres
        else f"Two components overlap if rows labelled with one belong to the other with a mean "
        f"probability of {OVERLAPS:.0%} or more."
    )
    if not found:
        i, j, most = all_pairs[0]
        return Verdict(
            question,
            "None does",
            (f"The closest are {i} and {j} ({100 * most:.1f} %). {how}",),
            "good",
        )
    named = ", ".join(f"{i} and {j} ({100 * most:.0f} %)" for i, j, most in found[:4])
    more = f" and {len(found) - 4} other pairs" if len(found) > 4 else ""
    total = findings.k * (findings.k - 1) // 2
    answer = f"{len(found)} of {total} pair{'s' * (total != 1)}"
    return Verdict(question, answer, (f"{named}{more}. {how}",))


def telling(told: ReportedRun) -> Verdict:
    """Return which features tell the components apart."""
    question, findings = "Which features tell them apart?", told.findings
    found = findings.contrasts
    if findings.k == 1:
        return Verdict(question, "There is only one cluster")
    if found is None:
        return Verdict(question, "Not known", (told.unread,))
    order = [i for i in findings.telling(findings.n_features) if np.isfinite(found.explained[i])]
    if not order:
        return Verdict(question, "None", ("All features are constant.",), "doubt")
    good = [i for i in order if found.explained[i] >= _TELLING]
    shown = (good or order)[:3]
    listed = ", ".join(f"{findings.names[i]} ({100 * found.explained[i]:.0f} %)" for i in shown)
    rest = f", and {len(good) - 3} more" if len(good) > 3 else ""
    least = order[-1]
    more = [
        f"In percent: the share of the variance of a feature that lies between clusters. Here: "
        f"{listed}{rest}."
    ]
    if len(order) > len(shown):
        more.append(f"The least: {findings.names[least]} ({100 * found.explained[least]:.0f} %).")
    if not good:
        more.append("No single feature separates the clusters; look at several together.")
    return Verdict(question, ", ".join(findings.names[i] for i in shown[:2]), tuple(more))


def trusted(told: ReportedRun) -> Verdict:
    """Return how many reasons there are to doubt the result."""
    question = "Is it to be trusted?"
    reasons = reservations(told)
    serious = told.doubts
    if serious:
        return Verdict(
            question,
            f"With care: {len(serious)} warning{'s' * (len(serious) > 1)}",
            (short(serious[0]), "All reasons are under How sure."),
            "doubt",
        )
    if reasons:
        return Verdict(question, "Yes, with reservations", tuple(reasons[:2]))
    return Verdict(
        question,
        "Nothing speaks against it",
        ("Convergence, restarts and overlaps were checked.",),
        "good",
    )


def short(sentence: str) -> str:
    """Return the first sentence of a message."""
    head, dot, _ = sentence.partition(". ")
    return f"{head}." if dot else head


def reservations(told: ReportedRun) -> list[str]:
    """Return what a careful reader would add, besides the warnings of emdist."""
    findings = told.findings
    found = [*_restarts(told)]
    if not told.is_sweep:
        found.append(f"The number of {findings.word}s was asked for, and compared with no other.")
    if findings.rows is not None and (sure := certainty(findings.rows)) is not None:
        unsure = float((sure < 0.9).mean())
        if unsure > 0.1:
            found.append(
                f"{100 * unsure:.0f} % of the rows have a label whose probability is below 90 %: "
                "for them the label alone says too little. Use the responsibilities."
            )
    values = findings.silhouettes
    if values is not None and float(np.nanmean(values)) < _LOOSE:
        found.append(
            f"The mean silhouette is {float(np.nanmean(values)):.2f}, below {_LOOSE:g}: the "
            "clusters divide the rows and are no separate groups, in Euclidean distances."
        )
    small = [i for i in range(findings.k) if findings.shares[i] * _rows(told) < 10]
    if small:
        found.append(
            f"Fewer than ten rows stand behind {findings.word}s {', '.join(map(str, small[:8]))}."
        )
    if told.unread:
        found.append(f"No rows were looked at for this report: {told.unread}")
    return found


def _rows(told: ReportedRun) -> float:
    rows = told.findings.rows
    return float(told.data.get("rows") or (rows.n_rows if rows is not None else math.inf))


def _restarts(told: ReportedRun) -> list[str]:
    """Return what the restarts of the fit say; nothing if they agree."""
    fitted = told.findings.fitted
    ends: dict[int, float] = {}
    for record in fitted.history:
        if math.isfinite(record.objective):
            ends[record.restart] = record.objective
    asked = (told.record["config"].get("fit") or {}).get("n_init") or 1
    if asked <= 1 and len(ends) <= 1:
        if told.findings.k == 1:
            return []  # One component has one solution.
        return [
            "There was one start, so nothing is known of other solutions that the data may have. "
            "Fit with --n-init 10, and look whether the starts agree."
        ]
    values = np.array(list(ends.values()))
    best = ends.get(fitted.restart, fitted.objective)
    near = int((np.abs(values - best) <= _AGREE * max(abs(best), 1e-300)).sum())
    if near < max(2, math.ceil(len(values) / 2)):
        return [
            f"Only {near} of {len(values)} starts reached the best objective (within "
            f"{_AGREE:.1%}): there are other solutions that are nearly as good, or the best one is "
            "hard to find. Use more starts."
        ]
    return []
