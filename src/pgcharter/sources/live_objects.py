"""Functions, types and everything else beside tables, out of a live server's catalogs."""

from __future__ import annotations

import re

from psycopg.rows import TupleRow

from pgcharter.catalog.model import (
    HIDDEN,
    Argument,
    Collation,
    Database,
    DefaultPrivilege,
    Dependency,
    EventTrigger,
    Extension,
    ForeignServer,
    Function,
    OtherObject,
    Publication,
    Schema,
    SecurityLabel,
    Subscription,
    UserType,
)
from pgcharter.findings import Gap
from pgcharter.names import ObjectId
from pgcharter.sources.live_relations import Relations
from pgcharter.sources.live_shared import (
    ENABLED,
    PG_CLASS,
    PG_COLLATION,
    PG_EVENT_TRIGGER,
    PG_EXTENSION,
    PG_FOREIGN_SERVER,
    PG_NAMESPACE,
    PG_PROC,
    PG_PUBLICATION,
    PG_SUBSCRIPTION,
    PG_TYPE,
    Shared,
    acl,
    qualified,
    word,
)

_FILE = "live_objects"
_FUNCTIONS = {"f": "function", "p": "procedure", "a": "aggregate", "w": "window function"}
_VOLATILITY = {"i": "immutable", "s": "stable", "v": "volatile"}
_PARALLEL = {"u": "unsafe", "r": "restricted", "s": "safe"}
_MODES = {"i": "in", "o": "out", "b": "inout", "v": "variadic", "t": "table"}
_TYPES = {"e": "enum", "d": "domain", "c": "composite", "r": "range", "b": "base", "p": "base"}
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin", "d": "default"}
_DEFAULT_OBJECTS = {"r": "tables", "S": "sequences", "f": "functions", "T": "types", "n": "schemas", "L": "large objects"}
_SECRET = re.compile(
    r"passw|secret|token|passphrase|credential|conninfo|(api|private|access|encryption|master|secret)_?key(?!_?(file|path|command))",
    re.IGNORECASE,
)
_HARMLESS = frozenset(("password_encryption", "ssl_passphrase_command_supports_reload", "scram_iterations"))


def without_secret(option: str) -> str:
    """`name=value` with the value left out when the name says that it may be a secret."""
    name, equals, _ = option.partition("=")
    return f"{name}={HIDDEN}" if equals and _SECRET.search(name) and name not in _HARMLESS else option


def hide_setting(name: str, value: str) -> str:
    """The value of a server setting, left out when the name says that it may be a secret."""
    return HIDDEN if value and _SECRET.search(name) and name not in _HARMLESS else value


def database(shared: Shared) -> Database:
    """The database that the connection is in."""
    ((_, name, owner, encoding, collate, ctype, provider, locale, rights, comment),) = shared.rows(_FILE, "database")
    settings = []
    for role, setting in shared.rows(_FILE, "database_settings"):
        settings.append(f"{shared.owner(role)}:{without_secret(setting)}" if role else without_secret(setting))
    provider = word(_PROVIDERS, provider)
    return Database(
        name=name,
        owner=shared.owner(owner),
        encoding=encoding,
        collation=(locale if provider != "libc" else collate) or collate,
        character_type=ctype,
        locale_provider=provider,
        acl=acl(rights),
        comment=comment or "",
        settings=tuple(sorted(settings)),
    )


def schemas(shared: Shared) -> tuple[Schema, ...]:
    """The user's schemas."""
    found = []
    for oid, name, owner, rights in shared.schemas:
        shared.addresses[PG_NAMESPACE, oid] = ObjectId("schema", "", name)
        found.append(Schema(name=name, owner=shared.owner(owner), acl=acl(rights), **shared.about(PG_NAMESPACE, oid)))
    return tuple(sorted(found, key=lambda s: s.name))


def extensions(shared: Shared) -> tuple[Extension, ...]:
    """Installed extensions."""
    found = []
    for oid, name, version, schema, owner, default, said, relocatable, requires in shared.rows(_FILE, "extensions"):
        shared.addresses[PG_EXTENSION, oid] = ObjectId("extension", "", name)
        comment = shared.comment(PG_EXTENSION, oid)
        needs = tuple(sorted(requires))
        by = shared.owner(owner)
        found.append(Extension(name, version, schema, default or "", by, comment, relocatable, needs, said or ""))
    return tuple(sorted(found, key=lambda e: e.name))


def functions(shared: Shared) -> tuple[Function, ...]:
    """Functions, procedures, aggregates and window functions."""
    found = [_function(shared, row) for row in shared.rows(_FILE, "functions")]
    return tuple(sorted(found, key=lambda f: (f.schema, f.name, f.identity, f.kind)))


def _function(shared: Shared, row: TupleRow) -> Function:
    (
        oid, schema, name, kind, inputs, all_types, modes, names, defaults, returns, language, volatility, parallel, leakproof, strict,
        definer, cost, rows, settings, support, body, definition, owner, rights, _,
    ) = row  # fmt: skip
    input_oids = [int(n) for n in inputs.split()]
    identity = ", ".join(shared.types[n, -1].sql for n in input_oids)
    if kind == "a" and not input_oids:
        identity = "*"
    oids = all_types or input_oids
    arguments = tuple(
        Argument(
            name=names[i] if names and i < len(names) else "",
            type=shared.types[type_, -1],
            mode=_MODES[modes[i]] if modes else "in",
            default=(defaults[i] or "") if defaults and i < len(defaults) else "",
        )
        for i, type_ in enumerate(oids)
    )
    about = shared.about(PG_PROC, oid)
    function = Function(
        schema=shared.schema[schema],
        name=name,
        identity=identity,
        kind=_FUNCTIONS[kind],
        arguments=arguments,
        returns=returns or "",
        language=language,
        volatility=_VOLATILITY[volatility],
        parallel=_PARALLEL[parallel],
        leakproof=leakproof,
        strict=strict,
        security_definer=definer,
        cost=cost,
        rows=rows,
        settings=tuple(settings or ()),
        support=support or "",
        body=body or "",
        definition=shared.defined(definition, ObjectId("function", shared.schema[schema], name), about["extension"]),
        owner=shared.owner(owner),
        acl=acl(rights),
        **about,
    )
    shared.addresses[PG_PROC, oid] = function.id
    return function


def types(shared: Shared, relations: Relations) -> tuple[UserType, ...]:
    """Enums, domains, composite types, ranges and base types."""
    found = [_type(shared, relations, row) for row in shared.rows(_FILE, "types")]
    return tuple(sorted(found, key=lambda t: (t.schema, t.name)))


def _type(shared: Shared, relations: Relations, row: TupleRow) -> UserType:
    (
        oid, schema, name, kind, relation, base, modifier, not_null, default, collation, labels, subtype, multirange_schema, multirange,
        range_collation, operator_class, canonical, difference, details, owner, rights, defined,
    ) = row  # fmt: skip
    extra = list(details or ())
    if operator_class:
        extra.append(f"subtype_opclass={operator_class}")
    if canonical:
        extra.append(f"canonical={canonical}")
    if difference:
        extra.append(f"subtype_diff={difference}")
    if kind == "p" or not defined:
        extra.append("shell")
    of_relation = PG_CLASS, relation
    comment = shared.comment(PG_TYPE, oid) or (shared.comments.get((*of_relation, 0), "") if relation else "")
    about = {**shared.about(PG_TYPE, oid), "comment": comment}
    made = UserType(
        schema=shared.schema[schema],
        name=name,
        kind=_TYPES[kind],
        labels=tuple(labels or ()),
        attributes=tuple(relations.columns.get(relation, ())) if kind == "c" else (),
        base=shared.types.get((base, modifier)) if kind == "d" else shared.types.get((subtype, -1)) if kind == "r" else None,
        not_null=not_null,
        default=default or "",
        constraints=tuple(sorted(relations.constraints.get((0, oid), ()), key=lambda c: c.name)),
        collation=shared.collations.get(collation or range_collation or 0, "") if collation or (range_collation or 100) != 100 else "",
        multirange=_multirange(shared.schema[schema], multirange_schema, multirange),
        options=tuple(sorted(extra)),
        owner=shared.owner(owner),
        acl=acl(rights),
        **about,
    )
    shared.addresses[PG_TYPE, oid] = made.id
    if relation:
        shared.addresses[PG_CLASS, relation] = made.id
    return made


def _multirange(schema: str, multirange_schema: str | None, multirange: str | None) -> str:
    return qualified(multirange_schema or schema, multirange) if multirange else ""


def event_triggers(shared: Shared) -> tuple[EventTrigger, ...]:
    """Event triggers."""
    found = []
    for oid, name, event, schema, function, tags, enabled, owner in shared.rows(_FILE, "event_triggers"):
        shared.addresses[PG_EVENT_TRIGGER, oid] = ObjectId("event trigger", "", name)
        found.append(
            EventTrigger(
                name=name,
                event=event,
                function=ObjectId("function", schema, f"{function}()"),
                tags=tuple(sorted(tags or ())),
                enabled=ENABLED[enabled],
                owner=shared.owner(owner),
                **shared.about(PG_EVENT_TRIGGER, oid),
            )
        )
    return tuple(sorted(found, key=lambda e: e.name))


def publications(shared: Shared) -> tuple[Publication, ...]:
    """Publications with their tables, column lists and row filters."""
    found = []
    for row in shared.rows(_FILE, "publications"):
        oid, name, everything, insert, update, delete, truncate, via_root, generated, tables, of_schemas, owner = row
        operations = (("insert", insert), ("update", update), ("delete", delete), ("truncate", truncate))
        shared.addresses[PG_PUBLICATION, oid] = ObjectId("publication", "", name)
        found.append(
            Publication(
                name=name,
                all_tables=everything,
                tables=tuple(sorted(tables)),
                schemas=tuple(sorted(of_schemas or ())),
                operations=tuple(word for word, on in operations if on),
                via_root=via_root,
                generated_columns={"s": "stored"}.get(generated or "", ""),
                owner=shared.owner(owner),
                comment=shared.comment(PG_PUBLICATION, oid),
            )
        )
    return tuple(sorted(found, key=lambda p: p.name))


def subscriptions(shared: Shared) -> tuple[Subscription, ...]:
    """Subscriptions, without their connection strings."""
    found = []
    for oid, name, enabled, of, slot, *settings, owner in shared.rows(_FILE, "subscriptions"):
        shared.addresses[PG_SUBSCRIPTION, oid] = ObjectId("subscription", "", name)
        comment = shared.comment(PG_SUBSCRIPTION, oid)
        known = tuple(sorted(s for s in settings if s))
        found.append(Subscription(name, enabled, tuple(sorted(of)), slot or "", known, shared.owner(owner), comment))
    return tuple(sorted(found, key=lambda s: s.name))


def foreign_servers(shared: Shared) -> tuple[ForeignServer, ...]:
    """Foreign servers; of user mappings only whose they are."""
    found = []
    for oid, name, wrapper, type_, version, settings, users, owner, rights in shared.rows(_FILE, "foreign_servers"):
        shared.addresses[PG_FOREIGN_SERVER, oid] = ObjectId("server", "", name)
        found.append(
            ForeignServer(
                name=name,
                wrapper=wrapper,
                type=type_ or "",
                version=version or "",
                options=tuple(sorted(without_secret(o) for o in settings or ())),
                users=tuple(sorted(users)),
                owner=shared.owner(owner),
                acl=acl(rights),
                comment=shared.comment(PG_FOREIGN_SERVER, oid),
            )
        )
    return tuple(sorted(found, key=lambda s: s.name))


def collations(shared: Shared) -> tuple[Collation, ...]:
    """The user's collations."""
    found = []
    for oid, schema, name, provider, locale, deterministic, owner in shared.collation_rows:
        if schema in ("pg_catalog", "information_schema") or schema.startswith("pg_"):
            continue
        shared.addresses[PG_COLLATION, oid] = ObjectId("collation", schema, name)
        about = shared.about(PG_COLLATION, oid)
        found.append(Collation(schema, name, word(_PROVIDERS, provider), locale or "", deterministic, shared.owner(owner), **about))
    return tuple(sorted(found, key=lambda c: (c.schema, c.name)))


def others(shared: Shared) -> tuple[OtherObject, ...]:
    """Casts, operators and the like."""
    found = []
    for catalog, oid, kind, schema, name, definition, owner, rights, settings in shared.rows(_FILE, "others"):
        shared.addresses[catalog, oid] = ObjectId(kind, schema, name)
        about = shared.about(catalog, oid)
        by = shared.owner(owner) if owner else ""
        hidden = tuple(sorted(without_secret(o) for o in settings or ()))
        found.append(OtherObject(kind, schema, name, definition or "", by, acl=acl(rights), options=hidden, **about))
    return tuple(sorted(found, key=lambda o: (o.kind, o.schema, o.name)))


def default_privileges(shared: Shared) -> tuple[DefaultPrivilege, ...]:
    """ALTER DEFAULT PRIVILEGES."""
    found = [
        DefaultPrivilege(shared.owner(role), schema or "", word(_DEFAULT_OBJECTS, kind), acl(rights) or ())
        for role, schema, kind, rights in shared.rows(_FILE, "default_privileges")
    ]
    return tuple(sorted(found))


def security_labels(shared: Shared) -> tuple[SecurityLabel, ...]:
    """Security labels of the objects that were read."""
    found = []
    for catalog, oid, number, provider, label in shared.rows(_FILE, "security_labels"):
        target = _address(shared, catalog, oid, number)
        if target:
            found.append(SecurityLabel(target, provider, label))
    return tuple(sorted(found))


def dependencies(shared: Shared) -> tuple[Dependency, ...]:
    """Who would break or go with whom, parts and their own relation excepted."""
    found: set[Dependency] = set()
    for catalog, oid, number, other_catalog, other, other_number in shared.rows("live_relations", "dependencies"):
        dependent = _address(shared, catalog, oid, number)
        referenced = _address(shared, other_catalog, other, other_number)
        if dependent and referenced and dependent != referenced and not _within(dependent, referenced):
            found.add(Dependency(dependent, referenced))
    return tuple(sorted(found, key=_by_addresses))


def _by_addresses(dependency: Dependency) -> tuple[str, ...]:
    """The order of `Dependency` itself, as one key made once instead of at every comparison."""
    a, b = dependency.dependent, dependency.referenced
    return a.kind, a.schema, a.name, a.part, b.kind, b.schema, b.name, b.part


def _within(dependent: ObjectId, referenced: ObjectId) -> bool:
    """True when a part depends on its own relation as a whole, which goes without saying."""
    return bool(dependent.part) and not referenced.part and (dependent.schema, dependent.name) == (referenced.schema, referenced.name)


def _address(shared: Shared, catalog: int, oid: int, number: int) -> ObjectId | None:
    target = shared.addresses.get((catalog, oid))
    if target is None or catalog != PG_CLASS or number == 0:
        return target
    name = shared.column_names.get(oid, {}).get(number)
    return ObjectId("column", target.schema, target.name, name) if name else None


def gap_of_version(server_version: int) -> tuple[Gap, ...]:
    """What must be said about servers outside 15 to 18."""
    major = server_version // 10000
    if major == 14:
        why = "PostgreSQL 14 is past its end of life and read without being tested: 15 to 18 are supported"
        return (Gap("features of version 14", why),)
    if major > 18:
        return (Gap(f"what is new in version {major}", f"PostgreSQL {major} is newer than this pgcharter knows: 15 to 18 are supported"),)
    return ()
