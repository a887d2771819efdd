"""Every command line of Prefect that pages and deployments show is one that Prefect takes."""

from __future__ import annotations

import pytest

from tests.support.documented_commands import SHOWN, Line, lines_of

LINES = dict.fromkeys(line for path in SHOWN for line in lines_of(path))


@pytest.mark.parametrize("line", [one for one in LINES if one.words[0] == "prefect"], ids=str)
def test_prefect_takes_it(line: Line) -> None:
    app = pytest.importorskip("prefect.cli._app")._app
    cyclopts = pytest.importorskip("cyclopts")
    # The options of all commands come first: --no-prompt, --profile.
    session = app.meta.parse_args(line.words[1:], exit_on_error=False, print_error=False)[1]
    try:
        app.parse_args(session.args, exit_on_error=False, print_error=False)
    except cyclopts.MissingArgumentError:
        assert not line.whole
