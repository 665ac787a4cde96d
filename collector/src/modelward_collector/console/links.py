"""The console's addresses. A name may hold anything, a slash, a space or `..`, and still is one part of a path."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode


def part(name: str) -> str:
    """A name as one part of a path: `~` and `/` written as `~0` and `~1`, then percent-encoded; `part_name` inverts it.

    A server decodes `%2F` before it looks for a route, so an encoded slash would end the part.
    """
    if name == "":
        return "~"
    if name in (".", ".."):
        return name.replace(".", "~2")
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="~")


def part_name(text: str) -> str:
    """The name that `part` was given, from what the server has percent-decoded."""
    if text == "~":
        return ""
    return text.replace("~2", ".").replace("~1", "/").replace("~0", "~")


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses under `root`, the prefix behind a reverse proxy ("" for none). Empty query values are left out."""

    root: str = ""

    def to(self, path: str, **query: str | None) -> str:
        """A page by its path, which begins with a slash."""
        kept = {key: value for key, value in query.items() if value}
        return f"{self.root}{path}" + (f"?{urlencode(kept)}" if kept else "")

    def model(self, name: str, **query: str | None) -> str:
        """A model's page."""
        return self.to(f"/models/{part(name)}", **query)

    def accept(self, model: str, **query: str | None) -> str:
        """Where what drifts of a model is accepted."""
        return self.to(f"/models/{part(model)}/accept", **query)

    def feature(self, model: str, name: str, **query: str | None) -> str:
        """A feature's page."""
        return self.to(f"/models/{part(model)}/features/{part(name)}", **query)

    def runbook(self, name: str) -> str:
        """What to do about the alert of that name."""
        return self.to(f"/runbooks/{part(name)}")

    def result(self, result_id: str) -> str:
        """The page of one verdict; its route takes the rest of the path, so the id needs no more than quoting."""
        return self.to(f"/results/{quote(result_id, safe='~')}")

    def api_result(self, result_id: str) -> str:
        """The same verdict as JSON."""
        return self.to(f"/api/v1/results/{quote(result_id, safe='~')}")
