"""Every published endpoint speaks TLS, and only who trusts the right authority speaks with it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

from modelward_appliance.host.verify.check import Check, CheckError
from modelward_appliance.host.verify.client import TIMEOUT_SECONDS, trusting
from modelward_appliance.host.verify.site import HERE, Site

_DAYS_LEFT = 14
"""A certificate that ends sooner was not renewed in time; the setup does so 30 days before."""

_ANOTHER_AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBUzCB+6ADAgECAgEBMAoGCCqGSM49BAMCMCcxJTAjBgNVBAMMHEFuIGF1dGhv
cml0eSB0aGF0IG5vYm9keSBoYXMwIBcNMjAwMTAxMDAwMDAwWhgPMjEwMDAxMDEw
MDAwMDBaMCcxJTAjBgNVBAMMHEFuIGF1dGhvcml0eSB0aGF0IG5vYm9keSBoYXMw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT3jXERPWNML8+mFHa/v49bJFLug7bP
xMLLRtDLzxPpjsUcuk6w3hvzB6etYoXleXYvZALNb1OxqYxTVs09yiMnoxYwFDAS
BgNVHRMBAf8ECDAGAQH/AgEAMAoGCCqGSM49BAMCA0cAMEQCIDzKTGhI+utrDXgt
MMuFyp++p2NUZYPB2hibdrXqvlmyAiAaFJfIPNvyn+VLBNWD9ovAkuGHfwyXPQBc
7q1gGQs94g==
-----END CERTIFICATE-----
"""
"""An authority whose key was thrown away: whoever trusts only this one must refuse every server."""


def _handshake(site: Site, port: int, trust: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((HERE, port), TIMEOUT_SECONDS)
    try:
        return trust.wrap_socket(plain, server_hostname=site.host)
    except BaseException:
        plain.close()
        raise


def _secure(site: Site, port: int, trust: ssl.SSLContext, service: str) -> str:
    try:
        with _handshake(site, port, trust) as secured:
            version, certificate = secured.version(), secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise CheckError(
            f"port {port}: the certificate is refused for {site.host}: {error.verify_message}",
            "run make deploy; it issues what is missing for every name of MODELWARD_HOSTS",
        ) from error
    except (OSError, ssl.SSLError) as error:
        raise CheckError(f"port {port}: no TLS connection ({error})", f"see make logs SERVICE={service}") from error
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    days = (ends - datetime.now(UTC)).days
    if days < _DAYS_LEFT:
        raise CheckError(f"port {port}: the certificate ends in {days} days", "run make rotate-certs")
    return f"port {port}: {version}, certificate of {site.host} for {days} more days"


def _stranger_refuses(site: Site, port: int, service: str) -> None:
    try:
        with _handshake(site, port, trusting(_ANOTHER_AUTHORITY)):
            pass
    except ssl.SSLCertVerificationError:
        return
    except (OSError, ssl.SSLError) as error:
        raise CheckError(f"port {port}: no TLS connection ({error})", f"see make logs SERVICE={service}") from error
    raise CheckError(
        f"port {port}: a client that trusts only another authority was satisfied",
        "something else answers there; see docker ps",
    )


def _console(site: Site) -> str:
    return _secure(site, site.environment.port, site.public_trust, "gateway")


def _grafana(site: Site) -> str:
    site.needs("grafana")
    return _secure(site, site.environment.grafana_port, site.public_trust, "grafana")


def _ingest(site: Site) -> str:
    return _secure(site, site.environment.ingest_port, trusting(site.authority), "gateway")


def _another_authority(site: Site) -> str:
    ports = [(site.environment.port, "gateway"), (site.environment.ingest_port, "gateway")]
    if "grafana" in site.environment.profiles:
        ports.append((site.environment.grafana_port, "grafana"))
    for port, service in ports:
        _stranger_refuses(site, port, service)
    return f"{len(ports)} ports, each refused"


def _old_versions(site: Site) -> str:
    """TLS 1.1 is refused; an OpenSSL that cannot even ask is as good."""
    ports = [site.environment.port, site.environment.ingest_port]
    for port in ports:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(cadata=site.authority)
        trust.check_hostname = True
        trust.set_ciphers("ALL:@SECLEVEL=0")
        trust.minimum_version = ssl.TLSVersion.TLSv1
        trust.maximum_version = ssl.TLSVersion.TLSv1_1
        try:
            with _handshake(site, port, trust) as secured:
                raise CheckError(
                    f"port {port} speaks {secured.version()}", "something else answers there; see docker ps"
                )
        except ssl.SSLError:
            continue
        except OSError as error:
            raise CheckError(f"port {port}: {error}", "see make logs SERVICE=gateway") from error
    return "TLS 1.0 and 1.1 refused"


def _check(name: str, proves: str, run: Callable[[Site], str]) -> Check[Site]:
    return Check(f"tls-{name}", proves, run)


CHECKS = (
    _check("console", "the console's certificate is right for the site's name", _console),
    _check("grafana", "Grafana's certificate is right for the site's name", _grafana),
    _check("ingest", "agents reach a certificate of the authority", _ingest),
    _check("other-authority", "who trusts another authority refuses to connect", _another_authority),
    _check("old-versions", "TLS older than 1.2 is refused", _old_versions),
)
