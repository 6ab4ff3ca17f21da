"""pg_hba.conf, the settings of TLS and authentication, and connection strings, from `[transport]` and `[roles]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote as percent

from pgcharter.errors import UsageError
from pgcharter.names import literal
from pgcharter.policy.transport_settings import TransportSection

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_WORDS = frozenset(("all", "sameuser", "samerole", "samegroup", "replication"))


def hba(section: TransportSection, logins: Sequence[str], database: str) -> str:
    """Lines of pg_hba.conf: the first that fits a connection decides, so who is not named is refused by the last ones.

    Raises UsageError for names that PostgreSQL would not take for themselves there, and where nobody could get in.
    """
    unknown = sorted(set(section.certificates) - set(logins))
    if unknown:
        raise UsageError(f"[transport] certificates names {unknown[0]!r}, which is no login of [roles] here")
    if not section.networks:
        raise UsageError("[transport] names no networks, so nobody could connect from another machine", hint='networks = ["10.0.0.0/8"]')
    by_password = [name for name in logins if name not in section.certificates]
    rows = [("local", "all", _word(name), "", "peer") for name in section.administrators]
    for network in section.networks:
        for names, method in ((section.certificates, "cert"), (by_password, "scram-sha-256")):
            rows += [("hostssl", _word(database), _word(name), network, method) for name in names]
    rows += [("local", "all", "all", "", "reject"), ("host", "all", "all", "all", "reject")]
    head = ("# TYPE", "DATABASE", "USER", "ADDRESS", "METHOD")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
    lines = ["  ".join((*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4])) for row in (head, *rows)]
    return "# written by pgcharter from [transport] and [roles]\n" + "\n".join(lines) + "\n"


def _word(name: str) -> str:
    """A name as pg_hba.conf reads it as nothing but a name."""
    if name.startswith("/") or any(c in name for c in "\n\r\0"):
        raise UsageError(f"{name!r} cannot be written in pg_hba.conf: PostgreSQL would not take it for a name", hint="rename the role")
    return name if _BARE.match(name) and name not in _WORDS else '"' + name.replace('"', '""') + '"'


def conf(section: TransportSection) -> str:
    """Settings for postgresql.conf: TLS, its lowest version, and how passwords are kept."""
    settings: list[tuple[str, str]] = [
        ("ssl", "on"),
        ("ssl_cert_file", literal(section.server_certificate)),
        ("ssl_key_file", literal(section.server_key)),
        *([("ssl_ca_file", literal(section.client_authority))] if section.certificates else []),
        ("ssl_min_protocol_version", literal(section.minimum_tls)),
        ("ssl_ciphers", "'HIGH:!aNULL:!3DES'"),
        ("ssl_prefer_server_ciphers", "on"),
        ("password_encryption", "'scram-sha-256'"),
        ("authentication_timeout", "'10s'"),
        ("log_connections", "on"),
    ]
    return "# written by pgcharter from [transport]\n" + "".join(f"{name} = {value}\n" for name, value in settings)


def clients(section: TransportSection, logins: Iterable[str], *, host: str, port: str, database: str) -> list[tuple[str, str]]:
    """Each login with its connection string: the server's certificate is checked against its name, no password stands in it.

    With a password, the exchange is bound to the TLS channel, so that nobody between can pass it on (SCRAM-SHA-256-PLUS).
    """
    where = section.host or host
    if not where or where.startswith("/"):
        raise UsageError("nothing says under which name clients reach the server", hint='[transport] host = "db.example.com"')
    address = f"[{where}]" if ":" in where else where
    found = []
    for name in logins:
        options = {"sslmode": "verify-full", "sslrootcert": section.root_certificate, "ssl_min_protocol_version": section.minimum_tls}
        if name in section.certificates:
            options |= {"sslcert": f"{name}.crt", "sslkey": f"{name}.key"}
        else:
            options["channel_binding"] = "require"
        query = "&".join(f"{key}={percent(value, safe='/.~')}" for key, value in options.items() if value)
        found.append((name, f"postgresql://{percent(name, safe='')}@{address}:{port}/{percent(database, safe='')}?{query}"))
    return found
