"""Statements as written: what leaves no object in a catalog, and what should not have been written down at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pgcharter.findings import Finding, Place, Severity
from pgcharter.names import MAX_BYTES, quote
from pgcharter.rules import bodies
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.secrets import key_literals
from pgcharter.rules.tenancy import is_application_setting
from pgcharter.sqltext import Statement


def _label(node: Any, field: str) -> str:
    """The name of an enumeration's value, from the message itself, so that only `sqltext` imports the parser."""
    kind = node.DESCRIPTOR.fields_by_name[field].enum_type
    return str(kind.values_by_number[getattr(node, field)].name)


_WHO = re.compile(
    r"\b(?:tenants?|users?|accounts?|org|organi[sz]ation|customers?|clients?|company|companies|workspaces?|teams?|actor|roles?|uid|sub|jwt|"
    r"claims?|members?|owner|id)\b",
    re.IGNORECASE,
)


@rule("SQL01", "tenant-set-for-session", Severity.WARNING, needs="text")
def tenant_set_for_session(ctx: Context) -> Iterator[Finding]:
    """Who is asking is set for the session instead of the transaction.

    Why: a pooled connection outlives the request. `SET app.tenant_id = ...` stays, and the next request on the connection that forgets its
    own works with the rows of the last one.
    Instead: `SELECT set_config('app.tenant_id', $1, true)` or `SET LOCAL app.tenant_id = ...`, inside the transaction.
    Except: scripts on a connection of their own; say so with a comment.
    """
    for statement in ctx.of_kind("variable_set_stmt", "select_stmt"):
        name = _session_setting(statement)
        if name and _WHO.search(name.replace("_", " ")):
            yield ctx.finding(
                statement,
                f"{name} is set for the session: through a connection pool the next user works with it",
                hint=f"SET LOCAL {name} = ..., or set_config('{name}', ..., true), inside the transaction",
            )


def _session_setting(statement: Statement) -> str:
    """Name of the application setting that the statement makes for the session; empty when it makes none."""
    if statement.kind == "variable_set_stmt":
        node = statement.node
        made = not node.is_local and _label(node, "kind") == "VAR_SET_VALUE" and is_application_setting(node.name)
        return node.name if made else ""
    if "set_config" not in statement.text.lower():
        return ""
    for call in bodies.calls(statement.text, "set_config"):
        if len(call.arguments) == 3 and call.arguments[2].lower() in ("false", "'false'", "'f'"):
            found = re.fullmatch(r"'([^']+)'", call.arguments[0])
            if found and is_application_setting(found[1]):
                return found[1]
    return ""


@rule("SQL02", "password-in-sql", Severity.WARNING, needs="text")
def password_in_sql(ctx: Context) -> Iterator[Finding]:
    """A password written into CREATE ROLE, ALTER ROLE or CREATE USER MAPPING.

    Why: it is in the repository for ever, and in the server's log when the statement is logged.
    Instead: create the role without a password, then `\\password role` in psql; or pass a SCRAM verifier made by the client.
    Except: values of psql variables and SCRAM verifiers are not reported.
    """
    for statement in ctx.of_kind("create_role_stmt", "alter_role_stmt", "create_user_mapping_stmt", "alter_user_mapping_stmt"):
        secret = _password(statement)
        if secret and not secret.startswith(("SCRAM-SHA-256$", "md5")):
            yield ctx.finding(
                statement,
                f"the password of {_whose(statement)} is written into the statement: it stays in the repository and in the server's log",
                hint="\\password in psql sends only a verifier",
            )


def _password(statement: Statement) -> str:
    for option in statement.node.options:
        if option.def_elem.defname.lower() in ("password", "encrypted_password") and option.def_elem.arg.HasField("string"):
            return str(option.def_elem.arg.string.sval)
    return ""


def _whose(statement: Statement) -> str:
    node = statement.node
    if statement.kind == "create_role_stmt":
        return f"role {quote(node.role)}"
    if statement.kind == "alter_role_stmt":
        return f"role {quote(node.role.rolename)}"
    return f"{quote(node.user.rolename) if node.user.rolename else 'everybody'} at server {quote(node.servername)}"


@rule("SQL03", "key-in-statement", Severity.ERROR, needs="text")
def key_in_statement(ctx: Context) -> Iterator[Finding]:
    """A query that holds the key it encrypts or decrypts with.

    Why: statements reach the server's log, pg_stat_activity, pg_stat_statements and the repository; the key goes with them.
    Instead: encrypt in the application; at the least pass the key as a bound parameter (`pgp_sym_encrypt($1, $2)`).
    Except: test keys of a test database.
    """
    for statement in ctx.of_kind("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "do_stmt", "alter_table_stmt"):
        for name in sorted(set(key_literals(_do_body(statement)))):
            yield ctx.finding(
                statement,
                f"the key of {name}() is written into the statement: it reaches the repository and the server's log",
                hint="encrypt in the application, or pass the key as a bound parameter; and change this one",
                detail=name,
            )


def _do_body(statement: Statement) -> str:
    found = re.search(r"\$(\w*)\$(.*)\$\1\$", statement.text, re.DOTALL) if statement.kind == "do_stmt" else None
    return found[2] if found else statement.text


_CLASSES = {"OBJECT_TABLE": "TABLES", "OBJECT_SEQUENCE": "SEQUENCES", "OBJECT_FUNCTION": "FUNCTIONS", "OBJECT_ROUTINE": "ROUTINES"}


@rule("SQL04", "grant-on-all-is-a-snapshot", Severity.WARNING, needs="text")
def grant_on_all_is_a_snapshot(ctx: Context) -> Iterator[Finding]:
    """GRANT on all objects of a schema without default privileges.

    Why: `ON ALL TABLES` means the tables of this moment. The next table is not in it, and the first query on it fails in production.
    Instead: the same again as `ALTER DEFAULT PRIVILEGES FOR ROLE creator IN SCHEMA app GRANT SELECT ON TABLES TO reader`, for every
    role that creates objects.
    Except: a script that runs after every deployment. Grants to PUBLIC are no pattern to carry on, and are left out here.
    """
    declared = {key for s in ctx.of_kind("alter_default_privileges_stmt") for key in _declared(s.node)}
    for statement in ctx.of_kind("grant_stmt"):
        node = statement.node
        if not node.is_grant or _label(node, "targtype") != "ACL_TARGET_ALL_IN_SCHEMA":
            continue
        objects = _CLASSES.get(_label(node, "objtype"), "")
        missing = [
            (schema.string.sval, grantee.role_spec.rolename)
            for schema in node.objects
            for grantee in node.grantees
            if objects
            and grantee.role_spec.rolename
            and not {
                (schema.string.sval, objects, grantee.role_spec.rolename),
                ("", objects, grantee.role_spec.rolename),
            }
            & declared
        ]
        rights = ", ".join(p.access_priv.priv_name.upper() for p in node.privileges) or "ALL"
        if missing:
            fixes = [
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA {quote(schema)} GRANT {rights} ON {objects} TO {quote(role)}"
                for schema, role in missing
            ]
            roles = ", ".join(dict.fromkeys(quote(role) for _, role in missing))
            yield ctx.finding(
                statement,
                f"{roles} gets {rights} on the {objects.lower()} there are now, not on those made later",
                fix=fixes,
                hint="run it as, or FOR ROLE, every role that creates objects",
            )


def _declared(node: Any) -> Iterator[tuple[str, str, str]]:
    """Schema (empty: all), class of objects and grantee of default privileges."""
    schemas = [i.string.sval for o in node.options if o.def_elem.defname == "schemas" for i in o.def_elem.arg.list.items] or [""]
    objects = _CLASSES.get(_label(node.action, "objtype"), "")
    if node.action.is_grant:
        for schema in schemas:
            for grantee in node.action.grantees:
                yield schema, objects, grantee.role_spec.rolename


_OWNERS = bodies.any_of(("admin\\w*", "owner\\w*", "migrat\\w*", "dba", "superuser", "root", "deploy\\w*", "ddl"))


@rule("SQL05", "grant-all", Severity.INFO, needs="text")
def grant_all(ctx: Context) -> Iterator[Finding]:
    """GRANT ALL on tables or a database.

    Why: ALL includes TRUNCATE, which passes row security and row triggers, REFERENCES, TRIGGER and from PostgreSQL 17 MAINTAIN; on a
    database it includes CREATE. What it includes grows with the versions.
    Instead: name the rights: `GRANT SELECT, INSERT, UPDATE, DELETE ON ...`.
    Except: roles that own or administer by their name; schemas, functions and sequences.
    """
    for statement in ctx.of_kind("grant_stmt"):
        node = statement.node
        if not node.is_grant or node.privileges or _label(node, "objtype") not in ("OBJECT_TABLE", "OBJECT_DATABASE"):
            continue
        roles = [g.role_spec.rolename for g in node.grantees]
        plain = [r for r in roles if not _OWNERS.search(r.replace("_", " "))]
        if plain:
            names = ", ".join(quote(r) if r else "PUBLIC" for r in plain)
            on = "the database" if _label(node, "objtype") == "OBJECT_DATABASE" else "tables"
            extra = "CREATE" if on == "the database" else "TRUNCATE, REFERENCES and TRIGGER"
            yield ctx.finding(statement, f"{names} gets all rights on {on}, {extra} among them", hint="name the rights that are needed")


_LONG = re.compile(r"[^\W\d][\w$]{15,}|\"(?:[^\"]|\"\")*\"")


@rule("SQL06", "name-too-long", Severity.WARNING, needs="text")
def name_too_long(ctx: Context) -> Iterator[Finding]:
    """A name longer than 63 bytes.

    Why: PostgreSQL cuts it and goes on with a notice. Two long names that differ at the end become one; later statements with the full
    name work by accident, tools that compare names do not.
    Instead: a name of at most 63 bytes; letters outside ASCII count as two or more.
    Except: none.
    """
    for statement in ctx.statements:
        if statement.kind not in _NAMING or len(statement.text) <= MAX_BYTES:
            continue
        if not any(len(found.encode()) > MAX_BYTES for found in _LONG.findall(statement.text)):
            continue
        for found in _LONG.finditer(bodies.mask(statement.text)):
            name = bodies.unquoted(found.group())
            size = len(name.encode())
            if size > MAX_BYTES:
                kept = name.encode()[:MAX_BYTES].decode(errors="ignore")
                yield ctx.finding(
                    statement,
                    f"the name {quote(name)} has {size} bytes: PostgreSQL keeps only {quote(kept)}",
                    place=_inside(statement, found.start()),
                    detail=name,
                )


def _inside(statement: Statement, offset: int) -> Place:
    from pgcharter.sqltext import offset_place

    return offset_place(statement, offset + 1)


_NAMING = frozenset(
    """
    create_stmt index_stmt view_stmt create_function_stmt create_trig_stmt create_policy_stmt create_enum_stmt create_domain_stmt
    create_schema_stmt create_seq_stmt composite_type_stmt create_table_as_stmt alter_table_stmt rename_stmt create_role_stmt
    create_extension_stmt create_stats_stmt rule_stmt create_publication_stmt create_foreign_table_stmt
    """.split()  # noqa: SIM905
)


@rule("SQL07", "md5-authentication", Severity.WARNING, needs="text")
def md5_authentication(ctx: Context) -> Iterator[Finding]:
    """MD5 passwords, in SQL or in a configuration file beside it.

    Why: an MD5 hash is enough to log in and is guessed quickly. MD5 passwords are deprecated since PostgreSQL 18 and will be removed.
    Instead: `scram-sha-256`, in password_encryption, pg_hba.conf and PgBouncer's auth_type.
    Except: a note on how to leave MD5.
    """
    for statement in ctx.of_kind("create_role_stmt", "alter_role_stmt"):
        if re.match(r"md5[0-9a-f]{32}\Z", _password(statement)):
            yield ctx.finding(
                statement, f"{_whose(statement)} gets an MD5 hash as password: who has the hash can log in", hint="scram-sha-256"
            )
    for statement in ctx.of_kind("variable_set_stmt", "alter_system_stmt", "alter_database_set_stmt", "alter_role_set_stmt"):
        node = statement.node if statement.kind == "variable_set_stmt" else statement.node.setstmt
        if node.name == "password_encryption" and any(a.a_const.sval.sval.lower() == "md5" for a in node.args):
            yield ctx.finding(statement, "new passwords are stored as MD5, which is going to be refused", hint="scram-sha-256")
    for place, line in _configuration(ctx):
        if _MD5_LINE.match(line):
            yield ctx.finding(
                place,
                f"'{' '.join(line.split())}' accepts MD5 passwords, which are going to be refused",
                hint="scram-sha-256",
                detail=" ".join(line.split()),
            )


_MD5_LINE = re.compile(
    r"\s*(?:(?:auth_type|password_encryption)\s*[=:]\s*['\"]?md5['\"]?\s*(?:[#;].*)?|(?:local|host\w*)\s+\S+\s+\S+\s+(?:\S+\s+){0,2}md5\b.*)\Z",
    re.IGNORECASE,
)


def _configuration(ctx: Context) -> Iterator[tuple[Place, str]]:
    """Lines of blocks that are not SQL, with their places."""
    for block in ctx.reading.blocks:
        for number, line in enumerate(block.text.splitlines()):
            yield Place(block.place.file, block.place.line + number, 1), line


_AT_REST = re.compile(
    r"^\s*(?:#{1,6}\s|--|\*\*|/\*).*\b(?:encrypt\w*\s+(?:\w+\s+)?at[\s-]+rest|at[\s-]+rest\s+encrypt\w*|built-in encryption)\b",
    re.IGNORECASE,
)
_OTHER_TOPIC = re.compile(r"^#{1,6}\s+\S|\btransit\b|\btls\b|\bover the network\b|\bconnections?\b", re.IGNORECASE)
_SSL = re.compile(
    r"^\s*(?:--|#)?\s*ssl\s*=\s*'?(?:on|true|yes|1)'?\s*(?:[;#].*)?$|^\s*alter\s+system\s+set\s+ssl\s*(?:=|to)\s*'?on\b",
    re.IGNORECASE,
)
_NEAR = 20
"""Lines after the claim in which the setting belongs to it."""


@rule("SQL08", "tls-taken-for-encryption-at-rest", Severity.WARNING, needs="text")
def tls_taken_for_encryption_at_rest(ctx: Context) -> Iterator[Finding]:
    """`ssl = on` given as encryption at rest.

    Why: TLS protects data on the network. Files, backups and replicas stay readable, and an audit that believes otherwise is wrong.
    Instead: encrypted volumes and encrypted backups for data at rest; encryption by the application for single columns.
    Except: none; TLS under a heading of its own is right.
    """
    for file, text in _texts(ctx).items():
        if "at rest" not in text.lower() and "at-rest" not in text.lower() and "built-in encryption" not in text.lower():
            continue
        claimed = 0
        for number, line in enumerate(text.splitlines(), start=1):
            if _AT_REST.match(line):
                claimed = number
            elif claimed and _SSL.match(line) and number - claimed <= _NEAR:
                yield ctx.finding(
                    Place(file, number, 1),
                    "ssl = on is given as encryption at rest, but it protects the network only: files and backups stay readable",
                    hint="encrypted volumes and backups; say TLS under encryption in transit",
                )
                claimed = 0
            elif _OTHER_TOPIC.search(line):
                claimed = 0


def _texts(ctx: Context) -> Mapping[str, str]:
    """Full texts by file name; where the source kept none, those its statements stand in."""
    if ctx.reading.texts:
        return ctx.reading.texts
    return {s.place.file: s.source.text for s in ctx.statements if s.source is not None}


@rule("SQL09", "table-swapped-for-its-copy", Severity.ERROR, needs="text")
def table_swapped_for_its_copy(ctx: Context) -> Iterator[Finding]:
    """A table replaced by a copy made with LIKE or AS.

    Why: `LIKE ... INCLUDING ALL` copies neither foreign keys (to or from the table) nor triggers, grants, row security, replica
    identity and ownership of sequences, and what is written while rows are copied is lost. After the rename all of that is gone.
    Instead: change the table in place in small steps; where a copy is needed, a tool that captures changes and restores the rest.
    Except: archive and staging tables, which take nobody's place.
    """
    copies: dict[str, tuple[str, str]] = {}
    for statement in ctx.statements:
        if statement.kind == "create_stmt":
            for element in statement.node.table_elts:
                if element.HasField("table_like_clause"):
                    copies[statement.node.relation.relname] = (element.table_like_clause.relation.relname, "with LIKE: its")
        elif statement.kind == "create_table_as_stmt":
            chosen = [c.range_var.relname for c in statement.node.query.select_stmt.from_clause if c.HasField("range_var")]
            if chosen:
                copies[statement.node.into.rel.relname] = (chosen[0], "with AS: its keys, defaults, indexes,")
        elif statement.kind == "rename_stmt" and copies:
            node = statement.node
            made = copies.get(node.relation.relname)
            if made and _label(node, "rename_type") == "OBJECT_TABLE" and node.newname == made[0]:
                yield ctx.finding(
                    statement,
                    f"table {quote(made[0])} is replaced by a copy made {made[1]} foreign keys, triggers, grants, row security "
                    "and all rows written meanwhile are lost",
                    hint="change the table in place",
                )
