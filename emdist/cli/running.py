"""Run ``emdist fit`` and ``emdist sweep`` once their configuration is checked."""

from __future__ import annotations

from typing import Any

from emdist.report.answer import print_result
from emdist.report.display import Mode, display
from emdist.report.page import Page
from emdist.wording import Layer


def run_job(config: Any, mode: Mode, layer: Layer) -> None:
    """Run the job of a configuration, shown meanwhile, and print its summary."""
    from emdist.jobs.run import open_job

    with display(mode, layer) as listen, open_job(config, listen=listen) as job:
        if isinstance(job, dict):
            summary, page = job, Page([("done already, nothing to do", job["run"])])
        else:
            found = job.complete()
            summary, page = found.to_dict(), found.to_page()
    print_result(summary, page, summary["run"], mode, layer)
