"""What is done with each kind of statement on the scratch server: run, left out, noted, or done another way."""

from __future__ import annotations

from typing import Any, Literal

from pgcharter.sqltext import Statement, enum_name

Action = Literal["run", "skip", "note", "role", "extension", "comment", "set", "end"]
"""run it · leave it out silently (data, transaction control) · leave it out and say so · make stand-in roles · create an extension from
the allow-list · comment on one · a session setting · the end of a transaction, which ends SET LOCAL."""

_SKIP = {
    "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "copy_stmt", "truncate_stmt", "vacuum_stmt", "check_point_stmt",
    "explain_stmt", "listen_stmt", "unlisten_stmt", "notify_stmt", "lock_stmt", "fetch_stmt", "declare_cursor_stmt", "close_portal_stmt",
    "load_stmt", "cluster_stmt", "reindex_stmt", "prepare_stmt", "execute_stmt", "deallocate_stmt", "discard_stmt", "variable_show_stmt",
    "constraints_set_stmt", "repack_stmt",
}  # fmt: skip
_NOTE = {
    "createdb_stmt": "not run: everything is built in one database",
    "dropdb_stmt": "not run: everything is built in one database",
    "alter_database_stmt": "not run: it concerns a whole database",
    "alter_database_set_stmt": "not run: it concerns a whole database",
    "alter_database_refresh_coll_stmt": "not run: it concerns a whole database",
    "create_table_space_stmt": "not built: needs superuser and a folder on the server",
    "drop_table_space_stmt": "not run: needs superuser",
    "alter_table_space_options_stmt": "not run: needs superuser",
    "alter_system_stmt": "not run: it changes the server, not the schema",
    "create_event_trig_stmt": "not built: needs superuser",
    "alter_event_trig_stmt": "not built: needs superuser",
    "create_subscription_stmt": "not built: needs superuser and a publisher to connect to",
    "alter_subscription_stmt": "not built: needs superuser and a publisher to connect to",
    "drop_subscription_stmt": "not run: needs superuser",
    "create_fdw_stmt": "not built: needs superuser",
    "create_plang_stmt": "not built: needs superuser",
    "create_am_stmt": "not built: needs superuser",
    "create_user_mapping_stmt": "not built: it holds credentials",
    "alter_user_mapping_stmt": "not built: it holds credentials",
    "drop_user_mapping_stmt": "not built: it holds credentials",
    "alter_extension_stmt": "not run: extensions are created in the version at hand",
    "alter_extension_contents_stmt": "not run: extensions are created as they come",
    "drop_owned_stmt": "not run: it concerns everything of a role",
    "reassign_owned_stmt": "not run: it concerns everything of a role",
    "sec_label_stmt": "not built: needs a label provider that the server loads",
}
_SHARED_COMMENTS = {
    "OBJECT_EXTENSION",
    "OBJECT_DATABASE",
    "OBJECT_ROLE",
    "OBJECT_TABLESPACE",
    "OBJECT_EVENT_TRIGGER",
    "OBJECT_SUBSCRIPTION",
}
_SUPERUSERS = {"OBJECT_EVENT_TRIGGER", "OBJECT_SUBSCRIPTION", "OBJECT_FDW", "OBJECT_LANGUAGE", "OBJECT_ACCESS_METHOD", "OBJECT_TRANSFORM"}
_KIND_OF = {"drop_stmt": "remove_type", "alter_owner_stmt": "object_type", "rename_stmt": "rename_type"}
_ROLES = {"create_role_stmt", "alter_role_stmt", "alter_role_set_stmt", "drop_role_stmt", "grant_role_stmt"}
_SETTINGS = {
    "search_path", "check_function_bodies", "default_table_access_method", "standard_conforming_strings", "default_with_oids", "xmloption",
    "default_toast_compression", "datestyle", "intervalstyle", "timezone", "role", "session_authorization", "quote_all_identifiers",
    "plpgsql.variable_conflict", "array_nulls", "escape_string_warning", "bytea_output", "lc_monetary", "transform_null_equals",
}  # fmt: skip
_NO_EFFECT = {"setval", "nextval", "currval", "pg_sleep", "pg_notify", "now", "version", "count", "pg_reload_conf", "pg_advisory_lock",
              "pg_advisory_unlock", "pg_advisory_xact_lock", "pg_terminate_backend", "pg_cancel_backend", "current_setting"}  # fmt: skip


def decide(statement: Statement) -> tuple[Action, str]:
    """What to do with `statement`, and why when it is left out."""
    kind = statement.kind
    if kind in _SKIP:
        return "skip", ""
    if kind in _NOTE:
        return "note", _NOTE[kind]
    if kind in _ROLES:
        return "role", ""
    if kind == "create_schema_stmt" and statement.node.schemaname == "public" and not statement.node.schema_elts:
        return "skip", ""
    if kind == "create_extension_stmt":
        return "extension", ""
    if kind == "transaction_stmt":
        ends = statement.text.split(None, 1)[0].lower() in ("commit", "end", "rollback", "abort")
        return ("end" if ends and " to " not in statement.text.lower() else "skip"), ""
    if kind == "select_stmt":
        return ("run", "") if _calls_for_effect(statement.node) else ("skip", "")
    if kind == "call_stmt":
        return "run", ""
    if kind == "comment_stmt" and (about := enum_name(statement.node, "objtype")) in _SHARED_COMMENTS:
        return ("comment" if about == "OBJECT_EXTENSION" else "skip"), ""
    if kind == "drop_stmt" and enum_name(statement.node, "remove_type") == "OBJECT_EXTENSION":
        return "note", "not run: the extension stays"
    if kind in _KIND_OF and enum_name(statement.node, _KIND_OF[kind]) in _SUPERUSERS:
        return "note", "not run: only a superuser makes such objects, so there are none here"
    if kind in ("grant_stmt", "alter_owner_stmt") and _on_database(statement.node, kind):
        return "note", "not run: it concerns a whole database"
    if kind == "variable_set_stmt":
        return ("set", "") if _matters(statement.node) else ("skip", "")
    return "run", ""


def _on_database(node: Any, kind: str) -> bool:
    return enum_name(node, "objtype" if kind == "grant_stmt" else "object_type") == "OBJECT_DATABASE"


def _matters(node: Any) -> bool:
    name = node.name.lower()
    return name in _SETTINGS or "." in name or not name


def _calls_for_effect(node: Any) -> bool:
    """`SELECT f(...)`, `SELECT * FROM f(...)`, `SELECT ... INTO t`: may make objects. A query over tables does not."""
    if node.HasField("into_clause"):
        return True
    sources = [item.WhichOneof("node") for item in node.from_clause]
    if sources:
        return all(kind == "range_function" for kind in sources)
    calls = [t.res_target.val.func_call for t in node.target_list if t.res_target.val.WhichOneof("node") == "func_call"]
    names = [call.funcname[-1].string.sval for call in calls if call.funcname]
    return any(name not in _NO_EFFECT for name in names)
