"""What `make demo` says before it begins, where it cannot."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def refused(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "demo", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode != 0
    assert done.stdout == "", "nothing was begun"
    return done.stderr


def test_a_port_that_another_modelward_answers_on_is_not_taken_for_the_demos_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--port", str(port))
    assert f"127.0.0.1:{port} cannot be listened at" in said
    assert "make demo PORT=8322" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--port", "80000"), "--port 80000: write a port from 1 to 65535"),
        (("--speed", "0"), "--speed 0: write a number of days a second above 0"),
    ],
)
def test_numbers_that_cannot_be_are_explained(arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(*arguments)
