"""`pgcharter policy passwords`: passwords of the charter's logins, from environment variables, as SCRAM verifiers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.policy.roles_settings import Login, RolesSection

NEAR = 30
"""Days before its expiry from which a password is said to run out."""
EXAMPLES = (
    ("pgcharter policy passwords --env production --confirm production", "all logins that name a variable with their password"),
    ("pgcharter policy passwords --login shop_api", "one of them"),
)


@dataclass(frozen=True)
class _Done:
    login: Login
    state: Literal["set", "unchanged"]
    expiry: str
    """What is to be said of its expiry; empty when nothing is."""


@click.command("passwords", cls=Command, examples=EXAMPLES)
@click.option("--login", "names", multiple=True, metavar="LOGIN", help="Only this login of [roles].")
@confirm_option
@database_options
@format_option
def passwords(environment: str | None, target: str | None, confirm: str | None, form: str, names: tuple[str, ...]) -> int:
    """Set the passwords of the logins in [roles] from the environment variables that their password_env names.

    The server gets the SCRAM-SHA-256 verifier, which is computed here; a password itself is never sent, logged or shown.
    All are set or none is.
    """
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.db import connect
    from pgcharter.policy.roles_settings import SECTION

    charter = charter_here()
    named, dsn = migrating.database(environment, target)
    section = charter.section(SECTION)
    chosen = _chosen(section, named, names)
    clear = {login.name: _clear(login, section.password_length) for login in chosen}
    migrating.refuse_production(migrating.production(charter, named, dsn), confirm)
    with connect(dsn) as conn:
        done = _set(conn, chosen, clear)
    if form == "json":
        show_json(
            {
                "format": "pgcharter-passwords",
                "version": 1,
                "logins": [{"role": d.login.name, "state": d.state, "expiry": d.expiry or None} for d in done],
            }
        )
    else:
        _print(done)
    return Exit.FINE


def _chosen(section: RolesSection, environment: str, names: tuple[str, ...]) -> list[Login]:
    here = {x.name: x for x in section.login if not x.environments or environment in x.environments}
    for name in names:
        if name not in here or not here[name].password_env:
            what = "names no variable with its password" if name in here else "is no login of [roles] here"
            raise UsageError(f"{name!r} {what}", hint=f'[[roles.login]] name = "{name}", password_env = "…"')
    found = [x for x in here.values() if x.password_env and (not names or x.name in names)]
    if not found:
        raise UsageError("no login of [roles] names a variable with its password, so there is none to set", hint="password_env = …")
    return found


def _clear(login: Login, shortest: int) -> str:
    """The password in clear, or RefusedError; its text is in no message."""
    text = os.environ.get(login.password_env)
    if text is None:
        raise UsageError(
            f"the password of {login.name} stands in the variable {login.password_env}, which is not set: no password was changed",
            hint=f"read -rs {login.password_env}; export {login.password_env}",
        )
    wrong = (
        "is empty" if not text
        else f"has {len(text)} characters, fewer than the {shortest} that [roles] asks for" if len(text) < shortest
        else "begins or ends in white space" if text != text.strip()
        else "is the name of the role" if text.lower() == login.name.lower()
        else "is not a password but what a server stores of one" if text.startswith(("SCRAM-SHA-256$", "md5"))
        else ""
    )  # fmt: skip
    if wrong:
        raise RefusedError(
            f"the password of {login.name} in {login.password_env} {wrong}: no password was changed", hint="openssl rand -base64 24"
        )
    return text


def _set(conn: Connection, chosen: list[Login], clear: dict[str, str]) -> list[_Done]:
    from pgcharter.db import passwords as stored
    from pgcharter.names import quote

    done: list[_Done] = []
    with conn.transaction():
        for login in chosen:
            row = conn.execute(
                "select r.rolcanlogin, nullif(r.rolvaliduntil, 'infinity')::date from pg_catalog.pg_roles r where r.rolname = %s",
                [login.name],
            ).fetchone()
            if row is None or not row[0]:
                what = "is not there" if row is None else "may not log in"
                raise RefusedError(f"role {quote(login.name)} {what}: no password was changed", hint="pgcharter policy apply")
            same = stored.is_set(conn, login.name, clear[login.name])
            if not same:
                stored.store(conn, login.name, stored.verifier(conn, login.name, clear[login.name]))
            done.append(_Done(login, "unchanged" if same else "set", expiry(row[1] or login.valid_until, datetime.now(UTC).date())))
    return done


def expiry(until: date | None, today: date) -> str:
    """What is to be said of the day from which a password is worth nothing."""
    if until is None or (until - today).days > NEAR:
        return ""
    days = (until - today).days
    return f"expires on {until}, in {days} day{'' if days == 1 else 's'}" if days > 0 else f"has been worth nothing since {until}"


def _print(done: list[_Done]) -> None:
    from pgcharter.names import quote
    from pgcharter.render.page import Page, Piece, Styled

    page = Page(screen())
    for d in done:
        what = f"password set from {d.login.password_env}" if d.state == "set" else f"has the password of {d.login.password_env} already"
        pieces: list[Piece] = [Styled("✔ ", "good"), Styled(quote(d.login.name), "strong"), f" · {what}"]
        page.flow(*pieces, *([Styled(f" · {d.expiry}", "warning")] if d.expiry else []), hanging=2)
    show(page)
