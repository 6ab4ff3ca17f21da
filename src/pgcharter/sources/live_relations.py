"""Tables, views, their parts, sequences and extended statistics, out of a live server's catalogs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import TypeVar

from psycopg.rows import TupleRow

from pgcharter.catalog.model import (
    Column,
    Constraint,
    ExtendedStatistics,
    Index,
    IndexKey,
    Policy,
    RewriteRule,
    Sequence,
    Table,
    Trigger,
    View,
)
from pgcharter.names import ObjectId, quote
from pgcharter.sources.live_shared import (
    ENABLED,
    PG_CLASS,
    PG_CONSTRAINT,
    PG_POLICY,
    PG_REWRITE,
    PG_STATISTIC_EXT,
    PG_TRIGGER,
    Shared,
    acl,
    options,
    qualified,
)

_FILE = "live_relations"
_KINDS = {"r": "table", "p": "partitioned table", "f": "foreign table", "v": "view", "m": "materialized view"}
_IDENTITY = {"a": "always", "d": "by default"}
_GENERATED = {"s": "stored", "v": "virtual"}
_STORAGE = {"p": "plain", "e": "external", "x": "extended", "m": "main"}
_COMPRESSION = {"p": "pglz", "l": "lz4"}
_CONSTRAINTS = {
    "p": "primary key", "u": "unique", "f": "foreign key", "c": "check", "x": "exclude", "n": "not null", "t": "trigger",
}  # fmt: skip
_ACTIONS = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
_MATCH = {"s": "simple", "f": "full", "p": "partial"}
_REPLICA_IDENTITY = {"d": "default", "n": "nothing", "f": "full", "i": "index"}
_STRATEGY = {"r": "range", "l": "list", "h": "hash"}
_COMMANDS = {"*": "all", "r": "select", "a": "insert", "w": "update", "d": "delete"}
_RULE_EVENTS = {"1": "select", "2": "update", "3": "insert", "4": "delete"}
_TRIGGER_EVENTS = ((4, "insert"), (16, "update"), (8, "delete"), (32, "truncate"))
_STATISTICS = {"d": "ndistinct", "f": "dependencies", "m": "mcv", "e": "expressions"}
_WHEN = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'| WHEN \(|\) EXECUTE FUNCTION ')

_quoted = lru_cache(4096)(quote)
_position = attrgetter("position")
_name = attrgetter("name")
_schema_and_name = attrgetter("schema", "name")

_Named = TypeVar("_Named", Constraint, Index, Trigger, Policy, RewriteRule)


def _numbers(vector: str) -> list[int]:
    return [int(n) for n in vector.split()]


def _sorted(items: Iterable[_Named]) -> tuple[_Named, ...]:
    return tuple(sorted(items, key=_name))


@dataclass
class Relations:
    """Reads relations with all their parts. Ask `tables()` and `views()`; the rest comes along."""

    shared: Shared

    @cached_property
    def rows(self) -> list[TupleRow]:
        """The relations themselves."""
        rows = self.shared.rows(_FILE, "relations")
        for row in rows:
            kind = "table" if row[3] in "rpf" else _KINDS[row[3]]
            address = ObjectId(kind, self.shared.schema[row[1]], row[2])
            self.shared.addresses[PG_CLASS, row[0]] = address
            self.shared.addresses[1247, row[24]] = address
        return rows

    @cached_property
    def columns(self) -> Mapping[int, list[Column]]:
        """Columns in order by oid of their relation, attributes of composite types included."""
        types, comments, collations = self.shared.types, self.shared.comments, self.shared.collations
        found: dict[int, list[Column]] = {}
        names = self.shared.column_names
        for (
            relation, number, name, type_, modifier, not_null, default, identity, generated, collation, own_collation,
            storage, compression, statistics, settings, foreign, inherited, rights,
        ) in self.shared.rows(_FILE, "columns"):  # fmt: skip
            columns = found.get(relation)
            if columns is None:
                columns = found[relation] = []
                names[relation] = {}
            names[relation][number] = name
            if collation not in (0, 100):
                self._collation[relation, number] = collation
            columns.append(
                Column(
                    name,
                    number,
                    types[type_, modifier],
                    not_null,
                    default or "",
                    _IDENTITY.get(identity, ""),
                    _GENERATED.get(generated, ""),
                    collations.get(collation, "") if own_collation and collation else "",
                    _STORAGE[storage] if storage else "",
                    _COMPRESSION.get(compression, ""),
                    statistics,
                    options([*(settings or ()), *(foreign or ())]) if settings or foreign else (),
                    inherited,
                    acl(rights) if rights is not None else None,
                    comments.get((PG_CLASS, relation, number), ""),
                )
            )
        for columns in found.values():
            columns.sort(key=_position)
        return found

    @cached_property
    def _collation(self) -> dict[tuple[int, int], int]:
        return {}

    @cached_property
    def _inherited(self) -> Mapping[int, list[int]]:
        parents: dict[int, list[int]] = defaultdict(list)
        for child, parent in self.shared.rows(_FILE, "inheritance"):
            parents[child].append(parent)
        return parents

    @cached_property
    def _index_rows(self) -> list[TupleRow]:
        rows = self.shared.rows(_FILE, "indexes")
        for row in rows:
            self.shared.addresses[PG_CLASS, row[0]] = ObjectId("index", self.shared.schema[row[2]], row[3])
        return rows

    @cached_property
    def indexes(self) -> Mapping[int, list[Index]]:
        """Indexes by oid of their relation."""
        classes = {oid: qualified(schema, name) for oid, schema, name in self.shared.rows(_FILE, "operator_classes")}
        backing = {row[12]: row[3] for row in self._constraint_rows if row[4] in "pux"}
        relation_name = {row[0]: row[2] for row in self.rows}
        found: dict[int, list[Index]] = defaultdict(list)
        for row in self._index_rows:
            found[row[1]].append(self._index(row, classes, backing.get(row[0], ""), relation_name.get(row[1], "")))
        return found

    def _index(self, row: TupleRow, classes: Mapping[int, str], constraint: str, table: str) -> Index:
        (
            oid, relation, schema, name, method, keys, numbers, class_oids, collation_oids, flags, unique, primary, exclusion,
            nulls_not_distinct, valid, ready, replica, clustered, partitioned, tablespace, storage, predicate, expressions, definition,
            option_numbers, option_texts, targets,
        ) = row  # fmt: skip
        names = self.shared.column_names.get(relation, {})
        number_list = _numbers(numbers)
        rest = iter(expressions or ())
        class_options = dict(zip(option_numbers or (), option_texts or (), strict=True))
        target = dict(zip(option_numbers or (), targets or (), strict=True))
        collations = self.shared.collations
        parts: list[IndexKey] = []
        for position, (number, class_, collation, flag) in enumerate(
            zip(number_list[:keys], _numbers(class_oids), _numbers(collation_oids), _numbers(flags), strict=True), start=1
        ):
            usual = self._collation.get((relation, number), 100)
            parts.append(
                IndexKey(
                    names.get(number, "") if number else "",
                    "" if number else next(rest, ""),
                    classes.get(class_, ""),
                    collations.get(collation, "") if collation and collation != usual else "",
                    bool(flag & 1),
                    bool(flag & 2),
                    options(class_options[position].split(",")) if class_options.get(position) else (),
                    target.get(position),
                )
            )
        parents = self._inherited.get(oid)
        return Index(
            schema=self.shared.schema[schema],
            name=name,
            table=table,
            method=method,
            keys=tuple(parts),
            include=tuple([names.get(n, "") for n in number_list[keys:]]),
            predicate=predicate or "",
            unique=unique,
            primary=primary,
            exclusion=exclusion,
            nulls_not_distinct=nulls_not_distinct,
            valid=valid,
            ready=ready,
            constraint=constraint,
            replica_identity=replica,
            clustered=clustered,
            partitioned=partitioned,
            parent=self.shared.addresses.get((PG_CLASS, parents[0])) if parents else None,
            tablespace=tablespace or "",
            options=options(storage),
            definition=self.shared.defined(definition, self.shared.addresses[PG_CLASS, oid]),
            comment=self.shared.comment(PG_CLASS, oid),
        )

    @cached_property
    def _constraint_rows(self) -> list[TupleRow]:
        return self.shared.rows(_FILE, "constraints")

    @cached_property
    def constraints(self) -> Mapping[tuple[int, int], list[Constraint]]:
        """Constraints by (relation oid, domain oid), one of them 0."""
        by_oid = {row[0]: row for row in self._constraint_rows if row[4] == "f"}
        nulls = {row[0]: row[13] for row in self._index_rows}
        found: dict[tuple[int, int], list[Constraint]] = defaultdict(list)
        for row in self._constraint_rows:
            kind = row[4]
            if kind == "n":
                found[row[1], row[2]].append(self._not_null(row))
            elif kind != "f" or not self._is_shadow(row, by_oid):
                found[row[1], row[2]].append(self._constraint(row, nulls))
            if kind == "c":
                owner = self.shared.addresses.get((PG_CLASS, row[1]))
                if owner:
                    self.shared.addresses[PG_CONSTRAINT, row[0]] = ObjectId("constraint", owner.schema, owner.name, row[3])
        return found

    @staticmethod
    def _is_shadow(row: TupleRow, by_oid: Mapping[int, TupleRow]) -> bool:
        """True for the copies that a foreign key to a partitioned table keeps for each of its partitions."""
        root = row
        while root[19] in by_oid:
            root = by_oid[root[19]]
        return bool(root[6] != row[6])

    def _not_null(self, row: TupleRow) -> Constraint:
        """A named not-null constraint; there is one for nearly every column since 18, so its definition is not asked of the server."""
        relation, number = row[1], row[5]
        columns = (self.shared.column_names[relation][number[0]],) if relation else ()
        definition = f"NOT NULL {_quoted(columns[0])}" if columns else "NOT NULL"
        if row[17]:
            definition += " NO INHERIT"
        if not row[15]:
            definition += " NOT VALID"
        return Constraint(
            row[3],
            "not null",
            columns,
            definition,
            validated=row[15],
            no_inherit=row[17],
            inherited=row[18],
            comment=self.shared.comments.get((PG_CONSTRAINT, row[0], 0), ""),
        )

    def _constraint(self, row: TupleRow, nulls: Mapping[int, bool]) -> Constraint:
        (
            oid, relation, _, name, kind, keys, target, target_keys, on_delete, on_update, match, delete_keys, index, deferrable,
            deferred, validated, enforced, no_inherit, inherited, _, temporal, definition, expression,
        ) = row  # fmt: skip
        names = self.shared.column_names.get(relation, {})
        foreign = kind == "f"
        target_names = self.shared.column_names.get(target, {}) if foreign else {}
        index_address = self.shared.addresses.get((PG_CLASS, index)) if index else None
        return Constraint(
            name,
            _CONSTRAINTS[kind],
            tuple([names.get(n, "") for n in keys]) if keys else (),
            definition or "",
            expression or "",
            self.shared.addresses.get((PG_CLASS, target)) if foreign else None,
            tuple([target_names.get(n, "") for n in target_keys]) if foreign else (),
            _ACTIONS[on_delete] if foreign else "",
            _ACTIONS[on_update] if foreign else "",
            tuple([names.get(n, "") for n in delete_keys]) if delete_keys else (),
            _MATCH[match] if foreign else "",
            index_address.name if index_address else "",
            deferrable,
            deferred,
            validated,
            enforced,
            no_inherit and kind == "c",
            inherited,
            temporal,
            nulls.get(index, False) and kind == "u",
            self.shared.comments.get((PG_CONSTRAINT, oid, 0), ""),
        )

    @cached_property
    def triggers(self) -> Mapping[int, list[Trigger]]:
        """Triggers by oid of their relation."""
        found: dict[int, list[Trigger]] = defaultdict(list)
        for row in self.shared.rows(_FILE, "triggers"):
            (
                relation, oid, name, function_schema, function, flags, columns, arguments, enabled, constraint, deferrable, deferred,
                old_table, new_table, parent, definition,
            ) = row  # fmt: skip
            names = self.shared.column_names.get(relation, {})
            owner = self.shared.addresses.get((PG_CLASS, relation))
            if owner:
                self.shared.addresses[PG_TRIGGER, oid] = ObjectId("trigger", owner.schema, owner.name, name)
            found[relation].append(
                Trigger(
                    name=name,
                    function=ObjectId("function", function_schema, f"{function}()"),
                    timing="before" if flags & 2 else "instead of" if flags & 64 else "after",
                    events=tuple(word for bit, word in _TRIGGER_EVENTS if flags & bit),
                    level="row" if flags & 1 else "statement",
                    update_columns=tuple(names.get(n, "") for n in _numbers(columns)),
                    condition=_condition(definition or ""),
                    arguments=tuple(a.decode("utf-8", "replace") for a in arguments.split(b"\0")[:-1]),
                    enabled=ENABLED[enabled],
                    constraint=constraint,
                    deferrable=deferrable,
                    deferred=deferred,
                    old_table=old_table or "",
                    new_table=new_table or "",
                    parent=parent,
                    definition=definition or "",
                    comment=self.shared.comment(PG_TRIGGER, oid),
                )
            )
        return found

    @cached_property
    def policies(self) -> Mapping[int, list[Policy]]:
        """Row policies by oid of their table."""
        found: dict[int, list[Policy]] = defaultdict(list)
        for relation, oid, name, command, permissive, roles, using, check in self.shared.rows(_FILE, "policies"):
            owner = self.shared.addresses.get((PG_CLASS, relation))
            if owner:
                self.shared.addresses[PG_POLICY, oid] = ObjectId("policy", owner.schema, owner.name, name)
            names = tuple(sorted(self.shared.owner(r) if r else "public" for r in roles))
            found[relation].append(
                Policy(name, _COMMANDS[command], permissive, names, using or "", check or "", self.shared.comment(PG_POLICY, oid))
            )
        return found

    @cached_property
    def rules(self) -> Mapping[int, list[RewriteRule]]:
        """Rules by oid of their relation."""
        found: dict[int, list[RewriteRule]] = defaultdict(list)
        for relation, oid, name, event, instead, enabled, definition in self.shared.rows(_FILE, "rules"):
            owner = self.shared.addresses.get((PG_CLASS, relation))
            if owner:
                self.shared.addresses[PG_REWRITE, oid] = ObjectId("rule", owner.schema, owner.name, name)
            comment = self.shared.comment(PG_REWRITE, oid)
            found[relation].append(RewriteRule(name, _RULE_EVENTS[event], instead, ENABLED[enabled], definition or "", comment))
        return found

    def tables(self) -> tuple[Table, ...]:
        """Every table with its parts."""
        self.rows, self.columns, self._index_rows  # noqa: B018
        return tuple(sorted((self._table(row) for row in self.rows if row[3] in "rpf"), key=_schema_and_name))

    def _table(self, row: TupleRow) -> Table:
        (
            oid, schema, name, kind, persistence, owner, rights, storage, toast, row_security, force, identity, _, tablespace, method,
            of_type, server, foreign, strategy, part_numbers, part_key, bound, _, is_partition, _,
        ) = row  # fmt: skip
        names = self.shared.column_names.get(oid, {})
        parents = [self.shared.addresses[PG_CLASS, p] for p in self._inherited.get(oid, ()) if (PG_CLASS, p) in self.shared.addresses]
        settings = [*(storage or ()), *(foreign or ()), *(f"toast.{o}" for o in toast or ())]
        return Table(
            schema=self.shared.schema[schema],
            name=name,
            kind=_KINDS[kind],
            columns=tuple(self.columns.get(oid, ())),
            constraints=_sorted(self.constraints.get((oid, 0), ())),
            indexes=_sorted(self.indexes.get(oid, ())),
            triggers=_sorted(self.triggers.get(oid, ())),
            policies=_sorted(self.policies.get(oid, ())),
            rules=_sorted(self.rules.get(oid, ())),
            unlogged=persistence == "u",
            row_security=row_security,
            force_row_security=force,
            replica_identity=_REPLICA_IDENTITY[identity] if kind != "f" else "default",
            partition_strategy=_STRATEGY[strategy] if strategy else "",
            partition_key=part_key or "",
            partition_columns=tuple(names.get(n, "") for n in _numbers(part_numbers)) if part_numbers else (),
            partition_of=parents[0] if is_partition and parents else None,
            partition_bound=bound or "",
            inherits=() if is_partition else tuple(parents),
            of_type=of_type or "",
            server=server or "",
            access_method=method or "",
            tablespace=tablespace or "",
            options=options(settings),
            owner=self.shared.owner(owner),
            acl=acl(rights),
            **self.shared.about(PG_CLASS, oid),
        )

    def views(self) -> tuple[View, ...]:
        """Every view and materialized view with its parts."""
        return tuple(sorted((self._view(row) for row in self.rows if row[3] in "vm"), key=_schema_and_name))

    def _view(self, row: TupleRow) -> View:
        oid, schema, name, kind, _, owner, rights, storage, _, _, _, _, populated, tablespace, method, *_ = row
        settings = dict(o.partition("=")[::2] for o in storage or ())
        about = self.shared.about(PG_CLASS, oid)
        return View(
            schema=self.shared.schema[schema],
            name=name,
            kind=_KINDS[kind],
            columns=tuple(self.columns.get(oid, ())),
            definition=self.shared.defined(row[22], self.shared.addresses[PG_CLASS, oid], about["extension"]).strip(),
            security_invoker=_on(settings.get("security_invoker")),
            security_barrier=_on(settings.get("security_barrier")),
            check_option=settings.get("check_option", ""),
            options=options([*(storage or ()), *([f"access_method={method}"] if method else ())]),
            populated=populated,
            indexes=_sorted(self.indexes.get(oid, ())),
            triggers=_sorted(self.triggers.get(oid, ())),
            rules=_sorted(self.rules.get(oid, ())),
            tablespace=tablespace or "",
            owner=self.shared.owner(owner),
            acl=acl(rights),
            **about,
        )

    def sequences(self) -> tuple[Sequence, ...]:
        """Every sequence."""
        found: list[Sequence] = []
        for row in self.shared.rows(_FILE, "sequences"):
            oid, schema, name, type_, start, increment, low, high, cache, cycle, table, number, identity, unlogged, owner, rights = row
            holder = self.shared.addresses.get((PG_CLASS, table)) if table else None
            column = self.shared.column_names.get(table, {}).get(number, "") if table else ""
            sequence = Sequence(
                schema=self.shared.schema[schema],
                name=name,
                type=type_,
                start=start,
                increment=increment,
                minimum=low,
                maximum=high,
                cache=cache,
                cycle=cycle,
                owned_by=ObjectId("column", holder.schema, holder.name, column) if holder else None,
                identity=bool(identity),
                unlogged=unlogged,
                owner=self.shared.owner(owner),
                acl=acl(rights),
                **self.shared.about(PG_CLASS, oid),
            )
            self.shared.addresses[PG_CLASS, oid] = sequence.id
            found.append(sequence)
        return tuple(sorted(found, key=_schema_and_name))

    def statistics(self) -> tuple[ExtendedStatistics, ...]:
        """Every CREATE STATISTICS object."""
        found: list[ExtendedStatistics] = []
        for oid, schema, name, table, kinds, keys, target, owner, expressions, definition in self.shared.rows(_FILE, "statistics"):
            names = self.shared.column_names.get(table, {})
            item = ExtendedStatistics(
                schema=self.shared.schema[schema],
                name=name,
                table=self.shared.addresses[PG_CLASS, table],
                kinds=tuple(sorted(_STATISTICS.get(k, k) for k in kinds)),
                columns=tuple(names.get(n, "") for n in _numbers(keys)),
                expressions=tuple(expressions or ()),
                target=target,
                definition=definition or "",
                owner=self.shared.owner(owner),
                comment=self.shared.comment(PG_STATISTIC_EXT, oid),
            )
            self.shared.addresses[PG_STATISTIC_EXT, oid] = item.id
            found.append(item)
        return tuple(sorted(found, key=_schema_and_name))


def _on(value: str | None) -> bool:
    return value in ("true", "on", "yes", "1")


def _condition(definition: str) -> str:
    """The WHEN expression of a trigger definition; `pg_get_expr` cannot write one, since it speaks of two row versions."""
    start = -1
    for match in _WHEN.finditer(definition):
        if match[0] == " WHEN (" and start < 0:
            start = match.end()
        elif match[0] == ") EXECUTE FUNCTION ":
            return definition[start : match.start()] if start >= 0 else ""
    return ""
