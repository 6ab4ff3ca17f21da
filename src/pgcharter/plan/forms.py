"""A parsed statement, with what is known around it, as forms that the oracle has tried. Pure; never guesses: what is not known is `*`."""

from __future__ import annotations

from pgcharter.catalog.model import Catalog
from pgcharter.plan.forms_alter import alter_table
from pgcharter.plan.forms_common import Handler, of_object, on_relation
from pgcharter.plan.forms_others import (
    alter_domain,
    alter_enum,
    comment,
    copy,
    grant,
    lock,
    opaque,
    publication,
    select,
    transaction,
    write,
)
from pgcharter.plan.forms_tables import (
    alter_sequence,
    cluster,
    create_index,
    create_sequence,
    create_statistics,
    create_table,
    create_table_as,
    drop,
    refresh,
    reindex,
    rename,
    set_schema,
    trigger,
    truncate,
    vacuum,
    view,
)
from pgcharter.plan.scope import UNKNOWN, Form, Scope
from pgcharter.plan.surroundings import around
from pgcharter.sqltext import Statement

PATH = ("public",)


def classify(statement: Statement, catalog: Catalog | None = None, *, timezone: str = "", path: tuple[str, ...] = PATH) -> tuple[Form, ...]:
    """The forms of one statement: one for each subcommand of ALTER TABLE, each table of DROP TABLE, and so on.

    `timezone` is the session's TimeZone where it is known: a change between timestamp and timestamptz asks for it. `path` is where
    names without a schema are looked up.
    """
    scope = Scope(around(catalog) if catalog is not None else None, path, timezone)
    handler = _KINDS.get(statement.kind)
    if statement.node is None:
        return (Form(UNKNOWN),)
    return tuple(handler(statement.node, scope)) if handler else (Form(statement.kind.removesuffix("_stmt").replace("_", " ")),)


_KINDS: dict[str, Handler] = {
    "alter_table_stmt": alter_table,
    "index_stmt": create_index,
    "drop_stmt": drop,
    "truncate_stmt": truncate,
    "create_stmt": create_table,
    "view_stmt": view,
    "create_table_as_stmt": create_table_as,
    "refresh_mat_view_stmt": refresh,
    "create_trig_stmt": trigger,
    "rule_stmt": on_relation("create rule"),
    "create_policy_stmt": on_relation("create policy"),
    "alter_policy_stmt": on_relation("alter policy"),
    "rename_stmt": rename,
    "alter_object_schema_stmt": set_schema,
    "alter_owner_stmt": of_object("alter {} owner to", "object_type"),
    "comment_stmt": comment,
    "grant_stmt": grant,
    "alter_seq_stmt": alter_sequence,
    "create_seq_stmt": create_sequence,
    "create_stats_stmt": create_statistics,
    "define_stmt": of_object("create {}", "kind"),
    "cluster_stmt": cluster,
    "vacuum_stmt": vacuum,
    "reindex_stmt": reindex,
    "lock_stmt": lock,
    "create_publication_stmt": publication,
    "alter_publication_stmt": publication,
    "alter_domain_stmt": alter_domain,
    "alter_enum_stmt": alter_enum,
    "insert_stmt": write("insert"),
    "update_stmt": write("update"),
    "delete_stmt": write("delete"),
    "merge_stmt": write("merge"),
    "select_stmt": select,
    "copy_stmt": copy,
    "transaction_stmt": transaction,
    "do_stmt": opaque,
    "call_stmt": opaque,
    "execute_stmt": opaque,
    "explain_stmt": opaque,
}
