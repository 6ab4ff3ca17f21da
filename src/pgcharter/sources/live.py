"""The one reader of live servers: a fixed number of queries, whatever the size, inside one read-only snapshot."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from pgcharter.catalog.model import Catalog, Cluster, Stats
from pgcharter.catalog.reading import Reading
from pgcharter.db import Connection, connect
from pgcharter.db.queries import query
from pgcharter.errors import PgcharterError
from pgcharter.findings import Gap
from pgcharter.redact import redact
from pgcharter.sources import Look, live_cluster, live_objects, taken
from pgcharter.sources.live_relations import Relations
from pgcharter.sources.live_shared import Shared


def read(dsn: str, *, looks: Sequence[Look] = ()) -> Reading:
    """Read the database at `dsn`: its catalog, the server around it, what the server has counted, and what further `looks` find.

    Raises ConnectError or PgcharterError.
    """
    with connect(dsn) as conn:
        catalog = read_catalog(conn)
        cluster = read_cluster(conn)
        stats = read_stats(conn, catalog)
        gaps = tuple(dict.fromkeys((*catalog.gaps, *cluster.gaps, *stats.gaps)))
        reading = Reading(target=redact(dsn), source="live", catalog=catalog, cluster=cluster, stats=stats, gaps=gaps)
        return taken(reading, conn, looks)


def read_catalog(conn: Connection) -> Catalog:
    """Read the schema of the database that `conn` is in.

    The read happens in a transaction of its own, repeatable read and read only, that is rolled back; inside a caller's transaction it
    uses a savepoint and sees what that transaction sees. PostgreSQL writes definitions back from the newest state, not from the
    snapshot, so an object dropped meanwhile makes it stumble: then the read begins anew, a few times. Raises PgcharterError when
    PostgreSQL will not answer.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            with reading(conn) as shared, shared.ahead(_IN_ORDER):
                catalog = _catalog(shared)
        except PgcharterError as error:
            if not isinstance(error.__cause__, psycopg.errors.InternalError_):
                raise
        else:
            if not shared.vanished:
                return catalog
    with reading(conn) as shared, shared.ahead(_IN_ORDER):
        return _catalog(shared)


_ATTEMPTS = 5


_IN_ORDER = (
    *(("live_objects", name) for name in ("schemas", "role_names", "comments", "extension_members", "collations")),
    *(
        ("live_relations", name)
        for name in (
            "relations", "data_types", "columns", "indexes", "constraints", "operator_classes", "inheritance", "triggers", "policies",
            "rules", "sequences",
        )
    ),
    *(
        ("live_objects", name)
        for name in (
            "types", "functions", "others", "database", "database_settings", "extensions", "event_triggers", "publications",
            "subscriptions",
        )
    ),
    ("live_relations", "statistics"),
    *(("live_objects", name) for name in ("foreign_servers", "default_privileges", "security_labels")),
    ("live_relations", "dependencies"),
)  # fmt: skip
"""Every query of a reading, in the order in which `_catalog` wants the answers."""


def read_cluster(conn: Connection) -> Cluster:
    """Read roles, memberships, settings, tablespaces and login rules of the server. Raises PgcharterError."""
    with reading(conn) as shared:
        return live_cluster.cluster(shared)


def read_stats(conn: Connection, catalog: Catalog) -> Stats:
    """Read row estimates, sizes, scan counters and sequence positions of what `catalog` holds. Raises PgcharterError."""
    with reading(conn) as shared:
        return live_cluster.stats(shared, catalog)


@contextmanager
def reading(conn: Connection) -> Iterator[Shared]:
    """A quiet, read-only stretch on `conn` in which only PostgreSQL's own functions and operators can be found."""
    major = conn.info.server_version // 10000
    status = conn.info.transaction_status
    if status == TransactionStatus.INERROR:
        raise PgcharterError("the connection's transaction has failed, so nothing can be read in it", hint="roll it back first")
    collecting = gc.isenabled()
    gc.disable()
    try:
        with conn.transaction(force_rollback=True):
            if status == TransactionStatus.IDLE:
                conn.execute("set transaction isolation level repeatable read, read only")
            conn.execute(query("pgcharter.sources", "live.sql", "prepare", major))
            yield Shared(conn, major)
    except psycopg.Error as error:
        raise _refused(error) from error
    finally:
        if collecting:
            gc.enable()


def _refused(error: psycopg.Error) -> PgcharterError:
    """PostgreSQL's refusal as one sentence."""
    for kind, message, hint in _REFUSALS:
        if isinstance(error, kind):
            return PgcharterError(message, hint=hint)
    said = error.diag.message_primary or str(error).strip()
    return PgcharterError(f"the catalog could not be read: PostgreSQL said {said!r} ({error.sqlstate or 'connection lost'})")


_REFUSALS: tuple[tuple[type[psycopg.Error], str, str], ...] = (
    (
        psycopg.errors.LockNotAvailable,
        "the catalog could not be read: another session holds a lock on a table for more than 5 s",
        "see who: SELECT pid, query FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks WHERE mode = 'AccessExclusiveLock')",
    ),
    (
        psycopg.errors.QueryCanceled,
        "the catalog could not be read: one of the queries took more than 60 s",
        "try again when the server is less busy",
    ),
    (
        psycopg.errors.CharacterNotInRepertoire,
        "the catalog could not be read: the database has encoding SQL_ASCII and holds names or texts that are not UTF-8",
        "find out the real encoding, then dump and restore into a database that has it",
    ),
)


def _catalog(shared: Shared) -> Catalog:
    relations = Relations(shared)
    server_version = shared.conn.info.server_version
    schemas = live_objects.schemas(shared)
    tables, views, sequences = relations.tables(), relations.views(), relations.sequences()
    types, functions = live_objects.types(shared, relations), live_objects.functions(shared)
    others = live_objects.others(shared)
    return Catalog(
        server_version=server_version,
        database=live_objects.database(shared),
        schemas=schemas,
        tables=tables,
        views=views,
        sequences=sequences,
        functions=functions,
        types=types,
        extensions=live_objects.extensions(shared),
        event_triggers=live_objects.event_triggers(shared),
        publications=live_objects.publications(shared),
        subscriptions=live_objects.subscriptions(shared),
        statistics=relations.statistics(),
        foreign_servers=live_objects.foreign_servers(shared),
        collations=live_objects.collations(shared),
        others=others,
        default_privileges=live_objects.default_privileges(shared),
        security_labels=live_objects.security_labels(shared),
        dependencies=live_objects.dependencies(shared),
        gaps=(*live_objects.gap_of_version(server_version), *(Gap(what, "dropped while it was read") for what in shared.vanished)),
    )
