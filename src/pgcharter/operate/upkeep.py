"""What upkeep would do now, and why: from statistics and catalogs, with what each step locks and costs. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pgcharter.db import Connection, queries
from pgcharter.errors import RefusedError
from pgcharter.findings import Gap
from pgcharter.measures import seconds, size
from pgcharter.operate.upkeep_memory import Memory
from pgcharter.operate.upkeep_model import BESIDE, HARD, KINDS, MOMENT, SOFT, Advice, Step, UpkeepPlan
from pgcharter.operate.upkeep_settings import UpkeepSection

_GROWN = 1.2
"""An index that was built anew and has grown by less is as small as it gets."""


@dataclass(frozen=True, slots=True)
class _Server:
    database: str
    role: str
    standby: bool
    now: datetime
    tuple_schema: str | None
    repack: bool
    block: int
    old: int


@dataclass(frozen=True)
class _Ground:
    """What a plan is made from."""

    conn: Connection
    section: UpkeepSection
    memory: Memory
    server: _Server

    def rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.conn.execute(_sql(self.conn, name), values).fetchall()

    def size(self, pages: int) -> str:
        return pretty(pages * self.server.block)


def make(conn: Connection, section: UpkeepSection, memory: Memory | None = None) -> UpkeepPlan:
    """Plan the upkeep of the connection's database. Raises RefusedError on a standby."""
    conn.execute("SET statement_timeout = '60s'")
    conn.execute("SET lock_timeout = '2s'")
    server = _Server(*conn.execute(_sql(conn, "server"), {}).fetchall()[0])
    if server.standby:
        raise RefusedError("this server is a standby, which is kept by its primary's upkeep", hint="connect to the primary")
    ground = _Ground(conn, section, memory or Memory(), server)
    conn.execute("SET enable_nestloop = off")  # catalogs joined in a loop take a minute at 5,000 tables
    conn.execute("SET jit = off")  # which that would call for
    try:
        found = [*_tables(ground), *_invalid(ground), *_indexes(ground), *_heaps(ground), *_views(ground), *_advice(ground)]
    finally:
        if not conn.broken:
            conn.execute("RESET enable_nestloop")
            conn.execute("RESET jit")
    steps = sorted((f for f in found if isinstance(f, Step)), key=lambda s: KINDS.index(s.kind))
    advice = tuple(f for f in found if isinstance(f, Advice))
    gaps = [f for f in found if isinstance(f, Gap)]
    if server.old and any(s.kind in ("vacuum", "freeze") for s in steps):
        gaps.append(
            Gap("dead rows", f"{server.old} sessions are in transactions older than 10 minutes: what they may see cannot be removed")
        )
    return UpkeepPlan(server.database, tuple(steps), advice, tuple(gaps))


def pretty(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 10240:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.0f} TB"


def _sql(conn: Connection, name: str) -> bytes:
    return queries.query("pgcharter.operate", "upkeep.sql", name, conn.info.server_version // 10000).encode()


def _may(what: str, of: str) -> Gap:
    return Gap(
        f"{what} {of}", "it belongs to another role: run upkeep as its owner, or from PostgreSQL 17 on GRANT MAINTAIN or pg_maintain"
    )


Found = Iterator[Step | Advice | Gap]


def _tables(g: _Ground) -> Found:
    section = g.section
    limits = {"freeze": section.freeze, "dead": section.dead, "dead_least": section.dead_least}
    for row in g.rows("tables", **limits):
        name, _, pages, live, dead, inserted, changed, xids, dead_times, inserted_times, changed_times, freeze, never, off, may, _ = row
        stale = never or (changed_times > 1 and changed >= section.dead_least)
        full = dead_times >= section.dead and dead >= section.dead_least
        new = inserted_times > 1 and inserted >= section.dead_least
        reasons = []
        if freeze >= section.freeze:
            reasons.append(f"rows not frozen for {xids:,} transactions, {freeze:.0f} % of what autovacuum_freeze_max_age allows")
        if full:
            reasons.append(f"{dead:,} dead rows beside {live:,}")
        if new and not full:
            reasons.append(f"{inserted:,} rows inserted since the last vacuum")
        if stale:
            reasons.append("never analyzed" if never else f"{changed:,} rows changed since the last analyze")
        if not reasons:
            continue
        if off:
            reasons.append("autovacuum is off for it")
        kind, sql = _vacuum(name, freeze=freeze >= section.freeze, vacuum=full or new, analyze=stale)
        cost = f"reads {g.size(pages)}" + ("" if kind == "analyze" else " and its indexes")
        yield (
            Step(kind, name, sql, "; ".join(reasons), SOFT, cost, {"dead": dead, "live": live, "freeze_percent": freeze})
            if may
            else _may(kind, name)
        )


def _vacuum(name: str, *, freeze: bool, vacuum: bool, analyze: bool) -> tuple[Any, str]:
    if freeze or vacuum:
        options = ", ".join(["FREEZE"] * freeze + ["ANALYZE"] * analyze)
        return "freeze" if freeze else "vacuum", f"VACUUM ({options}) {name}" if options else f"VACUUM {name}"
    return "analyze", f"ANALYZE {name}"


def _invalid(g: _Ground) -> Found:
    for index, table, leftover, form, bytes_, owned, may, toast in g.rows("invalid"):
        drop = f"DROP INDEX CONCURRENTLY {index}"
        if leftover and not toast:
            step = Step(
                "leftover",
                index,
                drop,
                f"left behind by a concurrent build on {table} that was broken off",
                SOFT,
                f"frees {pretty(bytes_)}",
            )
            yield step if owned else _may("drop", index)
        elif toast:
            yield Advice("index", index, "a broken build of an index of out-of-line values was left behind", drop)
        elif form == "I":
            yield Advice(
                "index",
                index,
                f"the index of partitioned table {table} is not valid: a partition has none",
                f"ALTER INDEX {index} ATTACH PARTITION …",
            )
        elif form == "x":
            yield Advice(
                "index",
                index,
                f"the exclusion constraint of {table} is not valid, and cannot be built beside the old one",
                f"REINDEX INDEX {index}",
            )
        else:
            step = Step(
                "reindex", index, f"REINDEX INDEX CONCURRENTLY {index}",
                f"it is not valid: no query of {table} uses it, and every write pays for it", SOFT, f"reads {table} twice",
            )  # fmt: skip
            yield step if may else _may("reindex", index)


def _indexes(g: _Ground) -> Found:
    floor = max(size(g.section.bloat_least) // g.server.block, 2)
    unseen = 0
    for index, table, oid, pages, fill, guess, exclusion, may in g.rows("indexes", pages=floor, block=g.server.block):
        unseen += guess is None
        if guess is None or guess < g.section.bloat or pages <= g.memory.indexes.get(index, 0) * _GROWN:
            continue
        sure, why = _confirmed(g, "confirm_index", oid, fill)
        percent = guess if sure is None else sure
        if percent < g.section.bloat:
            continue
        reason = f"{percent:.0f} % of its {g.size(pages)} hold nothing ({why})"
        if exclusion:
            yield Advice("index", index, reason, f"REINDEX INDEX {index}")
            continue
        cost = f"reads {table}, writes about {g.size(round(pages * (1 - percent / 100)) + 1)} beside the old one"
        step = Step(
            "reindex",
            index,
            f"REINDEX INDEX CONCURRENTLY {index}",
            reason,
            SOFT,
            cost,
            {"bloat_percent": percent, "estimate_percent": guess},
        )
        yield step if may else _may("reindex", index)
    if unseen:
        yield Gap(
            f"how full {unseen} indexes are",
            "their statistics are not there, or not for this role: ANALYZE, or run upkeep as owner of the tables",
        )


def _confirmed(g: _Ground, query: str, oid: int, fill: int) -> tuple[float | None, str]:
    """Percent that hold nothing, as pgstattuple counts it; None where it cannot be asked."""
    if g.server.tuple_schema is None:
        return None, "estimated; CREATE EXTENSION pgstattuple would tell for sure"
    sql = _sql(g.conn, query).replace(b"{schema}", g.server.tuple_schema.encode())
    try:
        row = g.conn.execute(sql, {"oid": oid, "fill": fill, "block": g.server.block}).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None, f"estimated; GRANT pg_stat_scan_tables TO {g.server.role} would tell for sure"
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable):
        return None, "estimated; it could not be counted in time"
    return (float(row[0]), "counted by pgstattuple") if row and row[0] is not None else (None, "estimated")


def _heaps(g: _Ground) -> Found:
    floor = max(size(g.section.bloat_least) // g.server.block, 2)
    for table, oid, pages, fill, guess in g.rows("heaps", pages=floor, block=g.server.block):
        if guess is None or guess < g.section.bloat:
            continue
        sure, why = _confirmed(g, "confirm_heap", oid, fill)
        percent = guess if sure is None else sure
        if percent < g.section.bloat:
            continue
        reason = f"{percent:.0f} % of its {g.size(pages)} hold nothing ({why})"
        if g.section.repack and g.server.repack:
            cost = f"writes about {g.size(round(pages * (1 - percent / 100)) + 1)} and its indexes beside the old ones"
            yield Step("repack", table, f"pg_repack --no-order --table {table}", reason, MOMENT, cost, {"bloat_percent": percent})
        else:
            hint = "pg_repack is not installed in this database" if g.section.repack else "[upkeep] repack = true, with pg_repack"
            yield Advice("table", table, f"{reason}; new rows will use it; to give it back: {hint}", f"VACUUM FULL {table}")


def _views(g: _Ground) -> Found:
    rows = {r[0]: r for r in g.rows("views")}
    order: list[int] = []
    for oid in rows:
        _after(oid, rows, order)
    views = [oid for oid in order if rows[oid][2] == "m" and rows[oid][1] not in g.section.refresh_skip]
    due: set[int] = set()
    seen = written(g.conn, views, rows) if views else {}
    for oid in views:
        _, name, _, populated, pages, _, unique, may = rows[oid]
        why = _why(g, name, populated, seen[oid], below=bool(due & _beneath(oid, rows)))
        if not why:
            continue
        if not may:
            yield _may("refresh", name)
            continue
        due.add(oid)
        beside = unique and populated
        sql = f"REFRESH MATERIALIZED VIEW {'CONCURRENTLY ' if beside else ''}{name}"
        yield Step("refresh", name, sql, why, BESIDE if beside else HARD, f"runs its query, writes about {g.size(pages)}, analyzes it")


def _after(oid: int, rows: dict[int, tuple[Any, ...]], order: list[int]) -> None:
    """Views in the order in which they are made from one another."""
    stack = [(oid, iter(rows[oid][5] or ()))]
    done, open_ = set(order), {oid}
    if oid in done:
        return
    while stack:
        at, below = stack[-1]
        following = next((b for b in below if b in rows and b not in done and b not in open_), None)
        if following is None:
            stack.pop()
            order.append(at)
            done.add(at)
        else:
            open_.add(following)
            stack.append((following, iter(rows[following][5] or ())))


def _beneath(oid: int, rows: dict[int, tuple[Any, ...]]) -> set[int]:
    """All that a view is made from, through other views."""
    found: set[int] = set()
    waiting = list(rows[oid][5] or ())
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += rows[one][5] or () if one in rows else ()
    return found


def written(conn: Connection, views: Sequence[int], rows: dict[int, tuple[Any, ...]]) -> dict[int, str]:
    """For each view how much was ever written to its tables; empty where nobody can tell (foreign tables)."""
    bases = {oid: sorted(b for b in _beneath(oid, rows) if b not in rows) for oid in views}
    every = sorted({b for found in bases.values() for b in found})
    told = {r[0]: r[1:] for r in conn.execute(_sql(conn, "written"), {"tables": every}).fetchall()}
    return {
        oid: "" if any(told.get(b, (0, True, ""))[1] for b in of) else " ".join(f"{b}:{told[b][0]}:{told[b][2]}" for b in of)
        for oid, of in bases.items()
    }


def seen(conn: Connection, view: str) -> str:
    """How much was ever written to the tables of a view, by its name as SQL has it."""
    rows = {r[0]: r for r in conn.execute(_sql(conn, "views"), {}).fetchall()}
    oid = next((o for o, r in rows.items() if r[1] == view), None)
    return "" if oid is None else written(conn, [oid], rows)[oid]


def _why(g: _Ground, name: str, populated: bool, now_seen: str, *, below: bool) -> str:
    if not populated:
        return "it holds nothing yet, and whoever reads it gets an error"
    if below:
        return "it is made from one that is refreshed"
    at = g.memory.refreshed(name)
    if at is None:
        return "nobody knows when it was refreshed"
    if at + timedelta(seconds=seconds(g.section.refresh)) > g.server.now:
        return ""
    if not now_seen:
        return f"it reads foreign tables, and was refreshed {at:%Y-%m-%d %H:%M}"
    return "" if g.memory.views[name]["seen"] == now_seen else f"its tables were written since {at:%Y-%m-%d %H:%M}"


def _advice(g: _Ground) -> Found:
    yield from (Advice(*row) for row in g.rows("advice", sequence=g.section.sequence, freeze=g.section.freeze))
