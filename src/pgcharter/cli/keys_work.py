"""What the commands of `pgcharter keys` share: the charter's section, jobs with their progress, what is printed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgcharter.cli.output import screen, show, show_json
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.migrate.reencrypt import Mode, Outcome
    from pgcharter.runtime.encryption import Encryption
    from pgcharter.runtime.keys import RingKey
    from pgcharter.runtime.keys_providers import RingCommand, RingFile, RingVariable


def section_here() -> tuple[Any, Any]:
    """The `[encryption]` section of the charter, and its folder."""
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.encryption_settings import SECTION

    charter = charter_here()
    return charter.section(SECTION), charter.folder


def encryption_here() -> Encryption:
    """The charter's encrypted columns with their keys. Raises UsageError for none, EncryptionError for keys that cannot be used."""
    from pgcharter.runtime.encryption import Encryption

    section, folder = section_here()
    if not section.column:
        raise UsageError("the charter declares no encrypted column", hint="[[encryption.column]] with table and column")
    found = Encryption.from_section(section, folder)
    found.ring.check()
    return found


def provider_here() -> RingFile | RingVariable | RingCommand:
    """Where the charter's keys are."""
    from pgcharter.runtime.keys_providers import provider

    section, folder = section_here()
    return provider(section.keys, folder, section.master)


def ring_file() -> RingFile:
    """The key ring as a file. Raises RefusedError where it comes from elsewhere."""
    from pgcharter.runtime.keys_providers import RingFile

    found = provider_here()
    if not isinstance(found, RingFile):
        raise RefusedError(
            "the key ring comes from a variable or a command, which can only be read here",
            hint='change it as a file ([encryption] keys = "file:PATH") and put that where the variable or command takes it from',
        )
    return found


def day_of(expires: datetime | None) -> str:
    """The day from which on a key is not written with; empty: none. Raises UsageError for one that has come already."""
    if expires and expires.date() <= datetime.now(UTC).date():
        raise UsageError(f"{expires:%Y-%m-%d} has come already (UTC), so nothing could be written with the key", hint="name a later day")
    return f"{expires:%Y-%m-%d}" if expires else ""


def key_id(text: str) -> int:
    """The id of a key. Raises UsageError for what is none."""
    try:
        return int(text, 16)
    except ValueError:
        raise UsageError(f"{text!r} is no id of a key", hint="pgcharter keys list shows them: 16 hexadecimal digits") from None


def database_of(environment: str | None, target: str | None, confirm: str | None) -> str:
    """The connection string of the database meant. Raises RefusedError for production without leave."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here

    found = migrating.database(environment, target)
    migrating.refuse_production(migrating.production(charter_here(), *found), confirm)
    return found[1]


def run_job(dsn: str, columns: tuple[str, ...], mode: Mode, pace: str, form: str) -> int:
    """Do a job on columns one after another, then read every value back."""
    from dataclasses import replace

    from pgcharter.cli import migrating
    from pgcharter.cli.progress import progress
    from pgcharter.migrate import reencrypt
    from pgcharter.migrate.pacing import pace as paced

    encryption = encryption_here()
    given = paced(migrating.section_here().pace, pace)
    chosen = replace(given, batch=given.batch / 3, largest=min(given.largest, 20_000))
    done: list[Outcome] = []
    for column in columns:
        with progress(f"{mode} {column}") as bar:

            def tell(a: reencrypt.Advance, bar: Any = bar, column: str = column) -> None:
                if bar:
                    bar(f"{mode} {column}", a.changed, a.total)

            done.append(reencrypt.run(dsn, encryption, column, mode, reencrypt.Settings(chosen, tell=tell)))
    return verified(dsn, columns, form, done)


def verified(dsn: str, columns: tuple[str, ...], form: str, done: list[Outcome]) -> int:
    """Read every value of columns back, and tell what came of it and of the jobs before."""
    from dataclasses import asdict
    from functools import partial

    from pgcharter.cli.progress import progress
    from pgcharter.migrate import key_status, reencrypt

    encryption = encryption_here()
    with progress("reading every value back") as bar, reencrypt.connected(dsn) as conn:

        def tell(column: str, rows: int) -> None:
            if bar:
                bar(column, rows, 0)

        found = [key_status.verify(conn, encryption, column, partial(tell, column)) for column in columns]
    if form == "json":
        data = {"jobs": [asdict(o) for o in done], "verified": [asdict(v) for v in found]}
        show_json({"format": "pgcharter-keys", "version": 1, **data})
    else:
        for column, outcome in zip(columns, done, strict=False):
            rate = outcome.changed / outcome.seconds if outcome.seconds else 0
            say(
                f"{column}: {outcome.changed:,} rows in {outcome.seconds:.1f} s ({rate:,.0f} rows/s)"
                + f", {outcome.left:,} left" * bool(outcome.left)
            )
        for v in found:
            erased = f", {v.erased:,} erased" if v.erased else ""
            say(f"{v.column}: {v.read:,} values read back{erased}, {v.count:,} wrong", *v.wrong)
    return Exit.FINDINGS if any(v.count for v in found) or any(o.left for o in done) else Exit.FINE


def advice_on(usage: Any, ring: dict[str, RingKey]) -> list[str]:
    """What is left to do for a column, each with its command."""
    column = usage.column
    said = [f"{column}: {usage.waiting:,} values are in clear only: pgcharter keys encrypt {column}"] if usage.waiting else []
    if usage.clear and not usage.waiting:
        said.append(
            f"{column}: {usage.clear:,} values still stand in clear beside their encrypted form: pgcharter keys encrypt {column} --clear"
        )
    old = sum(n for key, n in usage.keys.items() if key in ring and ring[key].state != "active")
    marks = {k.mark.hex(): k for k in ring.values()}
    old += sum(n for leak in usage.leaks for mark, n in leak.marks.items() if mark not in marks or marks[mark].state != "active")
    if old:
        said.append(f"{column}: {old:,} values and blind indexes are of keys that are not active: pgcharter keys reencrypt {column}")
    for mark, n in ((mark, n) for leak in usage.leaks for mark, n in leak.beside.items()):
        retire = f"pgcharter keys retire {marks[mark].id:016x}; then " if mark in marks and marks[mark].state == "decrypt-only" else ""
        said.append(f"{column}: {n:,} unique blind indexes carry a digest of an old key too: {retire}pgcharter keys reencrypt {column}")
    today = datetime.now(UTC).date().isoformat()
    said += [
        f"{k} expired on {k.expires}, so nothing is written with it: pgcharter keys rotate {k.name}"
        for k in ring.values()
        if k.state == "active" and k.expires and k.expires <= today and k.name == usage.key
    ]
    said += [
        f"{column}: {n:,} values of one key, half of what it may encrypt: pgcharter keys rotate" for n in usage.keys.values() if n > 2**31
    ]
    return said


def tell_usage(found: list[Any], ring: dict[str, RingKey], advice: list[str]) -> None:
    """Print what columns hold."""
    for usage in found:
        say(f"{usage.column}: {sum(usage.keys.values()):,} values, {usage.clear:,} in clear")
        for key, count in usage.keys.items():
            state = f"{ring[key].name}, {ring[key].state}" if key in ring else "of a subject, or not in the ring"
            say(f"  key {key} ({state}): {count:,}")
        for leak in usage.leaks:
            say(f"  {leak.form}: {leak.distinct:,} different among {leak.rows:,}; {leak.largest:,} rows share the most frequent")
    for sentence in advice:
        say(sentence)


def print_keys(found: list[RingKey], form: str) -> int:
    """Print keys: everything but the keys themselves."""
    if form == "json":
        data = [
            {
                "id": f"{k.id:016x}",
                "name": k.name,
                "purpose": k.purpose,
                "state": k.state,
                "created": k.created,
                "expires": k.expires or None,
            }
            for k in found
        ]
        show_json({"format": "pgcharter-key-list", "version": 1, "keys": data})
    else:
        for k in found:
            say(f"{k.id:016x}  {k.name}  {k.purpose}  {k.state}  {k.created}" + f"  expires {k.expires}" * bool(k.expires))
    return Exit.FINE


def say(*lines: str) -> None:
    """Print lines."""
    from pgcharter.render.page import Page

    page = Page(screen())
    for line in lines:
        page.line(line)
    show(page)
