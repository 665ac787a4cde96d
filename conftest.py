"""Every test of the repository may use the real servers' fixtures."""

pytest_plugins = ["tests.servers.plugin"]
