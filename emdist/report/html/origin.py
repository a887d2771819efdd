"""The sections of a report about the work: what was asked, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.filesize import decimal

from emdist.fit.criteria import CRITERIA
from emdist.report.html import markup
from emdist.report.html.reported import ReportedRun
from emdist.report.outlook import duration
from emdist.report.page import listed_steps

Part = tuple[str, str, str]
#: How many names of features are listed.
_FEATURES = 40
_HASHES = ("sampled_sha256", "metadata_sha256", "sha256", "snapshot")


def asked(told: ReportedRun) -> Part:
    """Return the section about the question: the data, the model and the settings."""
    data, findings, config = told.data, told.findings, told.record["config"]
    stored: Mapping[str, Any] = told.record.get("data") or {}
    rows = data.get("rows") or (stored.get("shape") or [0])[0]
    names = findings.fitted.feature_names
    shown = ", ".join(names[:_FEATURES]) if names else f"{findings.n_features} without names"
    if names and len(names) > _FEATURES:
        shown += f" and {len(names) - _FEATURES} more"
    model = _model(told)
    pairs = [
        ("data", str(data.get("array") or stored.get("array") or config["data"].get("path"))),
        ("rows", f"{rows:,}"),
        ("features", shown),
        *([("prepared by", steps)] if (steps := listed_steps(config.get("prepare") or ())) else []),
        ("model", model),
    ]
    body = [
        markup.text(f"emdist was asked to describe the rows of these data by {model}."),
        markup.facts(pairs),
        "<h3>Settings that differ from the defaults</h3>" if told.settings else "",
        markup.facts([*told.settings]) if told.settings else "",
    ]
    return "asked", "What was asked", markup.section("asked", "What was asked", body)


def _model(told: ReportedRun) -> str:
    findings = told.findings
    name = _NAMES.get(findings.section.name, f"the model {findings.section.name}")
    if findings.section.chain is not None:
        name = f"a hidden Markov model whose states emit rows of the family {findings.section.name}"
    if told.is_sweep:
        ks = sorted({row.n_components for row in findings.models})
        families = list(dict.fromkeys(row.family for row in findings.models))
        criterion = CRITERIA[findings.criterion].title.partition(",")[0]
        return (
            f"the best of {len(findings.models)} models ({', '.join(families)}; {ks[0]} to "
            f"{ks[-1]} {findings.word}s), chosen by {criterion}"
        )
    return f"{name} with {findings.k} {findings.word}{'s' * (findings.k != 1)}"


_NAMES = {
    "full": "a mixture of Gaussians, each with a covariance of its own,",
    "tied": "a mixture of Gaussians with one covariance,",
    "diagonal": "a mixture of Gaussians with diagonal covariances",
    "spherical": "a mixture of Gaussians with one variance each",
    "isotropic": "a mixture of Gaussians with one variance",
    "kmeans": "K-means",
    "kmedians": "K-medians",
}


def made(told: ReportedRun) -> Part:
    """Return the section that lets a colleague make the same: command, fingerprint, versions."""
    record, summary = told.record, told.summary
    stored: Mapping[str, Any] = record.get("data") or {}
    fit = record["config"].get("fit") or {}
    spent = [(f"time, {stage}", duration(value)) for stage, value in
             (summary.get("seconds") or {}).items()]  # fmt: skip
    prints = [(name.replace("_", " "), str(stored[name])) for name in _HASHES if name in stored]
    facts = [
        ("run folder", told.run),
        ("begun", str(record.get("created") or "not known")),
        ("random seed", str(fit.get("seed", 0))),
        ("labels", str(summary.get("labels") or "not written")),
        *spent,
        *([("size of the data", decimal(told.data["bytes"]))] if "bytes" in told.data else []),
        *((f"data, {name}", value) for name, value in prints),
        ("model, sha256", told.sha256),
    ]
    versions = [(str(k), str(v)) for k, v in (record.get("versions") or {}).items()]
    body = [
        markup.text("This command makes the same result again, and compares it bit by bit:"
                    if "--repeat" in told.command else
                    "Save this configuration as config.yaml. Then this command makes the same:"),
        markup.code(told.command, "Command that repeats the run"),
        "<h3>Data and run</h3>",
        markup.facts(facts),
        "<h3>Configuration</h3>",
        markup.code(told.configuration, "Configuration of the run"),
        "<h3>Versions</h3>",
        markup.facts(versions),
    ]  # fmt: skip
    return "made", "How it was made", markup.section("made", "How it was made", body)
