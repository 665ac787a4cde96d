"""Which raw events are shipped, as `agent.yml` and its page have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelward_agent.config import AgentConfig, EventsPolicy, load_config

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.mark.parametrize(("written", "keep"), [("all", 1.0), ("none", 0.0), ("sample 0.01", 0.01)])
def test_a_policy_is_written_as_it_is_read(written: str, keep: float) -> None:
    policy = EventsPolicy.read(written)
    assert policy.keep == keep
    assert str(policy) == written


def test_what_the_page_says_of_events_can_be_set(tmp_path: Path) -> None:
    (kind,) = {
        line.split(" | ")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `events.default` |")
    }
    for word in kind.replace(" or ", ", ").split(", "):
        file = tmp_path / "agent.yml"
        file.write_text(f"elasticsearch: {{urls: [http://localhost:9200]}}\nevents: {{models: {{fraud: {word}}}}}\n")
        config: AgentConfig = load_config(file)
        assert str(config.events.models["fraud"]) == word
