"""From where a server lets clients in, and whether what they send can be read on the way. Needs a live server."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import HbaLine
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.servers import is_loopback, line_text, reached_from_outside

_FILE = ObjectId("setting", "", "pg_hba.conf")
_EVERYWHERE = frozenset(("all", "0.0.0.0 0.0.0.0", ":: ::", "0.0.0.0/0", "::/0"))
_PLAIN = frozenset(("host", "hostnossl"))


def _letting_in(ctx: Context, types: frozenset[str]) -> Iterator[HbaLine]:
    """Lines of these types that let clients of other machines in: the first that fits decides, so none after one that refuses all."""
    if not reached_from_outside(ctx.cluster):
        return
    for line in sorted(ctx.cluster.hba):
        if line.type not in types or is_loopback(line.address):
            continue
        if line.method == "reject":
            if line.databases == ("all",) and line.users == ("all",) and line.address == "all":
                return
        else:
            yield line


@rule("SRV18", "plain-connections-accepted", Severity.WARNING, needs="cluster")
def plain_connections_accepted(ctx: Context) -> Iterator[Finding]:
    """A server with TLS that takes connections without it.

    Why: `host` in pg_hba.conf means with or without TLS, and a client falls back to plain text when somebody between says that the
    server has no TLS (`sslmode=prefer`, the default). Queries and rows are then read on the way.

    Instead: `hostssl` in the place of `host`; `pgcharter security render hba` writes such a file.

    Except: loopback addresses; lines behind one that refuses every plain connection; servers without TLS are the matter of another rule.
    """
    if ctx.cluster.setting.get("ssl") == "on":
        for line in _letting_in(ctx, _PLAIN):
            yield ctx.finding(
                _FILE,
                f"pg_hba.conf line {line.line} ({line_text(line)}) takes connections without TLS: what they carry can be read on the way",
                hint=line_text(line).replace(line.type, "hostssl", 1),
                detail=line_text(line),
            )


@rule("SRV19", "open-to-every-address", Severity.INFO, needs="cluster")
def open_to_every_address(ctx: Context) -> Iterator[Finding]:
    """A line of pg_hba.conf that lets clients in from every address there is.

    Why: passwords can be guessed from anywhere, and a hole in the server or a password that got out is enough to get in.

    Instead: the networks that clients come from: `hostssl shop api 10.1.0.0/16 scram-sha-256`.

    Except: a firewall before the server does the same where nobody can see it from inside: then waive this.
    """
    for line in _letting_in(ctx, frozenset(("host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"))):
        if line.address in _EVERYWHERE:
            yield ctx.finding(
                _FILE,
                f"pg_hba.conf line {line.line} ({line_text(line)}) lets clients in from every address",
                hint="name the networks that clients come from",
                detail=line_text(line),
            )
