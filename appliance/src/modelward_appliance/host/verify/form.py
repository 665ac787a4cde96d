"""Logging in as a person does: the form of the page is read, filled in and sent."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass, field
from html.parser import HTMLParser

from modelward_appliance.host.verify.check import CheckError
from modelward_appliance.host.verify.client import Answer, Client


@dataclass(slots=True)
class LoginForm:
    """The form that asks for a password: where it goes and what it already holds."""

    action: str = ""
    hidden: dict[str, str] = field(default_factory=dict)
    user_field: str = ""
    password_field: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[LoginForm] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(LoginForm(action=given.get("action", "")))
        elif tag == "input" and self.forms:
            self._input(self.forms[-1], given)

    @staticmethod
    def _input(form: LoginForm, given: dict[str, str]) -> None:
        kind, name = given.get("type", "text"), given.get("name", "")
        if kind == "hidden":
            form.hidden[name] = given.get("value", "")
        elif kind == "password":
            form.password_field = name
        elif kind in ("text", "email") and not form.user_field:
            form.user_field = name


def find_login_form(page: Answer) -> LoginForm:
    """The form with a password; `CheckError` when the page has none."""
    reader = _Reader()
    reader.feed(page.text)
    for form in reader.forms:
        if form.password_field and form.user_field:
            form.action = urllib.parse.urljoin(page.url, form.action)
            return form
    raise CheckError(
        f"{page.url} answered {page.status} without a login form", "see make logs SERVICE=gateway and SERVICE=collector"
    )


def log_in(client: Client, path: str, user: str, password: str) -> Answer:
    """Open the login page, send its form, and answer what came back; the client keeps the session."""
    form = find_login_form(client.get(path))
    return client.post_form(form.action, {**form.hidden, form.user_field: user, form.password_field: password})
