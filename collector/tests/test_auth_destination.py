"""A login goes on to a page of this site, never to another."""

from __future__ import annotations

from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelward_collector.auth.destination import local

SITE = "https://modelward.example.org/login"

PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "/",
                "//",
                "\\",
                "..",
                ".",
                ":",
                "@",
                "?",
                "#",
                ";",
                "&",
                "=",
                "\t",
                "\n",
                "\r",
                "\0",
                " ",
                "\u2028",
                "。",
            ),
            *("%2f", "%5c", "%09", "%0a", "%00", "%252f", "%255c", "％2f"),
            *("evil.example", "https:", "javascript:", "a", "kibana"),
        ]
    ),
    max_size=12,
).map("".join)


def as_a_browser_does(base: str, target: str) -> str:
    """Where a browser goes: it takes a backslash for a slash, and leaves out tabs and line ends (WHATWG URL)."""
    target = "".join(letter for letter in target if letter not in "\t\n\r").strip()
    head, mark, query = target.partition("?")
    return urljoin(base, head.replace("\\", "/") + mark + query)


@settings(max_examples=500)
@given(PIECES)
@example("//evil.example")
@example("/\\evil.example")
@example("/\t/evil.example")
@example("/%09/evil.example")
@example("/%2f/evil.example")
@example("/%5cevil.example")
@example("/%255cevil.example")
def test_wherever_it_goes_is_this_host(typed: str) -> None:
    target = local(typed)
    for _ in range(4):
        url = urlsplit(as_a_browser_does(SITE, target))
        assert (url.scheme, url.netloc) == ("https", "modelward.example.org")
        target = unquote(target)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/models/flight-delay",
        "/models/a~1b?window=7d&x=1",
        "/kibana/app/dashboards?x=(a:b)",
        "/kibana/app/r?u=https://elsewhere.example/",
        "/models/" + quote("größe 100%", safe=""),
    ],
)
def test_a_page_of_this_site_is_gone_on_to(path: str) -> None:
    assert local(path) == path


@pytest.mark.parametrize(
    "path", ["", "models", "https://evil.example/", "//evil.example", "/\\evil.example", "/a\nb", "/" + "a" * 3000]
)
def test_anything_else_goes_home(path: str) -> None:
    assert local(path) == "/"
    assert local(path, "/base/") == "/base/"


def test_no_line_end_reaches_a_header() -> None:
    assert local("/a\r\nSet-Cookie: x=y") == "/"
    assert local("/a%0d%0aSet-Cookie:%20x=y") == "/"
