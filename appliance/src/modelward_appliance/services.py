"""The services of the appliance: one table. To add a service is to add its line, and its room's `config/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PROFILES: Final = frozenset({"kibana", "grafana", "logstash", "openldap", "scale", "tools"})
"""What `COMPOSE_PROFILES` may name; `tools` is Compose's own, for one-shot services."""


@dataclass(frozen=True, slots=True)
class Service:
    """One container of the appliance, or one daemon on bare metal."""

    name: str
    room: str
    """Folder below the content root whose files become its configuration."""
    user: int
    group: int
    port: int
    profile: str | None = None
    """Switched on by; None: always on."""
    public: bool = False
    """People's browsers reach it, so it serves the site's own certificate when there is one."""
    writable: frozenset[str] = frozenset()
    """Files that it makes itself in its configuration folder, and that setup leaves alone."""

    reread: tuple[str, ...] = ()
    """Files, or folders with a slash, that it reads again by itself: a change of these needs no restart."""

    @property
    def key(self) -> str:
        """Its name in templates and variables."""
        return self.name.replace("-", "_")


_KEYSTORE: Final = frozenset({"elasticsearch.keystore", "elasticsearch.keystore.tmp"})
"""Elasticsearch makes it at its first start, and does not start when it cannot; it holds no secret of ours."""

_REALM: Final = ("users", "users_roles", "roles.yml", "service_tokens")

SERVICES: Final = (
    Service("elasticsearch", "elasticsearch/config", 1000, 1000, 9200, writable=_KEYSTORE, reread=_REALM),
    Service(
        "elasticsearch-2", "elasticsearch/config", 1000, 1000, 9200, profile="scale", writable=_KEYSTORE, reread=_REALM
    ),
    Service(
        "elasticsearch-3", "elasticsearch/config", 1000, 1000, 9200, profile="scale", writable=_KEYSTORE, reread=_REALM
    ),
    Service("kibana", "kibana/config", 1000, 1000, 5601, profile="kibana"),
    Service("logstash", "logstash/config", 1000, 1000, 5044, profile="logstash"),
    Service("prometheus", "prometheus/config/prometheus", 65534, 65534, 9090, reread=("targets/",)),
    Service("alertmanager", "prometheus/config/alertmanager", 65534, 65534, 9093),
    Service("node-exporter", "prometheus/config/node-exporter", 65534, 65534, 9100),
    Service("blackbox-exporter", "prometheus/config/blackbox-exporter", 65534, 65534, 9115),
    Service("victoriametrics", "prometheus/config/victoriametrics", 65534, 65534, 8428, profile="scale"),
    Service("grafana", "grafana/config", 472, 0, 3000, profile="grafana", public=True),
    Service("collector", "appliance/config/collector", 10001, 10001, 8321, reread=("models.d/",)),
    Service("agent", "appliance/config/agent", 10001, 10001, 9478),
    Service("backup", "appliance/config/backup", 65534, 0, 9479, reread=("state/",)),
    Service("gateway", "gateway/config", 101, 101, 8443, public=True),
    Service("openldap", "compose/openldap/config", 10002, 10002, 1636, profile="openldap"),
)

BY_NAME: Final = {service.name: service for service in SERVICES}

ADDRESSES: Final = {service.key: (service.name, service.port) for service in SERVICES}
"""Where each is when it is a container: its name and port."""

ELASTICSEARCH_NODES: Final = ("elasticsearch", "elasticsearch-2", "elasticsearch-3")
