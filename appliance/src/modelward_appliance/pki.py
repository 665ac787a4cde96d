"""The appliance's private certificate authority: one key in the state folder's `tls/`, a pair for each service.

ECDSA on P-256. The authority outlives the hardware (ten years); what it issues lasts a year and is made anew when a
run of the setup finds it missing, wrong, or within 30 days of its end.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modelward_appliance import files
from modelward_appliance.files import Owner

AUTHORITY_DAYS: Final = 3650
ISSUED_DAYS: Final = 365
RENEW_DAYS: Final = 30
"""A setup a month suffices to never have an expired certificate."""

_CLOCK_SKEW: Final = timedelta(hours=1)
"""A certificate is valid from before its making, for hosts whose clock is behind."""

SERVICES: Final = "services"
AGENTS: Final = "agents"
"""The organisation (O) of a certificate says which kind of client presents it."""

_CERTIFICATE_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain and its key, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def leaf(self) -> x509.Certificate:
        """The first certificate of the chain."""
        return x509.load_pem_x509_certificate(self.certificate)


class CertificateError(Exception):
    """A certificate or key of the state folder cannot be used; the message names it and what to do."""


class Authority:
    """The authority in a folder (`ca.crt`, `ca.key`), made when not there, and pairs (`<name>.crt`, `<name>.key`)."""

    def __init__(self, folder: Path, *, owner: Owner | None = None, now: datetime | None = None) -> None:
        self.folder = folder
        self.owner = owner
        self.changes: list[str] = []
        """What was made, for the person who runs the setup."""
        self._now = now or datetime.now(UTC)
        found = self._load()
        if found is None:
            found = self._make()
        self.certificate, self._key = found

    @property
    def pem(self) -> bytes:
        """The certificates that clients trust: this one, and while the authority is changed also the other one."""
        return (self.folder / "ca.crt").read_bytes()

    # -- the authority itself ---------------------------------------------------------------------------------------
    def _load(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
        """The authority; None when it was never made. A key without its certificate is a killed first run."""
        certificate_file, key_file = self.folder / "ca.crt", self.folder / "ca.key"
        if not certificate_file.is_file():
            return None
        if not key_file.is_file():
            raise CertificateError(
                f"{key_file} is missing while {certificate_file} is there; restore it from a backup, or move the "
                "certificate away for a new authority (then every agent must be enrolled anew)"
            )
        try:
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        except ValueError as error:
            raise CertificateError(f"{certificate_file} and ca.key cannot be read ({error}); restore them") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise CertificateError(f"{key_file} is not the key of {certificate_file}; restore the pair from one backup")
        if certificate.not_valid_after_utc <= self._now:
            raise CertificateError(
                f"{certificate_file} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; move it and ca.key away "
                "for a new authority (then every agent must be enrolled anew)"
            )
        return certificate, key

    def _make(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        # A name of its own, so that who trusts an older authority does not take this one for it.
        name = _named("Modelward", f"Modelward authority {secrets.token_hex(4)}")
        certificate = (
            _builder(name, name, key.public_key(), key.public_key(), self._now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        # The key first: the certificate's presence says that the authority is complete.
        files.write(self.folder / "ca.key", _key_pem(key), owner=self.owner)
        files.write(
            self.folder / "ca.crt",
            certificate.public_bytes(serialization.Encoding.PEM),
            mode=_CERTIFICATE_MODE,
            owner=self.owner,
        )
        self.changes.append("tls/ca.crt: a new authority, valid for ten years")
        return certificate, key

    # -- what it issues ---------------------------------------------------------------------------------------------
    def pair(self, name: str, hosts: Sequence[str], *, organization: str = SERVICES) -> Pair:
        """The server and client pair of that name for these hosts; issued when there is no good one."""
        certificate_file, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if reason := self._why_anew(certificate_file, key_file, hosts, organization):
            issued = self.issue(name, hosts, organization=organization)
            # The certificate first: a key that does not fit it is noticed, and both are made anew.
            files.write(certificate_file, issued.certificate, mode=_CERTIFICATE_MODE, owner=self.owner)
            files.write(key_file, issued.key, owner=self.owner)
            self.changes.append(f"tls/{name}.crt: issued ({reason})")
            return issued
        return Pair(certificate_file.read_bytes(), key_file.read_bytes())

    def issue(self, name: str, hosts: Sequence[str] = (), *, organization: str = SERVICES) -> Pair:
        """A new pair, not kept here; without hosts it is for clients only."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject, issuer = _named(organization, name[:64]), self.certificate.subject
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            _builder(subject, issuer, key.public_key(), self._key.public_key(), self._now, ISSUED_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages if hosts else usages[1:]), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Pair(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))

    def _why_anew(self, certificate_file: Path, key_file: Path, hosts: Sequence[str], organization: str) -> str | None:
        if not certificate_file.is_file() or not key_file.is_file():
            return "new"
        try:
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        except ValueError:
            return "the old one cannot be read"
        if certificate.public_key() != key.public_key():
            return "the old key was not its key"
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return "the old one was of another authority"
        if certificate.not_valid_after_utc - timedelta(days=RENEW_DAYS) <= self._now:
            return f"the old one ends {certificate.not_valid_after_utc:%Y-%m-%d}"
        organizations = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if _alternatives(certificate) != _names(hosts) or organizations[0].value != organization:
            return "its names changed"
        return None


def own_pair(folder: Path, hosts: Sequence[str], now: datetime | None = None) -> Pair | None:
    """The site's own certificate, `tls.crt` (the chain, leaf first) and `tls.key`; None when the site gives none.

    CertificateError when it cannot serve `hosts` today.
    """
    certificate_file, key_file = folder / "tls.crt", folder / "tls.key"
    if not certificate_file.is_file() or not key_file.is_file():
        return None
    found = Pair(certificate_file.read_bytes(), key_file.read_bytes())
    try:
        leaf = found.leaf
    except ValueError as error:
        raise CertificateError(
            f"site/tls.crt is not a PEM certificate ({error}); put the chain there, leaf first"
        ) from error
    try:
        key = serialization.load_pem_private_key(found.key, None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"site/tls.key is not a PEM key without passphrase ({error}); correct it") from error
    if key.public_key() != leaf.public_key():
        raise CertificateError(
            "site/tls.key is not the key of the first certificate in site/tls.crt; put the leaf first"
        )
    if leaf.not_valid_after_utc <= (now or datetime.now(UTC)):
        raise CertificateError(f"site/tls.crt expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it")
    if lacking := [host for host in hosts if not _covers(leaf, host)]:
        raise CertificateError(
            f"site/tls.crt is not for {', '.join(lacking)}; get one for every name of MODELWARD_HOSTS, or correct that"
        )
    return found


def _named(organization: str, name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _covers(certificate: x509.Certificate, host: str) -> bool:
    name = _name(host)
    names = _alternatives(certificate)
    if name in names:
        return True
    _, _, parent = host.partition(".")
    return isinstance(name, x509.DNSName) and bool(parent) and x509.DNSName(f"*.{parent}") in names


def _alternatives(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_name(host) for host in dict.fromkeys(hosts)]


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer_public: ec.EllipticCurvePublicKey,
    now: datetime,
    days: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
