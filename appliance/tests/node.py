"""The real Elasticsearch with exactly the folder that the setup hands it."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from pathlib import Path

from elasticsearch import Elasticsearch as Client

from appliance.tests.sites import ROOT, example
from modelward_appliance.elasticsearch_users import USERS
from modelward_appliance.files import Owner
from modelward_appliance.services import BY_NAME
from modelward_appliance.settings import Site, load_site
from modelward_appliance.setup import Setup, write_folder
from tests.servers.elasticsearch import Elasticsearch


class SetupNode(Elasticsearch):
    """`state` is the appliance's; `client(user)` asks as one of the users that the setup made."""

    service = "elasticsearch"

    def __init__(self, profiles: str = "openldap,kibana") -> None:
        self.profiles = profiles
        super().__init__()
        self.ca = self.state / "tls" / "ca.crt"
        # The parent made its context from a file that the setup does not hand out.
        (self._config / "ca.pem").unlink()

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def variables(self) -> dict[str, str]:
        """What the setup is told."""
        return {
            **example(),
            "COMPOSE_PROFILES": self.profiles,
            "MODELWARD_ADDRESS_ELASTICSEARCH": f"127.0.0.1:{self.port}",
            "MODELWARD_ELASTICSEARCH_DATA": str(self.folder / "data"),
            "MODELWARD_ELASTICSEARCH_LOGS": str(self.folder / "logs"),
            "MODELWARD_ELASTICSEARCH_SNAPSHOTS": str(self.folder / "snapshots"),
        }

    def site(self) -> Site:
        """The site of those variables."""
        return load_site(self.variables, self.state / "site")

    def _configure(self, transport: int) -> None:
        self.state.mkdir(exist_ok=True)
        for folder in (self._config, self.folder / "snapshots"):
            folder.mkdir()
        self.render()
        (self._config / "ca.pem").write_bytes((self.state / "tls" / "ca.crt").read_bytes())

    def render(self) -> list[str]:
        """Hand the node its folder, as the setup does; what changed in it."""
        setup = Setup(self.site(), self.state, ROOT)
        setup.prepare()
        service = BY_NAME[self.service]
        owner = None if self._user is None else Owner(self._user, self._user)
        files = setup.rendered(service, str(self._config))
        content, mode = files["elasticsearch.yml"]
        files["elasticsearch.yml"] = (self._placed(content), mode)
        return write_folder(self._config, files, owner, keep=service.writable)

    def _placed(self, content: bytes) -> bytes:
        """Its settings for the place where it runs; one node alone needs no other than the setup's."""
        return content

    def password(self, user: str) -> str:
        """The user's password."""
        return (self.state / "secrets" / USERS[user]).read_text().strip()

    def client(self, user: str) -> Client:
        """Asks as the user, once."""
        return Client(self.url, basic_auth=(user, self.password(user)), ca_certs=str(self.ca), max_retries=0)

    def _answers(self) -> bool:
        """Whether it speaks TLS by the authority; whom it knows is for the tests to see."""
        try:
            urllib.request.urlopen(self.url, timeout=5, context=ssl.create_default_context(cafile=str(self.ca)))
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        return True
