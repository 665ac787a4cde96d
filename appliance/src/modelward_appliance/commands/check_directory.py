"""`check-directory`: whether the site's LDAP directory can be reached, trusted, logged in to and searched."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelward_appliance.settings import Site

HELP = "try the directory as the collector and Grafana will: its address, certificate, service account and groups"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the state is."""
    parser.add_argument("--state", type=Path, default=Path("/state"), help="the state folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Try every server; 1 with a line for each that does not do."""
    from modelward_appliance.context import uses_development_directory
    from modelward_appliance.settings import load_site

    site = load_site(os.environ, options.state / "site")
    if uses_development_directory(site):
        print("The development directory is used.")
        return 0
    problems = [problem for url in site.settings.ldap_urls for problem in _problems(site, options.state / "site", url)]
    for problem in problems:
        print(f"modelward: {problem}", file=sys.stderr)
    if not problems:
        print("The directory answers.")
    return 1 if problems else 0


def _problems(site: Site, folder: Path, url: str) -> list[str]:
    """What is wrong with one server."""
    from modelward_appliance.context import context
    from modelward_appliance.services import BY_NAME
    from modelward_collector.auth.directory import Directory
    from modelward_collector.auth.person import DirectoryUnavailableError
    from modelward_collector.auth.settings import LdapSettings

    ldap: dict[str, Any] = context(site, BY_NAME["collector"], "/etc/modelward")["ldap"]
    given = {name: value for name, value in ldap.items() if name in LdapSettings.model_fields} | {
        "urls": (url,),
        "ca_file": folder / "ldap-ca.crt" if ldap["ca_file"] else None,
        "bind_password_file": folder / "ldap-bind-password" if ldap["bind_dn"] else None,
    }
    directory = Directory(LdapSettings.model_validate(given))
    try:
        if directory.can_look_up:
            return [
                f"{url}: there is no group {dn}, or it may not be read; correct MODELWARD_LDAP_*_GROUPS"
                for dn in directory.missing_groups()
            ]
        # Nobody to log in as: that it is there and is trusted is all that can be seen.
        directory.reach()
    except DirectoryUnavailableError as error:
        return [_in_the_words_of_variables(str(error), folder)]
    return []


def _in_the_words_of_variables(text: str, folder: Path) -> str:
    for key, name in (
        ("auth.ldap.ca_file", "the state folder's site/ldap-ca.crt"),
        ("set ca_file to", "write into the state folder's site/ldap-ca.crt"),
        ("auth.ldap.bind_dn", "MODELWARD_LDAP_BIND_DN"),
        ("auth.ldap.urls", "MODELWARD_LDAP_URLS"),
        ("auth.ldap.groups", "MODELWARD_LDAP_*_GROUPS"),
        ("auth.ldap.user_attribute", "MODELWARD_LDAP_USER_ATTRIBUTE"),
        ("auth.ldap", "MODELWARD_LDAP_*"),
        (str(folder), "the state folder's site"),
    ):
        text = text.replace(key, name)
    return text
