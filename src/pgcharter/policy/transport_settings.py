"""`[transport]` of the charter: from where clients come, how they prove who they are, and with what encryption."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError


def _networks(values: Iterable[Any]) -> None:
    for value in values:
        try:
            ipaddress.ip_network(str(value))
        except ValueError as error:
            raise UsageError(f"{value!r} is no network: {error}", hint="write 10.0.0.0/8, 192.168.1.7/32 or fd00::/8") from None


@dataclass(frozen=True)
class TransportSection:
    """`[transport]`: connections to the server, for `pgcharter security render`."""

    networks: tuple[str, ...] = field(default=(), metadata={"check": _networks})
    """Where clients come from: 10.0.0.0/8. Who comes from elsewhere is refused."""
    certificates: tuple[str, ...] = ()
    """Logins that prove themselves by a client certificate with their name in it instead of a password."""
    administrators: tuple[str, ...] = ("postgres",)
    """Roles that get in by the local socket when the operating system knows the user under the same name (peer)."""
    minimum_tls: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    server_certificate: str = "server.crt"
    """From the data folder, or absolute; so are the next two."""
    server_key: str = "server.key"
    client_authority: str = "root.crt"
    """Certificate of whoever signs the certificates of clients."""
    host: str = ""
    """Name that clients connect to, which must stand in the server's certificate; empty: that of the environment's connection string."""
    root_certificate: str = ""
    """File by which clients check the server; `system` for the authorities of their machine; empty: ~/.postgresql/root.crt."""


SECTION = Section("transport", TransportSection)
