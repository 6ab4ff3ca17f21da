"""Settings that endanger data or give it away, on the server, for one database or for one role; and extensions past their time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgcharter.catalog.model import Role
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.remedies import mend

_UNDECLARED = frozenset(("", "none", "no", "false", "off", "todo", "tbd", "unknown", "?", "n/a", "-"))
_IN_TRANSIT = re.compile(r"\b(?:ssl|tls|https|sslmode|in transit)\b", re.IGNORECASE)
_AT_REST = re.compile(
    r"luks|dm-?crypt|bitlocker|filevault|zfs|volume|disk|ebs|kms|storage|\btde\b|transparent|file ?system|backup|pgbackrest|at rest|vault",
    re.IGNORECASE,
)


@rule("SRV13", "encryption-at-rest-undeclared", Severity.WARNING, needs="cluster", options=("encryption_at_rest_required",))
def encryption_at_rest_undeclared(ctx: Context) -> Iterator[Finding]:
    """Nobody has said what encrypts data on disk and in backups.

    Why: PostgreSQL writes tables, indexes, WAL and backups readable. Who gets hold of a disk, a snapshot of it or a dump reads everything;
    TLS only protects what crosses the network.

    Instead: an encrypted volume and encrypted backups, and in the charter `encryption_at_rest = "LUKS on the data volume, backups by age"`.

    Except: none where the guide requires it. Nobody can see from inside the database whether a declaration is true: this rule only asks
    that somebody made it and that it speaks of storage; that it holds is for an audit to see.
    """
    told = (ctx.options.encryption_at_rest or "").strip()
    subject = ctx.catalog.database.id
    if told.lower() in _UNDECLARED:
        yield ctx.finding(
            subject,
            "nothing says what encrypts data on disk and in backups, and from inside the database it cannot be seen",
            hint='in the charter under [options]: encryption_at_rest = "what encrypts the volumes and the backups"',
        )
    elif _IN_TRANSIT.search(told) and not _AT_REST.search(told):
        yield ctx.finding(
            subject,
            f"{told!r} is declared as encryption at rest, but it protects the network: disks, snapshots and backups stay readable",
            hint="say what encrypts the volumes and the backups",
        )


_OLD_TLS = {"": "any version of TLS", "TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1"}
_WEAK = frozenset(("NULL", "ENULL", "ANULL", "ADH", "AECDH", "EXPORT", "EXP", "LOW", "RC4", "MD5", "DES", "3DES", "COMPLEMENTOFALL"))
_WEAK_SUITE = re.compile(r"(?:^|-)(?:NULL|RC4|MD5|DES|3DES|EXP|ADH|AECDH)(?:-|$)")


@rule("SRV14", "weak-tls", Severity.WARNING, needs="cluster")
def weak_tls(ctx: Context) -> Iterator[Finding]:
    """TLS older than 1.2, or ciphers that are broken.

    Why: TLS 1.0 and 1.1 have been withdrawn (RFC 8996); NULL, RC4, DES and export ciphers are read by who listens, anonymous ones by
    who stands between.

    Instead: `ssl_min_protocol_version = 'TLSv1.2'` and `ssl_ciphers = 'HIGH:!aNULL'`.

    Except: servers without TLS are the matter of another rule; PostgreSQL's own defaults are not flagged.
    """
    settings = ctx.cluster.setting
    if settings.get("ssl") != "on":
        return
    lowest = settings.get("ssl_min_protocol_version")
    if lowest is not None and lowest in _OLD_TLS:
        fix, hint = mend(ctx, "ssl_min_protocol_version", "'TLSv1.2'")
        yield ctx.finding(
            ObjectId("setting", "", "ssl_min_protocol_version"),
            f"clients may connect with {_OLD_TLS[lowest]}: what is older than TLS 1.2 has been withdrawn",
            fix=fix,
            hint=hint,
        )
    weak = _weak_ciphers(settings.get("ssl_ciphers", ""))
    if weak:
        fix, hint = mend(ctx, "ssl_ciphers", "'HIGH:!aNULL'")
        yield ctx.finding(
            ObjectId("setting", "", "ssl_ciphers"),
            f"ssl_ciphers lets in {', '.join(weak)}, which do not keep what crosses the network secret",
            fix=fix,
            hint=hint,
        )


def _weak_ciphers(text: str) -> list[str]:
    """Words of an OpenSSL cipher list that add weak ciphers; what a `!` shuts out for good does not count."""
    parts = [p for p in re.split(r"[:, ]+", text) if p]
    barred = {p[1:].upper() for p in parts if p.startswith("!")}
    added = [p for p in parts if p[0] not in "!-+@"]
    weak = [p for p in added if p.upper() not in barred and any(w in _WEAK or _WEAK_SUITE.search(w) for w in p.upper().split("+"))]
    return weak + (["ALL (anonymous ciphers included)"] if "ALL" in added and "ANULL" not in barred else [])


@dataclass(frozen=True, slots=True)
class _Danger:
    """A value that a setting should not have."""

    values: tuple[str, ...]
    effect: str
    severity: Severity = Severity.WARNING


_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
_DANGERS = {
    "session_replication_role": _Danger(("replica",), "triggers do not fire and foreign keys are not checked"),
    "zero_damaged_pages": _Danger(_ON, "pages that a disk damaged are emptied without an error, for ever", Severity.ERROR),
    "ignore_checksum_failure": _Danger(_ON, "damaged pages are used as if they were whole", Severity.ERROR),
    "ignore_system_indexes": _Danger(_ON, "every lookup in the system catalogs reads them whole"),
    "allow_system_table_mods": _Danger(_ON, "a slip can change the system catalogs, after which nothing can be trusted"),
    "standard_conforming_strings": _Danger(_OFF, "a backslash escapes the quote after it, so quoting that is right elsewhere lets SQL in"),
    "backslash_quote": _Danger(_ON, "\\' is taken for a quote, which in some encodings lets SQL in"),
    "transform_null_equals": _Danger(_ON, "x = NULL means x IS NULL, here and on no other server", Severity.INFO),
    "lo_compat_privileges": _Danger(_ON, "everybody may read, change and remove every large object"),
    "track_counts": _Danger(_OFF, "what changes is not counted, so autovacuum does not come"),
    "row_security": _Danger(_OFF, "queries on tables with row policies fail instead of showing the rows allowed", Severity.INFO),
    "password_encryption": _Danger(("md5", *_ON), "passwords set there are stored as MD5"),
    "default_transaction_isolation": _Danger(
        ("read uncommitted",), "PostgreSQL has no such level: transactions are read committed", Severity.INFO
    ),
}
_BY_OTHER_RULES = frozenset({"track_counts", "password_encryption"})
"""For the server as a whole SRV02 and SRV05 say it."""


@rule("SRV15", "dangerous-setting", Severity.WARNING, needs="cluster")
def dangerous_setting(ctx: Context) -> Iterator[Finding]:
    """A setting of a role, a database or the server switches a protection off for good.

    Why: what was meant for one repair (`zero_damaged_pages`, `session_replication_role`) stays with `ALTER ROLE ... SET`, nobody sees it,
    and every session of that role goes without.

    Instead: `SET LOCAL` in the one transaction that needs it; `ALTER ROLE ... RESET`.

    Except: roles that apply replicated changes (REPLICATION) may skip triggers; roles that pass row security anyway may switch it off.
    """
    database = ctx.catalog.database
    told: set[str] = set()
    for role in ctx.cluster.roles:
        for name, value in _set_to(role.settings):
            if _is_danger(name, value) and not _is_excused(name, role):
                yield _danger(ctx, role.id, f"role {quote(role.name)}", name, value, f"ALTER ROLE {quote(role.name)} RESET {name}")
                told.add(name)
    for entry in database.settings:
        who, name, value = _parts(entry)
        role_of = ctx.cluster.role.get(who) if who else None
        if not _is_danger(name, value) or (role_of is not None and _is_excused(name, role_of)):
            continue
        inside = f"database {quote(database.name)}"
        subject = f"role {quote(who)} in {inside}" if who else inside
        target = f"ROLE {quote(who)} IN DATABASE" if who else "DATABASE"
        yield _danger(ctx, database.id, subject, name, value, f"ALTER {target} {quote(database.name)} RESET {name}", who)
        told.add(name)
    yield from _of_server(ctx, told)


def _of_server(ctx: Context, told: set[str]) -> Iterator[Finding]:
    """What holds for every session because nothing says otherwise."""
    for setting in ctx.cluster.settings:
        if setting.name in told or setting.name in _BY_OTHER_RULES or setting.source in ("user", "database", "database user"):
            continue
        if _is_danger(setting.name, setting.value):
            danger = _DANGERS[setting.name]
            good = "'origin'" if setting.name == "session_replication_role" else "DEFAULT"
            fix, hint = mend(ctx, setting.name, good)
            yield ctx.finding(
                ObjectId("setting", "", setting.name),
                f"{setting.name} is {setting.value} for the whole server: {danger.effect}",
                severity=danger.severity,
                fix=fix,
                hint=hint,
            )


def _set_to(settings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for entry in settings:
        name, _, value = entry.partition("=")
        yield name, value


def _parts(entry: str) -> tuple[str, str, str]:
    """Role (or nothing), name and value of a setting of a database; the name of a role may hold colons."""
    for name in _DANGERS:
        who, found, value = entry.rpartition(f":{name}=")
        if found:
            return who, name, value
    name, _, value = entry.partition("=")
    return "", name, value


def _is_danger(name: str, value: str) -> bool:
    danger = _DANGERS.get(name)
    return danger is not None and value.strip().lower() in danger.values


def _is_excused(name: str, role: Role) -> bool:
    if name == "row_security":
        return role.superuser or role.bypass_row_security
    return name == "session_replication_role" and role.replication


def _danger(ctx: Context, target: ObjectId, subject: str, name: str, value: str, fix: str, who: str = "") -> Finding:
    danger = _DANGERS[name]
    return ctx.finding(
        target,
        f"{name} is {value} in every session of {subject}: {danger.effect}",
        severity=danger.severity,
        fix=fix,
        detail=f"{who}:{name}" if who else name,
    )


@rule("SRV16", "all-statements-logged", Severity.INFO, needs="cluster")
def all_statements_logged(ctx: Context) -> Iterator[Finding]:
    """Every statement is written to the server's log with its values.

    Why: personal data and the passwords of ALTER ROLE stand readable in files that are kept, shipped and backed up under other rules than
    the database; on a busy server the log is also the largest write.

    Instead: `log_min_duration_statement = '500ms'` for slow ones, pgaudit for who read what, `\\password` instead of passwords in SQL.

    Except: `log_statement = 'ddl'` and 'mod' are not flagged; a short trace while a fault is looked for.
    """
    for name, value in (("log_statement", "all"), ("log_min_duration_statement", "0")):
        if ctx.cluster.setting.get(name) == value:
            fix, hint = mend(ctx, name, "'ddl'" if name == "log_statement" else "'500ms'")
            yield ctx.finding(
                ObjectId("setting", "", name),
                f"{name} is {value}: every statement stands in the log with its values, personal data and new passwords among them",
                fix=fix,
                hint=hint,
            )


@rule("SRV17", "extension-outdated", Severity.INFO, needs="cluster")
def extension_outdated(ctx: Context) -> Iterator[Finding]:
    """An extension is installed in an older version than the server has files for.

    Why: after an upgrade of packages the old SQL objects stay until ALTER EXTENSION; corrections, closed holes among them, are not in use,
    and after a pg_upgrade some functions are missing.

    Instead: `ALTER EXTENSION name UPDATE`, in each database, after reading what it changes.

    Except: a version held back on purpose: say so by a waiver. Versions that are not made of numbers are not compared.
    """
    for extension in ctx.catalog.extensions:
        have, could = _numbers(extension.version), _numbers(extension.default_version)
        if have and could and have < could:
            yield ctx.finding(
                extension,
                f"extension {quote(extension.name)} is at version {extension.version}, but the server has files of "
                f"{extension.default_version}: what they correct is not in use",
                fix=f"ALTER EXTENSION {quote(extension.name)} UPDATE",
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+(?:\.\d+)*", version) else ()
