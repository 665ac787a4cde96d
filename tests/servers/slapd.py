"""A real OpenLDAP server with people and groups, over ldaps and StartTLS."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import ldap

from tests.servers.certificates import Authority, Issued
from tests.servers.missing import program
from tests.servers.ports import free_ports
from tests.servers.process import Child, Server

READY_SECONDS: Final = 20
SUFFIX: Final = "dc=example,dc=org"
PEOPLE: Final = f"ou=people,{SUFFIX}"
GROUPS: Final = f"ou=groups,{SUFFIX}"
SERVICE: Final = f"cn=modelward,{SUFFIX}"
SERVICE_PASSWORD: Final = "service of the tests"
ROOT: Final = f"cn=root,{SUFFIX}"
ROOT_PASSWORD: Final = "root-of-the-tests"

_SCHEMAS: Final = ("core", "cosine", "inetorgperson", "nis")
_ETC: Final = Path("/etc/ldap/schema")
_MODULES: Final = Path("/usr/lib/ldap")

Entry = Mapping[str, str | Sequence[str]]


class Slapd(Server):
    """One server. As a context manager it is started, and at the end stopped with its data removed.

    `ldaps_url` speaks TLS from the start, `ldap_url` after StartTLS, and `ca` is what to trust. The service account
    `SERVICE` may read; nobody else may but oneself. `limits` are lines of its configuration, for example `sizelimit 5`.
    `add` and `modify` write as the root of the tree.
    """

    def __init__(
        self,
        authority: Authority,
        *,
        certificate: Issued | None = None,
        member_of: bool = False,
        schemas: Sequence[str] = (),
        limits: Sequence[str] = (),
        tree: Mapping[str, Entry] | None = None,
    ) -> None:
        self._program = program("slapd", "slapd", "/usr/sbin/slapd")
        self.folder = Path(tempfile.mkdtemp(prefix="modelward-slapd-"))
        self.ca = authority.path
        plain, tls = free_ports(2)
        # By address: libldap takes "localhost" for the name that this machine has.
        self.ldap_url = f"ldap://127.0.0.1:{plain}"
        self.ldaps_url = f"ldaps://127.0.0.1:{tls}"
        self.port, self.tls_port = plain, tls
        self._child: Child | None = None
        issued = certificate or authority.issue()
        (self.folder / "data").mkdir()
        lines = [f"include {_ETC / name}.schema" for name in (*_SCHEMAS, *schemas)]
        modules = ["back_mdb", *(["memberof"] if member_of else [])]
        lines += [f"modulepath {_MODULES}", *(f"moduleload {name}" for name in modules)]
        lines += [
            f"pidfile {self.folder / 'pid'}",
            f"TLSCACertificateFile {authority.path}",
            f"TLSCertificateFile {issued.certificate}",
            f"TLSCertificateKeyFile {issued.key}",
            # No password without TLS.
            "security simple_bind=128",
            # As the trap that clients must not fall into: a name with an empty password binds as nobody.
            "allow bind_anon_cred",
            "database mdb",
            f"suffix {SUFFIX}",
            f"directory {self.folder / 'data'}",
            f"rootdn {ROOT}",
            f"rootpw {ROOT_PASSWORD}",
            "dbnosync",
            *limits,
            "access to attrs=userPassword by anonymous auth by * none",
            f'access to * by dn.exact="{SERVICE}" read by self write by users read by anonymous auth',
            *(["overlay memberof", "memberof-refint true"] if member_of else []),
        ]
        self._config = self.folder / "slapd.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._tree: Mapping[str, Entry] = {**_ROOTS, **(tree or {})}

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            for dn, entry in self._tree.items():
                self.add(dn, entry)
        except BaseException:
            self.close()
            raise
        return self

    def start(self) -> None:
        """Start, or start again on the same ports and data; returns when it answers."""
        if self._child is not None:
            return
        command: list[str | Path] = [
            self._program,
            *("-f", self._config, "-d", "stats"),
            *("-h", f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"),
        ]
        self._child = Child(command, self.folder / "slapd.log")
        self._child.wait_until(self._answers, READY_SECONDS, "slapd")

    def _answers(self) -> bool:
        connection = ldap.initialize(f"ldap://127.0.0.1:{self.port}")
        try:
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, 2)
            connection.simple_bind_s()
        except ldap.SERVER_DOWN:
            return False
        finally:
            connection.unbind_s()
        return True

    @property
    def log(self) -> str:
        """What it was asked, as it logs that."""
        return (self.folder / "slapd.log").read_text(errors="replace")

    def stop(self) -> None:
        """Stop it; the data stays."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- writing ------------------------------------------------------------------------------------------------
    def add(self, dn: str, entry: Entry) -> None:
        """Add an entry."""
        with self._root() as connection:
            connection.add_s(dn, [(name, _values(value)) for name, value in entry.items()])

    def replace(self, dn: str, attribute: str, *values: str) -> None:
        """Set the attribute to the values; of none, remove it."""
        with self._root() as connection:
            connection.modify_s(dn, [(ldap.MOD_REPLACE, attribute, [value.encode() for value in values] or None)])

    def remove(self, dn: str) -> None:
        """Delete an entry."""
        with self._root() as connection:
            connection.delete_s(dn)

    def _root(self) -> _Bound:
        return _Bound(self.ldaps_url, self.ca, ROOT, ROOT_PASSWORD)


class _Bound:
    def __init__(self, url: str, ca: Path, dn: str, password: str) -> None:
        self._connection = ldap.initialize(url)
        self._connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(ca))
        self._connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        self._connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        self._connection.simple_bind_s(dn, password)

    def __enter__(self) -> ldap.ldapobject.SimpleLDAPObject:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.unbind_s()


def person(
    name: str, password: str, *, full_name: str = "", classes: Sequence[str] = (), **more: str
) -> dict[str, str | Sequence[str]]:
    """An inetOrgPerson."""
    full = full_name or name.title()
    return {
        "objectClass": ["inetOrgPerson", *classes],
        "uid": name,
        "cn": full,
        "sn": full.split()[-1],
        "mail": f"{name}@example.org",
        "userPassword": password,
        **more,
    }


def group(*members: str) -> dict[str, str | Sequence[str]]:
    """A groupOfNames of the distinguished names."""
    return {"objectClass": "groupOfNames", "member": list(members)}


def uid(name: str) -> str:
    """The distinguished name of a person in `PEOPLE`."""
    return f"uid={name},{PEOPLE}"


def cn(name: str) -> str:
    """The distinguished name of a group in `GROUPS`."""
    return f"cn={name},{GROUPS}"


def _values(value: str | Sequence[str]) -> list[bytes]:
    return [item.encode() for item in ([value] if isinstance(value, str) else value)]


_ROOTS: Final[Mapping[str, Entry]] = {
    SUFFIX: {"objectClass": ["dcObject", "organization"], "o": "Example", "dc": "example"},
    PEOPLE: {"objectClass": "organizationalUnit", "ou": "people"},
    GROUPS: {"objectClass": "organizationalUnit", "ou": "groups"},
    SERVICE: {
        "objectClass": ["applicationProcess", "simpleSecurityObject"],
        "cn": "modelward",
        "userPassword": SERVICE_PASSWORD,
    },
}
