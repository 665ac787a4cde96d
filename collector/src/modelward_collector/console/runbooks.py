"""What to do about each alert: the Markdown files of `docs/runbooks`, as HTML."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

CONTENT_VARIABLE: Final = "MODELWARD_CONTENT"
"""Names the folder that has `docs/runbooks`; without it, that is the repository that this is part of."""

INDEX: Final = "README"
_NAME = re.compile(r"[A-Za-z0-9]{1,80}")
_OTHER_RUNBOOK = re.compile(r"([A-Za-z0-9]{1,80})\.md")


def folder() -> Path:
    """Where the runbooks are; it need not exist."""
    given = os.environ.get(CONTENT_VARIABLE)
    root = Path(given) if given else Path(__file__).resolve().parents[4]
    return root / "docs" / "runbooks"


def runbook(name: str, address: Callable[[str], str]) -> Markup | None:
    """The runbook of that alert, None when there is none.

    HTML in it is shown, not obeyed. `address` gives the page of another runbook by its name.
    """
    if not _NAME.fullmatch(name):
        return None
    path = folder() / f"{name}.md"
    if not path.is_file():
        return None
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    for token in tokens:
        _lead_on(token, address)
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 - made from Markdown without HTML


def _lead_on(token: Token, address: Callable[[str], str]) -> None:
    """In the files a link to another runbook names its file, in the console its page."""
    for child in token.children or ():
        if child.type == "link_open":
            other = _OTHER_RUNBOOK.fullmatch(str(child.attrGet("href")))
            if other is not None:
                child.attrSet("href", address(other[1]))
