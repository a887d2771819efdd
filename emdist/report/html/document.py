"""The page as one file: style, script and pictures are inside, and no network is used."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files


def document(title: str, lede: str, head: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """Return a complete HTML page.

    Parameters
    ----------
    title
        The title.
    lede
        The sentence below it.
    head
        What stands before the sections, as HTML.
    sections
        For each section its name, its title and its HTML.
    """
    here = files("emdist.report.html")
    style = here.joinpath("page.css").read_text(encoding="utf-8")
    script = here.joinpath("page.js").read_text(encoding="utf-8")
    # The browser runs this script alone, whatever names in the data may hold, and loads nothing.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    links = "".join(f'<a href="#{name}">{escape(told)}</a>' for name, told, _ in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="generator" content="emdist">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="lede">{escape(lede)}</p>'
        f'<nav aria-label="Sections">{links}</nav></header>\n<main>\n{head}\n'
        + "\n".join(markup for _, _, markup in sections)
        + f"\n</main>\n<footer>Made by <code>emdist report</code>. This page is one file and loads "
        f"nothing from a network.</footer>\n<script>{script}</script>\n</body>\n</html>\n"
    )
