"""The server around the database: who gets in and how, what keeps data safe, what is past its time. Needs a live server."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

from pgcharter.catalog.model import Cluster, HbaLine, Role
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.remedies import mend


def _setting(name: str) -> ObjectId:
    return ObjectId("setting", "", name)


def reached_from_outside(cluster: Cluster) -> bool:
    """Whether the server listens on more than the loopback addresses. When that may not be seen, no."""
    addresses = [a.strip() for a in cluster.setting.get("listen_addresses", "").split(",") if a.strip()]
    return any(not is_loopback(a) for a in addresses)


def is_loopback(address: str) -> bool:
    """Whether an address of pg_hba.conf or listen_addresses is of this machine alone."""
    if address in ("localhost", "samehost"):
        return True
    parts = address.split()
    try:
        return ipaddress.ip_address(parts[0].partition("/")[0]).is_loopback
    except (ValueError, IndexError):
        return False


@rule("SRV01", "md5-password", Severity.WARNING, needs="cluster")
def md5_password(ctx: Context) -> Iterator[Finding]:
    """A role whose password is stored as MD5.

    Why: the stored value is enough to log in, and is guessed quickly. MD5 passwords are deprecated since PostgreSQL 18 and will be removed.
    Instead: `SET password_encryption = 'scram-sha-256'`, then set the password again with `\\password role`.
    Except: none; clients older than 2017 need an update first.
    """
    for role in ctx.cluster.roles:
        if role.login and role.password == "md5":  # noqa: S105
            yield ctx.finding(
                role,
                f"the password of role {quote(role.name)} is stored as MD5: who reads the hash can log in with it",
                hint=f"with password_encryption = 'scram-sha-256' set it again: \\password {quote(role.name)}",
            )


@rule("SRV02", "md5-password-encryption", Severity.WARNING, needs="cluster")
def md5_password_encryption(ctx: Context) -> Iterator[Finding]:
    """A server that stores new passwords as MD5.

    Why: every password set from now on is stored in the form that PostgreSQL 18 deprecates and a later version will refuse.
    Instead: `ALTER SYSTEM SET password_encryption = 'scram-sha-256'`.
    Except: none.
    """
    if ctx.cluster.setting.get("password_encryption") in ("md5", "on"):
        fix, hint = mend(ctx, "password_encryption", "'scram-sha-256'")
        yield ctx.finding(
            _setting("password_encryption"),
            "password_encryption is md5: every password set from now on is stored in a form that is going to be refused",
            fix=fix,
            hint=hint,
        )


@rule("SRV20", "password-without-end", Severity.WARNING, needs="cluster")
def password_without_end(ctx: Context) -> Iterator[Finding]:
    """A role that logs in with a password that never ends, or ends later than the house allows.

    Why: a password that leaked years ago still opens the door, and nobody is reminded to change it.
    Instead: `ALTER ROLE app VALID UNTIL '2027-01-01'` together with a new password, by `valid_until` of `[[roles.login]]`.
    Except: asked for only where `password_days` says how long a password lives; roles without a password, which log in by certificate or
    peer, and passwords that may not be seen (only superusers see whether a role has one) are not reported.
    """
    days, today = ctx.options.password_days, date.today()
    for role in ctx.cluster.roles if days else ():
        if role.login and role.password not in ("none", "unknown"):
            ends = role.valid_until.partition(" ")[0]
            left = (date.fromisoformat(ends) - today).days if _DAY.fullmatch(ends) else None
            if left is None or left > days:
                when = "never ends" if left is None else f"is good until {ends}, {left:,} days from now"
                yield ctx.finding(
                    role,
                    f"the password of role {quote(role.name)} {when}; the house allows {days} days",
                    hint=f"with a new password: ALTER ROLE {quote(role.name)} VALID UNTIL '{today + timedelta(days=days)}'",
                )


_DAY = re.compile(r"\d{4}-\d\d-\d\d")
"""A day as PostgreSQL writes it; infinity and years before Christ or beyond 9999 are far away alike."""
_METHODS = {
    "trust": ("lets {who} in without a password", Severity.ERROR),
    "password": ("takes the password of {who} in the clear", Severity.ERROR),
    "md5": ("still accepts MD5 passwords of {who}", Severity.INFO),
}


@rule("SRV03", "weak-authentication", Severity.ERROR, needs="cluster")
def weak_authentication(ctx: Context) -> Iterator[Finding]:
    """A line of pg_hba.conf that lets others in over the network without a strong proof.

    Why: `trust` asks for nothing, `password` sends it readable, `md5` accepts the weak form (it also accepts SCRAM, so it is only a note).
    Instead: `hostssl all all 10.0.0.0/8 scram-sha-256`.
    Except: lines for Unix sockets and loopback addresses, and lines that no listening address reaches, are not reported.
    """
    if not reached_from_outside(ctx.cluster):
        return
    for line in ctx.cluster.hba:
        if line.method in _METHODS and line.type.startswith("host") and not is_loopback(line.address):
            if line.method == "password" and line.type == "hostssl":
                continue
            does, severity = _METHODS[line.method]
            who = "everybody" if "all" in line.users else ", ".join(line.users)
            found = ctx.finding(
                ObjectId("setting", "", "pg_hba.conf"),
                f"pg_hba.conf line {line.line} ({line_text(line)}) {does.format(who=who)}",
                hint="scram-sha-256, after every password was set again under password_encryption = 'scram-sha-256'",
                detail=line_text(line),
            )
            yield replace(found, severity=severity)


def line_text(line: HbaLine) -> str:
    """A line of pg_hba.conf, about as it stands there."""
    return f"{line.type} {','.join(line.databases)} {','.join(line.users)} {line.address} {line.method}"


@rule("SRV04", "network-without-tls", Severity.WARNING, needs="cluster")
def network_without_tls(ctx: Context) -> Iterator[Finding]:
    """A server that listens on the network without TLS.

    Why: queries and rows, passwords in ALTER ROLE included, cross the network readable, and nobody can tell a false server from the
    right one.
    Instead: `ssl = on` with a certificate, `hostssl` lines in pg_hba.conf, `sslmode=verify-full` in clients.
    Except: a network that encrypts by itself (WireGuard, a service mesh).
    """
    if reached_from_outside(ctx.cluster) and ctx.cluster.setting.get("ssl") == "off":
        yield ctx.finding(
            _setting("ssl"),
            f"the server listens on {ctx.cluster.setting['listen_addresses']} without TLS: data cross the network readable",
            hint="ssl_cert_file and ssl_key_file, then ALTER SYSTEM SET ssl = on",
        )


_SAFETY = {
    "fsync": "a crash of the machine destroys the database",
    "full_page_writes": "a crash of the machine leaves torn pages that cannot be repaired",
    "autovacuum": "tables bloat, and in the end the server stops to save itself from wraparound",
    "track_counts": "autovacuum does not know what to clean, so it never does",
}


@rule("SRV05", "safety-switched-off", Severity.ERROR, needs="cluster")
def safety_switched_off(ctx: Context) -> Iterator[Finding]:
    """A setting that keeps data safe is off.

    Why: fsync and full_page_writes protect against a crash, autovacuum and track_counts against bloat and wraparound.
    Instead: `ALTER SYSTEM SET fsync = on`.
    Except: throwaway servers for tests.
    """
    for name, effect in _SAFETY.items():
        if ctx.cluster.setting.get(name) == "off":
            fix, hint = mend(ctx, name, "on")
            yield ctx.finding(_setting(name), f"{name} is off: {effect}", fix=fix, hint=hint)


@rule("SRV06", "several-superusers", Severity.INFO, needs="cluster")
def several_superusers(ctx: Context) -> Iterator[Finding]:
    """A second superuser that can log in.

    Why: a superuser passes every privilege and every row policy and can run programs on the machine.
    Instead: the one superuser of the installation, used for repairs; a role with CREATEROLE or membership in pg_monitor for daily work.
    Except: one personal superuser for each administrator, where the shared one may not log in.
    """
    supers = [r for r in ctx.cluster.roles if r.superuser and r.login]
    first = next((t.owner for t in ctx.cluster.tablespaces if t.name == "pg_default"), "postgres")
    for role in supers:
        if role.name != first and len(supers) > 1:
            yield ctx.finding(
                role,
                f"role {quote(role.name)} is a second superuser that can log in: no privilege and no row policy holds for it",
                fix=f"ALTER ROLE {quote(role.name)} NOSUPERUSER",
            )


@rule("SRV07", "past-row-security-by-role", Severity.WARNING, needs="cluster")
def past_row_security_by_role(ctx: Context) -> Iterator[Finding]:
    """A role that logs in past every row policy.

    Why: BYPASSRLS switches row security off for all tables at once, and there is no trace of it in the tables.
    Instead: `ALTER ROLE app NOBYPASSRLS`; a role without LOGIN that maintenance switches to.
    Except: databases without row security are not reported; dump and maintenance roles may need it.
    """
    if not any(t.row_security for t in ctx.catalog.tables):
        return
    for role in ctx.cluster.roles:
        if role.bypass_row_security and role.login and not role.superuser:
            yield ctx.finding(
                role,
                f"role {quote(role.name)} logs in with BYPASSRLS: no row policy of any table holds for it",
                fix=f"ALTER ROLE {quote(role.name)} NOBYPASSRLS",
            )


@rule("SRV08", "no-data-checksums", Severity.INFO, needs="cluster")
def no_data_checksums(ctx: Context) -> Iterator[Finding]:
    """A server without data checksums.

    Why: a page that a disk returns damaged is then used as it is, and copied into every backup.
    Instead: `pg_checksums --enable` while the server is down (PostgreSQL 18 has them on for new clusters).
    Except: storage that verifies checksums itself, such as ZFS.
    """
    if ctx.cluster.setting.get("data_checksums") == "off":
        yield ctx.finding(
            _setting("data_checksums"),
            "the server keeps no data checksums: damage on disk is read as data and goes into the backups",
            hint="pg_checksums --enable while the server is down",
        )


@rule("SRV09", "idle-transactions-unlimited", Severity.INFO, needs="cluster")
def idle_transactions_unlimited(ctx: Context) -> Iterator[Finding]:
    """Transactions that may stay idle for ever.

    Why: an application that forgets to commit keeps its locks and keeps VACUUM from cleaning anything newer, in every table.
    Instead: `ALTER SYSTEM SET idle_in_transaction_session_timeout = '5min'`, more for the roles that need it.
    Except: servers where every role that logs in has the limit of its own; that is looked up.
    """
    name = "idle_in_transaction_session_timeout"
    logins = [r for r in ctx.cluster.roles if r.login and not r.superuser]
    limited = any(s.startswith(f"{name}=") and s != f"{name}=0" for s in ctx.catalog.database.settings)
    if ctx.cluster.setting.get(name) == "0" and not limited and not (logins and all(_has(r, name) for r in logins)):
        fix, hint = mend(ctx, name, "'5min'")
        yield ctx.finding(
            _setting(name),
            "transactions may stay idle without limit: a forgotten one keeps its locks and stops VACUUM in every table",
            fix=fix,
            hint=hint,
        )


def _has(role: Role, name: str) -> bool:
    return any(s.startswith(f"{name}=") and s != f"{name}=0" for s in role.settings)


END_OF_LIFE = {
    12: date(2024, 11, 21),
    13: date(2025, 11, 13),
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}
"""Day of the last minor release of each major version (https://www.postgresql.org/support/versioning/)."""
_NOTICE_DAYS = 180


@rule("SRV10", "version-out-of-support", Severity.ERROR, needs="cluster")
def version_out_of_support(ctx: Context) -> Iterator[Finding]:
    """A PostgreSQL version that gets no more corrections, or soon will not.

    Why: five years after its first release a version gets its last minor release. Holes and bugs found later stay open.
    Instead: `pg_upgrade` to a newer major version; half a year before the day this is a note.
    Except: a vendor who maintains the version under contract.
    """
    found = support_finding(ctx, date.today())
    if found is not None:
        yield found


def support_finding(ctx: Context, today: date) -> Finding | None:
    """The finding for the server's version as of `today`; None when it is supported for half a year or more, or not known."""
    major = ctx.cluster.server_version // 10000
    ends = END_OF_LIFE.get(major)
    if ends is None or (ends - today).days > _NOTICE_DAYS:
        return None
    subject = _setting("server_version")
    if ends < today:
        return ctx.finding(
            subject, f"PostgreSQL {major} has had no corrections since {ends}: holes found later stay open", hint="pg_upgrade"
        )
    found = ctx.finding(
        subject, f"PostgreSQL {major} gets its last corrections on {ends}, in {(ends - today).days} days", hint="pg_upgrade"
    )
    return replace(found, severity=Severity.INFO)


_MACHINE = ("pg_execute_server_program", "pg_write_server_files", "pg_read_server_files")


@rule("SRV11", "role-reaches-the-machine", Severity.WARNING, needs="cluster")
def role_reaches_the_machine(ctx: Context) -> Iterator[Finding]:
    """A role that may read files or run programs on the server's machine.

    Why: pg_execute_server_program and pg_write_server_files are as good as superuser; pg_read_server_files reads the data of all databases
    and the server's keys.
    Instead: COPY ... FROM STDIN through the client (`\\copy` in psql).
    Except: a loading role without LOGIN that is switched to for that work.
    """
    for membership in ctx.cluster.memberships:
        role = ctx.cluster.role.get(membership.member)
        if membership.role in _MACHINE and role is not None and role.login and not role.superuser:
            does = membership.role.removeprefix("pg_").replace("_", " ").replace("execute server program", "run programs on the server")
            yield ctx.finding(
                role,
                f"role {quote(role.name)} may {does}, which is nearly superuser",
                fix=f"REVOKE {membership.role} FROM {quote(role.name)}",
                detail=membership.role,
            )
