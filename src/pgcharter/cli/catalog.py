"""`pgcharter catalog`: what a schema holds, as a file, and what differs between two of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.errors import Exit, PgcharterError, UsageError

if TYPE_CHECKING:
    from pgcharter.catalog.compare import Difference
    from pgcharter.catalog.model import Catalog
    from pgcharter.catalog.reading import Reading

EXPORT_EXAMPLES = (
    ("pgcharter catalog export postgresql://localhost/shop -o shop.json", "a snapshot to compare with later"),
    ("pgcharter catalog export db/migrations", "what a folder of SQL builds, to stdout"),
    ("pgcharter catalog export env:DATABASE_URL --cluster -o shop.json", "roles and settings of the server too"),
)
DIFF_EXAMPLES = (
    ("pgcharter catalog diff shop.json postgresql://localhost/shop", "what changed since the snapshot"),
    ("pgcharter catalog diff db/migrations env:DATABASE_URL", "does the database hold what the files say?"),
    ("pgcharter catalog diff old.json new.json --ignore owner --ignore table.options", "leave fields out"),
)
_BUILT = frozenset(("sql", "markdown", "models", "alembic"))
_NOT_OF_FILES = ("owner", "acl", "database", "default privileges")
"""What files say nothing about until somebody runs them as some role."""

_OF_SCRATCH_SERVERS = ("database", "extension.owner", "language.owner")
"""What two builds owe to the servers they were made on."""


@click.group()
def catalog() -> None:
    """Export what a schema holds as JSON, or compare two of them."""


@catalog.command("export", cls=Command, examples=EXPORT_EXAMPLES)
@click.argument("target")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
@click.option("--cluster", "with_cluster", is_flag=True, help="With the server's roles, memberships and settings (live targets only).")
@click.option("--major", type=int, metavar="MAJOR", help="PostgreSQL version that files are built on.")
@click.option("--scratch-url", metavar="DSN", help="Server that files are built on instead of an embedded one.")
def export(target: str, output: str | None, with_cluster: bool, major: int | None, scratch_url: str | None) -> None:
    """Write the catalog of TARGET (a DSN, SQL, models, migrations) as stable JSON that compares well line by line."""
    from pgcharter.catalog import codec

    reading, found = _read(target, major, scratch_url)
    if with_cluster and reading.cluster is None:
        raise UsageError(f"{reading.target} has no server around it, so --cluster has nothing to write", hint="name a live server")
    text = codec.dumps(found, reading.cluster if with_cluster else None)
    if output is None or output == "-":
        sys.stdout.write(text)
    else:
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise PgcharterError(f"{output} cannot be written: {error.strerror}") from None
        parts = ((found.tables, "table"), (found.views, "view"), (found.functions, "function"), (found.types, "type"))
        counted = ", ".join(f"{len(items):,} {word}{'' if len(items) == 1 else 's'}" for items, word in parts if items)
        click.echo(f"{output}: {counted or 'an empty schema'} of {reading.target}", err=True)
    for gap in reading.gaps:
        click.echo(f"not seen: {gap.what}: {gap.why}", err=True)
    _tell_refused(reading)


@catalog.command("diff", cls=Command, examples=DIFF_EXAMPLES)
@click.argument("a")
@click.argument("b")
@click.option(
    "--ignore", multiple=True, metavar="WORD", help="Leave out a field (owner), a kind (extension) or a field of one (table.options)."
)
@click.option("--all", "everything", is_flag=True, help="Also what differs only because the PostgreSQL versions differ.")
@click.option("--major", type=int, metavar="MAJOR", help="PostgreSQL version that files are built on; default: that of the other side.")
@click.option("--scratch-url", metavar="DSN", help="Server that files are built on instead of an embedded one.")
@format_option
@click.pass_context
def diff(
    ctx: click.Context, a: str, b: str, ignore: tuple[str, ...], everything: bool, major: int | None, scratch_url: str | None, form: str
) -> None:
    """Say what must change in A to get B. Each is a target or a snapshot. Ends in 1 when they differ."""
    from pgcharter.catalog.compare import compare

    (one, left), (other, right) = _read_both(a, b, major, scratch_url)
    left_out = tuple(ignore)
    if (one.source in _BUILT) != (other.source in _BUILT):
        left_out += _NOT_OF_FILES
    elif one.source in _BUILT:
        left_out += _OF_SCRATCH_SERVERS
    found = compare(left, right, ignore=left_out)
    shown = tuple(d for d in found if everything or not d.explanation)
    if form == "json":
        show_json(_data(one, other, shown, len(found) - len(shown), left_out))
    else:
        _print(one, other, shown, len(found) - len(shown), tuple(w for w in left_out if w not in ignore))
    _tell_refused(one)
    _tell_refused(other)
    ctx.exit(Exit.FINDINGS if any(not d.explanation for d in found) else Exit.FINE)


def _read_both(a: str, b: str, major: int | None, scratch_url: str | None) -> tuple[tuple[Reading, Catalog], tuple[Reading, Catalog]]:
    """Both sides; files are built on the major version of the other side, so that PostgreSQL's own differences do not disturb."""
    if major is not None:
        return _read(a, major, scratch_url), _read(b, major, scratch_url)
    if _is_fixed(b) and not _is_fixed(a):
        right = _read(b, None, scratch_url)
        return _read(a, _buildable(right[1].major), scratch_url), right
    left = _read(a, None, scratch_url)
    return left, _read(b, _buildable(left[1].major) if _is_fixed(a) else None, scratch_url)


def _is_fixed(target: str) -> bool:
    """True for targets that have a version already: servers and snapshots."""
    return "://" in target or target.startswith("env:") or target.endswith(".json") or ("=" in target and not Path(target).exists())


def _buildable(major: int) -> int | None:
    """That version when this machine has it, else None: any version."""
    from pgcharter.servers import binaries

    return major if major in binaries.majors() else None


def _read(target: str, major: int | None, scratch_url: str | None) -> tuple[Reading, Catalog]:
    from pgcharter import sources
    from pgcharter.cli.progress import progress

    with progress(f"reading {target.partition('://')[0] if '://' in target else target}") as advance:
        reading = sources.read(target, major=major, scratch_url=scratch_url, progress=advance)
    if reading.catalog is None:
        why = "; ".join(f"{gap.what}: {gap.why}" for gap in reading.gaps) or "no server to build on"
        raise PgcharterError(f"{reading.target} gave no catalog: {why}", hint="pgcharter doctor")
    return reading, reading.catalog


def _tell_refused(reading: Reading) -> None:
    refused = [f for f in reading.findings if f.code.startswith("SRC")]
    if refused:
        what = "statement" if len(refused) == 1 else "statements"
        click.echo(f"{reading.target}: {len(refused)} {what} could not be built; see: pgcharter check {reading.target}", err=True)


def _print(one: Reading, other: Reading, shown: tuple[Difference, ...], hidden: int, automatic: tuple[str, ...]) -> None:
    from pgcharter.catalog.compare import describe
    from pgcharter.render.page import clean

    for difference in shown:
        click.echo(clean(describe(difference)))
    many = len(shown)
    summary = "no difference" if not many else "1 difference" if many == 1 else f"{many:,} differences"
    click.echo(f"{summary} between {one.target} and {other.target}")
    if hidden:
        click.echo(f"{hidden:,} more only because PostgreSQL itself changed between the two versions: --all shows and explains them")
    if automatic:
        click.echo(f"not compared, since files do not say it: {', '.join(automatic)}")


def _data(one: Reading, other: Reading, shown: tuple[Difference, ...], hidden: int, left_out: tuple[str, ...]) -> dict[str, Any]:
    return {
        "format": "pgcharter-catalog-diff",
        "version": 1,
        "a": one.target,
        "b": other.target,
        "ignored": list(left_out),
        "explained_by_version": hidden,
        "differences": [_difference_data(d) for d in shown],
    }


def _difference_data(difference: Difference) -> dict[str, Any]:
    from pgcharter.catalog import codec
    from pgcharter.render.json import object_data

    data: dict[str, Any] = {"change": difference.change, "object": object_data(difference.object)}
    if difference.field:
        data["field"] = difference.field
    for name, value in (("old", difference.old), ("new", difference.new)):
        if difference.change == "changed" or value is not None:
            data[name] = codec.plain(value)
    if difference.explanation:
        data["explanation"] = difference.explanation
    return data
