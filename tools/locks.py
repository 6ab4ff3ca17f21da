"""Ask PostgreSQL 15 to 18 what every form of statement locks, rewrites and reads, and write it down in plan/locks.json.

    python tools/locks.py                 # ask all versions and write the table (`make docs` then writes its page)
    python tools/locks.py --check         # the same, but only compare; fails on a difference (--major 18: for one version)
    python tools/locks.py --update REGEX  # ask again only for the lines that match
    python tools/locks.py --squawk        # what squawk says of the same statements, beside it

The statements are in tools/locks/*.sql, the tables they run on in world.toml. The key of a statement is what `plan.forms` takes it for, so
that measurement and look-up cannot part. Statements of one key must have done the same: if not, `forms` overlooks something, and that is an
error here.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from locks_measure import Refused, Seen, measure
from locks_squawk import compare
from locks_types import pairs
from locks_world import World, open_world, statements

from pgcharter.names import ObjectId
from pgcharter.plan import forms
from pgcharter.plan.scope import UNKNOWN, Form

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "src" / "pgcharter" / "plan" / "locks.json"
MAJORS = (15, 16, 17, 18)
_FUNCTIONS = """SELECT proname, max(CASE provolatile WHEN 'i' THEN 1 WHEN 's' THEN 2 ELSE 3 END) FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND proname !~ '(in|out|recv|send|sel|joinsel|handler)$' GROUP BY 1 ORDER BY 1"""
_VOLATILITY = {1: "immutable", 2: "stable", 3: "volatile"}

Entry = dict[str, Any]
"""What a form did: `locks` (mode by role, 0 where the role was there and nothing was locked), `rewrites`, `scans`, `transactional`."""


@dataclass
class Account:
    """What one major version has shown."""

    major: int
    entries: dict[str, Entry] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    """The first statement of each key."""
    problems: list[str] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Refusals by line of the statements' file."""
    accepted: set[str] = field(default_factory=set)
    functions: dict[str, str] = field(default_factory=dict)
    rows: dict[ObjectId, int] = field(default_factory=dict)
    empty: dict[str, set[str]] = field(default_factory=dict)
    """Roles, by key, that no table with rows has played: whether those are read cannot be seen."""

    def note(self, sql: str, found: tuple[Form, ...], seen: Seen) -> None:
        """Take down what a statement did under the most particular of its forms."""
        form = found[-1]
        if any(UNKNOWN in f.key for f in found):
            self.problems.append(f"{self.major}: {sql}: is not recognised: {[f.key for f in found]}")
            return
        entry = _entry(form, seen)
        empty = {role for role, ids in form.roles.items() if all(self.rows.get(i, 1) == 0 for i in ids) or _joined(form.key, role)}
        for relation in {*seen.locks, *seen.rewrites, *seen.scans} - {i for ids in form.roles.values() for i in ids}:
            self.problems.append(f"{self.major}: {sql}: {relation} has no role in {form.key!r} {seen.locks.get(relation)!r}")
        if form.key not in self.entries:
            self.entries[form.key], self.first[form.key], self.empty[form.key] = entry, sql, empty
        elif difference := _join(self.entries[form.key], entry, empty | self.empty[form.key]):
            self.problems.append(f"{self.major}: {form.key!r} is too coarse ({difference}): {self.first[form.key]} / {sql}")


def _entry(form: Form, seen: Seen) -> Entry:
    """What was seen, by role."""

    def having(relations: Iterable[ObjectId]) -> list[str]:
        held = set(relations)
        return sorted(role for role, ids in form.roles.items() if held.intersection(ids))

    locks = {role: max((int(seen.locks.get(i, 0)) for i in ids), default=0) for role, ids in sorted(form.roles.items())}
    entry: Entry = {"locks": locks}
    if rewrites := having(seen.rewrites):
        entry["rewrites"] = rewrites
    if scans := [role for role in having(seen.scans) if not _planned(form.key, role)]:
        entry["scans"] = scans
    if not seen.transactional:
        entry["transactional"] = False
    return entry


def _planned(key: str, role: str) -> bool:
    """Whether the planner decides how something is read: then what it did with a hundred rows says nothing."""
    return role.startswith("source") or " of source" in role or key.split()[0] in ("insert", "update", "delete", "merge", "select", "copy")


def _joined(key: str, role: str) -> bool:
    """Whether a query between two tables checks a foreign key: of the table referred to it may read an index only.

    That is for the planner to say, from the values there are; so one statement that has read the table is enough for all of its form.
    """
    if key.startswith("alter table detach partition, referenced"):
        return True
    return "foreign key" in key and ("referenced" in role or "under foreign key" in key)


def _join(known: Entry, new: Entry, empty: set[str]) -> str:
    """Add roles that were not there before; what differs in those that were is returned in words.

    ACCESS SHARE or nothing is no difference: the planner of a query that checks a constraint takes it on indexes as it likes.
    """
    both = set(known["locks"]) & set(new["locks"])
    said = [
        f"{role}: lock {known['locks'][role]} or {new['locks'][role]}"
        for role in sorted(both)
        if _differ(known["locks"][role], new["locks"][role])
    ]
    for what in ("rewrites", "scans"):
        a, b = set(known.get(what, ())), set(new.get(what, ()))
        said += [f"{role}: {what} or not" for role in sorted((a ^ b) & both - (empty if what == "scans" else set()))]
        if a | b:
            known[what] = sorted(a | b)
    if known.get("transactional", True) != new.get("transactional", True):
        said.append("allowed in a block or not")
    known["locks"] = dict(sorted({**known["locks"], **{r: max(m, known["locks"].get(r, 0)) for r, m in new["locks"].items()}}.items()))
    return "; ".join(said)


def _differ(one: int, other: int) -> bool:
    return one != other and max(one, other) > 1


def ask(major: int, only: str = "") -> Account:
    """Try every statement (those whose line matches `only`) on a server of `major`."""
    with open_world(major) as world:
        return ask_in(world, only)


def ask_in(world: World, only: str = "") -> Account:
    """The same in a world that is there."""
    account = Account(world.major)
    with world.connect() as conn:
        account.rows = {i: world.rows.get(oid, 0) for oid, i in world.relations.items() if i.kind in ("table", "materialized view")}
        account.functions = {name: _VOLATILITY[worst] for name, worst in conn.execute(_FUNCTIONS).fetchall()}
        for line, tried in groupby((pair for pair in statements() if re.search(only, pair[0])), itemgetter(0)):
            with world.connect() as fresh:  # a session that remembers a partition's bound does not ask its parent again
                for _, statement in tried:
                    _try(account, world, fresh, line, statement)
        if not only:
            for zone, statement in pairs():
                conn.execute("SELECT set_config('TimeZone', %s, false)", [zone])
                _try(account, world, conn, "", statement, zone)
    return account


def _try(account: Account, world: World, conn: Any, line: str, statement: Any, zone: str = "UTC") -> None:
    found = forms.classify(statement, world.catalog, timezone=zone)
    try:
        seen = measure(world, conn, statement.text, found[-1].roles)
    except Refused as why:
        account.refused.setdefault(line, []).append(f"{statement.text}: {why}")
        return
    account.accepted.add(line)
    account.note(statement.text, found, seen)


def merged(accounts: list[Account]) -> dict[str, Any]:
    """One table of all versions; outcomes that are equal are written once."""
    numbers: dict[str, int] = {}
    outcomes: list[Entry] = []
    found: dict[str, int | list[int | None]] = {}
    for key in sorted({key for a in accounts for key in a.entries}):
        row: list[int | None] = []
        for account in accounts:
            entry = account.entries.get(key)
            text = json.dumps(entry, sort_keys=True)
            if entry is not None and text not in numbers:
                numbers[text] = len(outcomes)
                outcomes.append(entry)
            row.append(None if entry is None else numbers[text])
        found[key] = row[0] if len(set(row)) == 1 and row[0] is not None else row
    return {"majors": [a.major for a in accounts], "outcomes": outcomes, "forms": found, "functions": _functions(accounts)}


def _functions(accounts: list[Account]) -> dict[str, str]:
    worst: dict[str, str] = {}
    order = list(_VOLATILITY.values())
    for account in accounts:
        for name, kind in account.functions.items():
            worst[name] = max(kind, worst.get(name, kind), key=order.index)
    return {kind: " ".join(n for n, k in sorted(worst.items()) if k == kind) for kind in order}


def written(table: Mapping[str, Any]) -> str:
    """The table as text, one outcome and one form to a line."""

    def lines(items: Iterator[str]) -> str:
        return ",\n".join(items)

    def plain(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    return (
        f'{{"majors":{plain(table["majors"])},\n"functions":{{\n'
        + lines(f"{plain(k)}:{plain(v)}" for k, v in table["functions"].items())
        + '},\n"outcomes":[\n'
        + lines(plain(o) for o in table["outcomes"])
        + '],\n"forms":{\n'
        + lines(f"{plain(k)}:{plain(v)}" for k, v in table["forms"].items())
        + "}}\n"
    )


def main(arguments: list[str]) -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only; fail when the table differs from what servers say")
    parser.add_argument("--squawk", action="store_true", help="print where squawk says otherwise, write down how often it agrees")
    parser.add_argument("--only", default="", metavar="REGEX", help="try only lines that match, write nothing, print what they did")
    parser.add_argument("--update", default="", metavar="REGEX", help="try only lines that match and put what they show into the table")
    parser.add_argument("--major", type=int, action="append", help="ask only this version; write nothing, print what it did")
    given = parser.parse_args(arguments)
    if given.squawk:
        return compare(given.major or MAJORS, keep=not given.major)
    if not TABLE.exists():
        TABLE.write_text('{"majors":[15],"functions":{},"outcomes":[],"forms":{}}', encoding="utf-8")
    if not json.loads(TABLE.read_text(encoding="utf-8"))["functions"]:
        TABLE.write_text(written(merged([ask(major, "CREATE SCHEMA") for major in MAJORS])), encoding="utf-8")
    accounts = [ask(major, given.only or given.update) for major in given.major or MAJORS]
    problems = [p for a in accounts for p in a.problems] + ([] if given.major else _dead(accounts))
    for problem in problems:
        print(problem, file=sys.stderr)
    if given.check and not given.only:
        return _differs(merged(accounts)) or bool(problems)
    if given.only or given.major:
        _show(accounts)
        return bool(problems)
    text = written(merged([_renewed(a) for a in accounts] if given.update else accounts))
    TABLE.write_text(text, encoding="utf-8")
    table = json.loads(text)
    print(f"{len(table['forms'])} forms, {len(table['outcomes'])} outcomes, {len(text) // 1024} kB")
    return bool(problems)


def _renewed(account: Account) -> Account:
    """What the table holds of a version, with what was seen now in its place."""
    known = json.loads(TABLE.read_text(encoding="utf-8"))
    number = known["majors"].index(account.major)
    entries = {key: dict(known["outcomes"][n]) for key in known["forms"] if (n := row(known, key)[number]) is not None}
    for key, new in account.entries.items():
        old = entries.get(key, {"locks": {}})
        entries[key] = {**new, "locks": dict(sorted({**old["locks"], **new["locks"]}.items()))}
        for what in ("rewrites", "scans"):
            if both := sorted({*new.get(what, ()), *(r for r in old.get(what, ()) if r not in new["locks"])}):
                entries[key][what] = both
    return Account(account.major, entries, functions=account.functions)


def _dead(accounts: list[Account]) -> list[str]:
    """Statements that no version accepts for any table teach nothing: they are mistakes in the list."""
    accepted = {line for a in accounts for line in a.accepted}
    refused = {line: why for a in accounts for line, why in a.refused.items() if line}
    return [f"no version accepts {line}: {why[0]}" for line, why in refused.items() if line not in accepted]


def _show(accounts: list[Account]) -> None:
    for account in accounts:
        for key, entry in sorted(account.entries.items()):
            print(account.major, key, {**entry, "locks": {r: m for r, m in entry["locks"].items() if m}})


def _differs(new: Mapping[str, Any]) -> bool:
    """Print in what the table differs from `new`, as far as that goes."""
    text = TABLE.read_text(encoding="utf-8")
    known = json.loads(text)
    differing = [
        f"{major}: {key}: {a} is now {b}"
        for key in sorted({*known["forms"], *new["forms"]})
        for major in new["majors"]
        if (a := _entry_of(known, key, major)) != (b := _entry_of(new, key, major))
    ]
    stale = bool(differing) or (known["majors"] == new["majors"] and text != written(new))
    if stale:
        print(*differing, f"{TABLE.name} is stale: python tools/locks.py writes it anew", sep="\n", file=sys.stderr)
    return stale


def _entry_of(table: Mapping[str, Any], key: str, major: int) -> Entry | None:
    number = row(table, key)[table["majors"].index(major)]
    return None if number is None else table["outcomes"][number]


def row(table: Mapping[str, Any], key: str) -> list[int | None]:
    """Numbers of a key's outcomes, by version."""
    row = table["forms"].get(key)
    return row if isinstance(row, list) else [row] * len(table["majors"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
