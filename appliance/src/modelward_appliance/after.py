"""What the setup does once Elasticsearch is up: templates, the first indices, and the proof that the users work."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from elasticsearch import ApiError, Elasticsearch, TransportError

from modelward_agent.settings import read_secret
from modelward_appliance.context import elasticsearch_context
from modelward_appliance.elasticsearch_users import SETUP_USER, USERS
from modelward_appliance.settings import Site
from modelward_collector.store.elastic import ElasticStore

_PAUSE_SECONDS: Final = 0.5


class AfterError(Exception):
    """Elasticsearch does not answer, or not as it should; the message names it and what to do."""


@dataclass(slots=True)
class After:
    """One run against the running cluster."""

    site: Site
    state: Path
    deadline: float
    """On the monotonic clock; until then a cluster that starts, or has not read its users again, is waited for."""
    changes: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Do all of it; AfterError when the cluster is not usable by the deadline."""
        cluster = elasticsearch_context(self.site)
        self._users(cluster["urls"])
        store = ElasticStore(
            cluster["urls"],
            ca_file=self._ca,
            username=SETUP_USER,
            password=self._password(SETUP_USER),
        )
        try:
            store.setup()
        finally:
            store.close()
        self.changes.append("elasticsearch: templates and indices are there")

    @property
    def _ca(self) -> Path:
        return self.state / "tls" / "ca.crt"

    def _password(self, user: str) -> str:
        return read_secret(self.state / "secrets" / USERS[user])

    def _users(self, urls: list[str]) -> None:
        """Each user is who the cluster says it is."""
        for user in USERS:
            self._answers(user, urls, basic_auth=(user, self._password(user)))
        if "kibana" in self.site.profiles:
            token = read_secret(self.state / "secrets" / "kibana-service-token")
            self._answers("elastic/kibana", urls, bearer_auth=token)
        self.changes.append(f"elasticsearch: {len(USERS)} users answer to their passwords")

    def _answers(self, user: str, urls: list[str], **credentials: Any) -> None:
        """Wait until the cluster takes the credentials, and for the right user."""
        with Elasticsearch(urls, ca_certs=str(self._ca), request_timeout=10, max_retries=0, **credentials) as client:
            while True:
                try:
                    answered = client.security.authenticate()["username"]
                    break
                except (ApiError, TransportError) as error:
                    if time.monotonic() > self.deadline:
                        raise AfterError(
                            f"Elasticsearch does not answer {user} ({error}); see its log (make logs), and whether "
                            "its configuration is the newest (make deploy)"
                        ) from error
                    time.sleep(_PAUSE_SECONDS)
        if answered != user:
            raise AfterError(f"Elasticsearch takes {user} for {answered}; run the setup again (make deploy)")
