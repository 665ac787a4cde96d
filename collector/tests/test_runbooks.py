"""Where an alert's notification leads: the runbook's page in the console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from collector.tests.collecting import a_collector
from modelward_collector.app import create_app
from modelward_collector.console import runbooks


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    collector = a_collector(tmp_path)
    with TestClient(create_app(collector), base_url="http://127.0.0.1") as opened:
        yield opened


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runbooks in place of the repository's."""
    folder = tmp_path / "content" / "docs" / "runbooks"
    folder.mkdir(parents=True)
    monkeypatch.setenv(runbooks.CONTENT_VARIABLE, str(tmp_path / "content"))
    return folder


def test_every_runbook_of_the_repository_has_a_page_whose_links_lead_somewhere(client: TestClient) -> None:
    names = [path.stem for path in runbooks.folder().glob("*.md") if path.stem != runbooks.INDEX]
    assert len(names) > 40
    for name in names:
        page = client.get(f"/runbooks/{name}")
        assert (page.status_code, f"<h1>{name}</h1>" in page.text) == (200, True)
        for other in re.findall(r'href="/runbooks/([^"]+)"', page.text):
            assert other in names
        assert ".md" not in re.findall(r'href="([^"]*)"', page.text)


def test_the_list_names_every_runbook(client: TestClient) -> None:
    page = client.get("/runbooks").text
    for path in runbooks.folder().glob("*.md"):
        assert path.stem == runbooks.INDEX or f'href="/runbooks/{path.stem}"' in page


def test_links_keep_the_prefix_of_a_reverse_proxy(tmp_path: Path) -> None:
    collector = a_collector(tmp_path, listen={"base_path": "/modelward"})
    with TestClient(create_app(collector), base_url="http://127.0.0.1") as client:
        assert 'href="/modelward/runbooks/ModelFailing"' in client.get("/modelward/runbooks/ModelDown").text


def test_html_in_a_runbook_is_shown_and_not_obeyed(client: TestClient, content: Path) -> None:
    (content / "Trial.md").write_text(
        "# Trial\n\n<script>alert(1)</script> [x](javascript:alert(1)) [y](https://a.example)"
    )
    page = client.get("/runbooks/Trial").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert 'href="javascript' not in page
    assert 'href="https://a.example"' in page


@pytest.mark.parametrize("name", ["Unknown", "%2e%2e", "%2e%2e%2fsecret", "a/b", "Trial.md", "x" * 100, "Trial%00"])
def test_what_is_no_runbook_is_not_found(client: TestClient, content: Path, name: str) -> None:
    (content.parent / "secret.md").write_text("# secret")
    page = client.get(f"/runbooks/{name}")
    assert page.status_code == 404
    assert "secret</h1>" not in page.text
