"""Opens the store that `collector.yml` names."""

from __future__ import annotations

from modelward_agent.settings import read_secret
from modelward_collector.config import ElasticsearchSettings, SqliteSettings
from modelward_collector.store.protocol import Store


def open_store(settings: SqliteSettings | ElasticsearchSettings) -> Store:
    """The store, not yet set up; nothing is asked of a server."""
    if isinstance(settings, SqliteSettings):
        from modelward_collector.store.sqlite import SqliteStore

        return SqliteStore(settings.path)
    # The client takes a third of a second to import, which the embedded default need not spend.
    from modelward_collector.store.elastic import ElasticStore

    return ElasticStore(
        settings.urls,
        ca_file=settings.ca_file,
        username=settings.username,
        password=None if settings.password_file is None else read_secret(settings.password_file),
        api_key=None if settings.api_key_file is None else read_secret(settings.api_key_file),
        timeout=settings.timeout.total_seconds(),
    )
