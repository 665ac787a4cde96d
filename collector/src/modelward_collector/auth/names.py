"""Distinguished names, filters and user names: from what people type to what a directory may be asked."""

from __future__ import annotations

import unicodedata

import ldap
import ldap.dn
import ldap.filter

LONGEST_USERNAME = 256
LONGEST_PASSWORD = 1024


def usable_username(typed: str) -> str | None:
    """The name without space around it; None for what can be nobody's name."""
    name = typed.strip()
    if not name or len(name) > LONGEST_USERNAME or any(unicodedata.category(letter) in _NEVER for letter in name):
        return None
    return name


_NEVER = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of control, format, surrogate and line-breaking characters."""


def usable_password(password: str) -> bool:
    """False for an empty one, which a directory takes as asking for an anonymous bind and answers with success.

    So it may for one that begins with NUL, where a server reads C strings.
    """
    return 0 < len(password) <= LONGEST_PASSWORD and "\0" not in password


def filled_filter(template: str, **values: str) -> str:
    """The filter with the values in its placeholders, each escaped so that it stays one value (RFC 4515)."""
    return template.format(**{name: ldap.filter.escape_filter_chars(value) for name, value in values.items()})


def filled_dn(template: str, username: str) -> str:
    """The bind name of a direct bind; in a distinguished name the user name is escaped (RFC 4514).

    A template without `=` is a principal such as `{username}@example.org`, in which the name is taken literally.
    """
    return template.format(username=ldap.dn.escape_dn_chars(username) if "=" in template else username)


def same_name(dn: str) -> str:
    """The name in a form in which equal names are equal text: case, spacing and escaping do not count."""
    try:
        parts = ldap.dn.str2dn(dn)
    except ldap.DECODING_ERROR:
        return dn.casefold()
    return ",".join(
        "+".join(sorted(f"{kind.casefold()}={ldap.dn.escape_dn_chars(_folded(value))}" for kind, value, _ in part))
        for part in parts
    )


def _folded(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def known_as(username: str) -> str:
    """The name under which failures, sessions and revocations are kept: however it is spelled, it is one user."""
    return unicodedata.normalize("NFKC", username).casefold().strip()
