"""Why a server could not be reached, in one clear sentence each, without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from pgcharter.errors import ConnectError
from pgcharter.redact import redact


def explain(error: psycopg.Error, wanted: Mapping[str, Any], secrets: Sequence[str]) -> ConnectError:
    """Turn libpq's text into ours. `wanted` is the parsed DSN, `secrets` what must not be repeated."""

    said = _clean(str(error), secrets)
    target = _target(wanted, said)
    for pattern, message, hint in _REASONS:
        match = re.search(pattern, said, re.IGNORECASE)
        if match:
            names = {k: v or "" for k, v in match.groupdict().items()}
            return ConnectError(message.format(target=target, **names), hint=hint.format(target=target, **names))
    return ConnectError(f"{target} did not let us in: {redact(said)}")


def unreadable(error: psycopg.Error) -> ConnectError:
    """The refusal of text that is no connection string. libpq quotes pieces of it, which may be pieces of a password: only names stay."""
    said = str(error).strip()
    if not re.match(r"invalid (connection option|URI query parameter):? ", said):
        said = re.sub(r'"[^"]*"', "…", said)
    return ConnectError(
        f"the connection string cannot be understood: {said}",
        hint="write postgresql://user@host:5432/database (special characters in %XX form), or host=… dbname=… user=…",
    )


def too_old(server_version: int) -> ConnectError:
    """The refusal of a server older than 14."""
    from pgcharter.db import OLDEST

    minor = server_version % 10000 if server_version >= 100000 else server_version // 100 % 100
    version = f"{server_version // 10000}.{minor}"
    return ConnectError(
        f"the server is PostgreSQL {version}, which is too old to be read: {OLDEST} is read with gaps, 15 to 18 are supported",
        hint="upgrade the server: https://www.postgresql.org/docs/current/upgrading.html",
    )


_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"password authentication failed for user \"(?P<user>[^\"]*)\"|(?:scram|md5).*authentication failed",
        "{target} refused the password of role {user}",
        "set PGPASSWORD, or add the line host:port:database:user:password to ~/.pgpass (mode 0600)",
    ),
    (
        r"(?:definition of service|service file) \"(?P<name>[^\"]*)\" not found",
        "no service file defines {name}, so nothing says where the database is",
        "write [{name}] into ~/.pg_service.conf, or name another file in PGSERVICEFILE",
    ),
    (
        r"no password supplied",
        "{target} asks for a password and none was given",
        "set PGPASSWORD, or add the line host:port:database:user:password to ~/.pgpass (mode 0600)",
    ),
    (
        r"database \"(?P<name>[^\"]*)\" does not exist",
        "there is no database {name} on {target}",
        "list what there is: psql -l",
    ),
    (
        r"role \"(?P<name>[^\"]*)\" does not exist",
        "there is no role {name} on {target}",
        "name another role as user=… in the connection string",
    ),
    (
        r"role \"(?P<name>[^\"]*)\" is not permitted to log in",
        "role {name} may not log in to {target}",
        "ALTER ROLE {name} LOGIN",
    ),
    (
        r"permission denied for database \"(?P<name>[^\"]*)\"",
        "the role has no CONNECT right on database {name} of {target}",
        "GRANT CONNECT ON DATABASE {name} TO the role",
    ),
    (
        r"database \"(?P<name>[^\"]*)\" is not currently accepting connections",
        "database {name} on {target} accepts no connections",
        "ALTER DATABASE {name} ALLOW_CONNECTIONS true",
    ),
    (
        r"no pg_hba\.conf entry for (?P<what>.*)",
        "{target} has no pg_hba.conf line that lets us in: {what}",
        "add a line to the server's pg_hba.conf and reload it: SELECT pg_reload_conf()",
    ),
    (
        r"peer authentication failed for user \"(?P<user>[^\"]*)\"|ident authentication failed",
        "{target} lets role {user} in only from the operating system account of that name",
        "connect by TCP (host=localhost), or run as that account",
    ),
    (
        r"server does not support SSL|SSL was required",
        "{target} does not offer TLS, but the connection string asks for it",
        "use sslmode=prefer, or switch on ssl in the server",
    ),
    (
        r"sslmode value \"[^\"]*\" invalid when SSL support is not compiled in",
        "the client library was built without TLS",
        "pip install 'psycopg[binary]'",
    ),
    (
        r"root certificate file \"(?P<file>[^\"]*)\" does not exist",
        "the root certificate {file} does not exist, so {target} cannot be verified",
        "name one with sslrootcert=…, or sslrootcert=system",
    ),
    (
        r"(?:SSL error: )?(?P<what>certificate verify failed|server certificate for [^\n]* does not match host name[^\n]*"
        r"|SSL error: [^\n]*)",
        "the TLS connection to {target} failed: {what}",
        "check sslmode and sslrootcert",
    ),
    (
        r"could not translate host name|Name or service not known|Temporary failure in name resolution|failed to resolve host"
        r"|nodename nor servname|getaddrinfo",
        "{target} is unknown: no such host",
        "check the host name in the connection string",
    ),
    (
        r"Connection refused|No such file or directory",
        "no server answers at {target}",
        "check host and port, and that PostgreSQL runs: pg_isready",
    ),
    (
        r"timeout expired|connection timeout|timed out",
        "{target} did not answer in time",
        "check host, port and firewall; connect_timeout=30 waits longer (seconds)",
    ),
    (
        r"too many connections for (?P<kind>role|database) \"(?P<name>[^\"]*)\"",
        "all the connections that {kind} {name} may have on {target} are in use",
        "close idle sessions, see pg_stat_activity, or raise its limit: ALTER {kind} {name} CONNECTION LIMIT 100",
    ),
    (
        r"too many clients|remaining connection slots",
        "{target} has no free connection",
        "close idle sessions, see pg_stat_activity, or raise max_connections",
    ),
    (
        r"the database system is (?P<state>starting up|shutting down|in recovery mode|not yet accepting connections)",
        "{target} is not ready: the database system is {state}",
        "wait and try again: pg_isready",
    ),
    (
        r"invalid (?P<what>connection option|sslmode value|port number|integer value|URI query parameter|target_session_attrs value)"
        r"[^\"]*(?P<value>\"[^\"]*\")?",
        "the connection string has an invalid {what} {value}",
        "see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS",
    ),
)


def _target(wanted: Mapping[str, Any], said: str) -> str:
    """What a connection string leads to, as messages call it; where a service names the server, libpq's words say where that is."""
    host = str(wanted.get("host") or wanted.get("hostaddr") or "")
    port = str(wanted.get("port") or "")
    service = str(wanted.get("service") or os.environ.get("PGSERVICE") or "")
    if service and not host:
        found = re.search(r"connection to server (?:at|on socket) \"(?P<host>[^\"]*)\"[^:]*?(?:, port (?P<port>\d+))? failed", said)
        return f"service {service}" + (" (" + " port ".join(filter(None, found.groups())) + ")" if found else "")
    host = host or os.environ.get("PGHOST") or os.environ.get("PGHOSTADDR") or "the local socket"
    return f"{host} port {port}" if port else host


def _clean(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text.strip()
