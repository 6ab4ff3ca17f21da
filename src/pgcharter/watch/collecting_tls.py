"""The certificate that a server shows, read without trusting it."""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from psycopg.conninfo import conninfo_to_dict

from pgcharter.errors import PgcharterError
from pgcharter.watch.collecting_asked import Asked, NothingToAskError, Row

SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""PostgreSQL's documentation, "SSL Session Encryption" in the frontend/backend protocol."""
SECONDS = 5.0


def certificate(asked: Asked) -> Iterable[Row]:
    """When the certificate ends that clients are shown. Raises PgcharterError and OSError where it cannot be read."""
    conn = asked.server.conn
    [row] = conn.execute(
        "SELECT pg_catalog.current_setting('ssl'), pg_catalog.current_setting('listen_addresses'), pg_catalog.current_setting('port')"
    ).fetchall()
    if row[0] != "on" or not row[1]:
        raise NothingToAskError
    host, port = _address(asked, row[1], int(row[2]))
    ends = _ends(_shown(host, port))
    now = asked.now or datetime.now(UTC)
    return ({"ends_seconds": (ends - now).total_seconds(), "ends": f"{ends:%Y-%m-%d}", "address": f"{host}:{port}"},)


def _address(asked: Asked, listens: str, port: int) -> tuple[str, int]:
    """Where it can be asked by TCP; a session by the local socket is on its machine."""
    info = asked.server.conn.info
    if not info.host.startswith(("/", "@")):
        return str(conninfo_to_dict(asked.dsn).get("hostaddr") or info.host), info.port
    first = re.split(r"\s*,\s*", listens.strip())[0]
    return ("127.0.0.1" if first in ("*", "0.0.0.0", "::") else first), port  # noqa: S104 (what a server says of itself)


def _shown(host: str, port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=SECONDS) as plain:
        plain.sendall(SSL_REQUEST)
        if plain.recv(1) != b"S":
            raise PgcharterError(f"{host}:{port} does not offer TLS, though ssl is on")
        with context.wrap_socket(plain, server_hostname=host) as secured:
            shown = secured.getpeercert(binary_form=True)
    if not shown:
        raise PgcharterError(f"{host}:{port} shows no certificate")
    return shown


def _ends(der: bytes) -> datetime:
    """`notAfter` of an X.509 certificate (RFC 5280, 4.1): the second time in its field `validity`."""
    certificate_ = next(_elements(der))[1]
    signed = next(_elements(certificate_))[1]
    fields = [f for f in _elements(signed) if f[0] != 0xA0]
    kind, text = list(_elements(fields[3][1]))[1]
    form = "%y%m%d%H%M%SZ" if kind == 0x17 else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, one after the other (X.690, definite lengths)."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            more = length & 0x7F
            length, at = int.from_bytes(der[at : at + more]), at + more
        yield tag, der[at : at + length]
        at += length
