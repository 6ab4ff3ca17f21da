"""`pgcharter keys`: the key ring, and the columns that are encrypted with it. No key and no value is ever printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.keys_work import (
    advice_on,
    database_of,
    day_of,
    encryption_here,
    key_id,
    print_keys,
    provider_here,
    ring_file,
    run_job,
    say,
    tell_usage,
    verified,
)
from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.runtime.keys import KeyRing


@click.group()
def keys() -> None:
    """Keys of encrypted columns: where they are is said in [encryption] of the charter."""


@keys.command(
    "create", cls=Command, examples=(("pgcharter keys create default", "a data key and an index key, in a new ring or the one there is"),)
)
@click.argument("name", default="default")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Nothing is written with it from this day on.")
@format_option
def create(name: str, expires: Any, form: str) -> int:
    """Make keys under a new name; the first makes the ring, and the master key where the charter names one."""
    from pgcharter.runtime.keys_providers import LocalMaster

    file, day = ring_file(), day_of(expires)
    if isinstance(file.wrapper, LocalMaster) and not file.wrapper.path.exists() and not file.path.exists():
        file.wrapper.create()
    ring = file.change(lambda r: r.create(name, day))
    return print_keys([k for k in ring.keys if k.name == name], form)


@keys.command("list", cls=Command, examples=(("pgcharter keys list", "the keys by name, with their states"),))
@format_option
def list_(form: str) -> int:
    """List the keys of the ring: names, states and days, never the keys."""
    return print_keys(list(provider_here().read().keys), form)


@keys.command("rotate", cls=Command, examples=(
    ("pgcharter keys rotate default", "new keys to write with; then: pgcharter keys reencrypt"),
    ("pgcharter keys rotate default --announce", "keys that can be read with everywhere first, then: pgcharter keys activate ID"),
))  # fmt: skip
@click.argument("name", default="default")
@click.option("--purpose", type=click.Choice(["data", "index", "both"]), default="both", show_default=True, help="Which of the two keys.")
@click.option("--announce", is_flag=True, help="The new key can be read with, and is not written with before it is activated.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Nothing is written with it from this day on.")
@format_option
def rotate(name: str, purpose: str, expires: Any, form: str, *, announce: bool) -> int:
    """Make a new key to write with. The one before can be read with until it is retired."""
    day = day_of(expires)

    def change(ring: KeyRing) -> KeyRing:
        for one in ("data", "index") if purpose == "both" else (purpose,):
            ring, _ = ring.rotate(name, one, announce=announce, expires=day)
        return ring

    return print_keys([k for k in ring_file().change(change).keys if k.name == name], form)


@keys.command("activate", cls=Command, examples=(("pgcharter keys activate 3f2a91c0d4e5f607", "write with this key from now on"),))
@click.argument("key")
@format_option
def activate(key: str, form: str) -> int:
    """Write with a key that was announced, or is retired; the one before can be read with."""
    chosen = key_id(key)
    ring = ring_file().change(lambda r: r.activate(chosen))
    return print_keys([k for k in ring.keys if k.id == chosen], form)


@keys.command("retire", cls=Command, examples=(
    ("pgcharter keys retire 3f2a91c0d4e5f607 --env production", "when nothing there needs it any more"),
    ("pgcharter keys retire 3f2a91c0d4e5f607 --destroy --env production", "for good: backups that need it cannot be read again"),
))  # fmt: skip
@click.argument("key")
@click.option("--destroy", is_flag=True, help="Erase the key for good; without it, it is kept and can be activated again.")
@click.option("--unchecked", is_flag=True, help="Look into no database first.")
@click.option("--yes", is_flag=True, help="Do not ask before a key is destroyed.")
@confirm_option
@database_options
@format_option
def retire(
    key: str, environment: str | None, target: str | None, confirm: str | None, form: str, *, destroy: bool, unchecked: bool, yes: bool
) -> int:
    """Use a key no more. Refused while a value, a blind index or a person's key in the database still needs it."""
    from pgcharter.migrate import key_status, reencrypt

    file, chosen = ring_file(), key_id(key)
    found = next((k for k in file.read().keys if k.id == chosen), None)
    if found is None:
        raise UsageError(f"the key ring has no key {key}", hint="pgcharter keys list")
    if not unchecked:
        dsn = database_of(environment, target, confirm)
        with reencrypt.connected(dsn) as conn:
            count = key_status.uses(conn, encryption_here(), found)
        if count:
            raise RefusedError(
                f"{found} is still needed by {count:,} values, blind indexes or persons' keys", hint="pgcharter keys reencrypt"
            )
    if destroy and not yes and not click.confirm(f"destroy {found} for good?", err=True):
        raise RefusedError("nothing was destroyed", hint="--yes answers beforehand")
    ring = file.change(lambda r: r.end(chosen, destroy=destroy))
    return print_keys([k for k in ring.keys if k.id == chosen], form)


@keys.command(
    "status", cls=Command, examples=(("pgcharter keys status --env production", "values by key, and what blind indexes give away"),)
)
@database_options
@format_option
def status(environment: str | None, target: str | None, form: str) -> int:
    """Count values by key, those still in clear, and the groups of equal values in blind indexes. Reads whole tables.

    Ends in 1 when something is left to do: values in clear without their encrypted form, values of keys that are not active.
    """
    from dataclasses import asdict

    from pgcharter.cli import migrating
    from pgcharter.migrate import key_status, reencrypt

    encryption = encryption_here()
    with reencrypt.connected(migrating.database(environment, target)[1]) as conn:
        found = [key_status.usage(conn, spec) for spec in encryption.columns.values()]
    ring = {f"{k.id:016x}": k for k in encryption.ring.keys}
    advice = [sentence for usage in found for sentence in advice_on(usage, ring)]
    if form == "json":
        show_json({"format": "pgcharter-key-status", "version": 1, "columns": [asdict(u) for u in found], "left": advice})
    else:
        tell_usage(found, ring, advice)
    return Exit.FINDINGS if advice else Exit.FINE


@keys.command("encrypt", cls=Command, examples=(
    ("pgcharter keys encrypt app.users.email", "fill the encrypted column beside the clear one, then read every value back"),
    ("pgcharter keys encrypt app.users.email --clear", "afterwards: empty the clear column"),
))  # fmt: skip
@click.argument("column")
@click.option("--clear", "empty", is_flag=True, help="Empty the clear column, row by row, each after a look at its encrypted value.")
@click.option("--yes", is_flag=True, help="Do not ask before the clear column is emptied.")
@click.option("--pace", type=click.Choice(["slow", "normal", "fast"]), default="normal", show_default=True, help="How long a batch takes.")
@confirm_option
@database_options
@format_option
def encrypt(
    column: str, environment: str | None, target: str | None, confirm: str | None, pace: str, form: str, *, empty: bool, yes: bool
) -> int:
    """Encrypt what stands in clear, while the application works; interrupted, it goes on where it was. The clear column stays.

    The runtime must write both columns from before this begins until the clear one is dropped.
    """
    dsn = database_of(environment, target, confirm)
    if empty and not yes and not click.confirm(f"empty the clear column {column} for good?", err=True):
        raise RefusedError("nothing was changed", hint="--yes answers beforehand")
    return run_job(dsn, (column,), "clear" if empty else "encrypt", pace, form)


@keys.command(
    "reencrypt", cls=Command, examples=(("pgcharter keys reencrypt --env production", "bring every value under the active keys"),)
)
@click.argument("columns", nargs=-1, metavar="[COLUMN]...")
@click.option("--pace", type=click.Choice(["slow", "normal", "fast"]), default="normal", show_default=True, help="How long a batch takes.")
@confirm_option
@database_options
@format_option
def reencrypt_(columns: tuple[str, ...], environment: str | None, target: str | None, confirm: str | None, pace: str, form: str) -> int:
    """Bring values and blind indexes under the active keys, while the application works; also after padding or search changed."""
    dsn = database_of(environment, target, confirm)
    return run_job(dsn, columns or tuple(encryption_here().columns), "rotate", pace, form)


@keys.command("verify", cls=Command, examples=(("pgcharter keys verify --env production", "read every value back"),))
@click.argument("columns", nargs=-1, metavar="[COLUMN]...")
@database_options
@format_option
def verify(columns: tuple[str, ...], environment: str | None, target: str | None, form: str) -> int:
    """Decrypt every value and hold it against the clear one and its blind indexes. Ends in 1 when one cannot be read."""
    from pgcharter.cli import migrating

    return verified(migrating.database(environment, target)[1], columns or tuple(encryption_here().columns), form, [])


@keys.command(
    "destroy-subject", cls=Command, examples=(("pgcharter keys destroy-subject user 4711", "erase what is encrypted for user 4711"),)
)
@click.argument("kind")
@click.argument("subject")
@click.option("--yes", is_flag=True, help="Do not ask.")
@confirm_option
@database_options
@format_option
def destroy_subject(
    kind: str, subject: str, environment: str | None, target: str | None, confirm: str | None, form: str, *, yes: bool
) -> int:
    """Destroy a person's key: what it encrypted can never be read again, in tables, audit trails and replicas. Nothing brings it back.

    A backup from before still has the wrapped key, until the key of the ring that wrapped it is destroyed too.
    """
    from pgcharter.migrate import reencrypt
    from pgcharter.runtime.keys_subjects import destroy_subject as destroy

    dsn, encryption = database_of(environment, target, confirm), encryption_here()
    if all(c.subject_kind != kind for c in encryption.columns.values()):
        raise UsageError(f"no encrypted column is of subjects of kind {kind!r}", hint="see subject_kind in [[encryption.column]]")
    if not yes and not click.confirm(f"destroy the key of {kind} {subject} for good?", err=True):
        raise RefusedError("nothing was destroyed", hint="--yes answers beforehand")
    with reencrypt.connected(dsn) as conn, conn.transaction():
        done = destroy(conn, encryption, kind, subject)
    if form == "json":
        show_json({"format": "pgcharter-erasure", "version": 1, "kind": kind, "subject": subject, "destroyed": done})
    else:
        say(f"the key of {kind} {subject} is destroyed" if done else f"{kind} {subject} has no key, so there was nothing to destroy")
    return Exit.FINE
