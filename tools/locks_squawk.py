"""The same statements before squawk: where it agrees with servers, is silent on a hazard, or cries at what harms nobody.

A hazard is here what holds a lock against writes for as long as the table is large: SHARE or stronger, with a rewrite or a scan. Rules of
squawk about style, types and old application code are set aside; those of `HAZARD` count.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from locks_world import HERE, open_world, statements

from pgcharter.catalog.effect import Mode
from pgcharter.plan import forms, oracle
from pgcharter.plan.oracle import Outcome

HAZARD = {
    "adding-field-with-default", "adding-foreign-key-constraint", "adding-not-nullable-field", "adding-required-field",
    "adding-serial-primary-key-field", "changing-column-type", "constraint-missing-not-valid", "disallowed-unique-constraint",
    "require-concurrent-index-creation", "require-concurrent-index-deletion", "require-concurrent-partition-detach",
    "require-concurrent-partition-attach", "require-concurrent-refresh-materialized-view", "require-concurrent-reindex",
    "ban-alter-domain-with-add-constraint", "ban-create-domain-with-constraint", "ban-truncate-cascade", "ban-uncommitted-transaction",
}  # fmt: skip
COUNTS = HERE / "squawk.json"
WORDS = ("agree", "silent on a hazard", "cries at what is harmless")
_SORTS = ("table", "partitioned table", "index", "view", "materialized view", "sequence")
_DDL = ("alter", "create", "drop", "reindex", "refresh", "cluster")


def hazard(key: str, outcome: Outcome) -> bool:
    """Whether others wait for as long as a table is large: writers of a table, readers of a materialized view.

    Sequences are always small, and what is done concurrently has let go of its strong locks before the long work begins.
    """
    if "concurrently" in key:
        return False
    strongest = max((mode for mode in outcome.locks.values() if mode is not None), default=Mode.ACCESS_SHARE)
    small = {"target"} if key.startswith("alter sequence") or "with no data" in key else set()
    work = {role for role in outcome.rewrites | outcome.scans if "sequence" not in role} - small
    return bool(work) and (strongest is Mode.ACCESS_EXCLUSIVE if key.endswith(" on materialized view") else strongest.stops_writes)


def compare(majors: Iterable[int], *, keep: bool) -> int:
    """Print agreement over one statement of each DDL form, and write down its counts if they are to be kept. Returns the exit code."""
    program = Path(sys.executable).with_name("squawk")
    if not program.exists() and not shutil.which("squawk"):
        print("squawk is not installed here: pip install squawk-cli", file=sys.stderr)
        return 3
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    counts = {str(major): _compared(str(program), major) for major in majors}
    if keep:
        COUNTS.write_text(written(said, counts), encoding="utf-8")
    return 0


def written(version: str, counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """The counts as text: one family to a line."""
    blocks = []
    for major, families in counts.items():
        lines = ",\n".join(f"{json.dumps(family)}:{json.dumps(found, separators=(',', ':'))}" for family, found in sorted(families.items()))
        blocks.append(f'"{major}":{{\n{lines}}}')
    return f'{{"squawk":{json.dumps(version)},\n"counts":{{\n' + ",\n".join(blocks) + "}}\n"


def _compared(program: str, major: int) -> dict[str, dict[str, int]]:
    """Agreement by family of statements, as counts of each word of `WORDS`; statements without agreement are printed."""
    chosen = _chosen(major)
    families: dict[str, dict[str, int]] = {}
    shown: dict[str, list[str]] = {}
    for (key, sql), rules in zip(chosen, _squawk(program, [sql for _, sql in chosen], major), strict=True):
        outcome = oracle.outcome(key, major)
        harmful, said = outcome is not None and hazard(key, outcome), bool(rules & HAZARD)
        word = WORDS[0 if harmful == said else 1 if harmful else 2]
        counts = families.setdefault(family(key), dict.fromkeys(WORDS, 0))
        counts[word] += 1
        if word != WORDS[0]:
            shown.setdefault(word, []).append(f"  {sql}" + f"  [{', '.join(sorted(rules & HAZARD))}]" * said)
    for word, lines in sorted(shown.items()):
        print(f"{word}:", *lines, sep="\n")
    sums = {word: sum(counts[word] for counts in families.values()) for word in WORDS}
    print(f"PostgreSQL {major}, {len(chosen)} statements: " + ", ".join(f"{word} {n}" for word, n in sums.items()))
    return families


def family(key: str) -> str:
    """`alter table add`, `create index`: what a statement begins with."""
    words = key.partition(" on ")[0].partition(" (")[0].replace(",", "").split()
    return " ".join(words[: 3 if words[:2] == ["alter", "table"] else 2])


def _chosen(major: int) -> list[tuple[str, str]]:
    """The first statement of each form."""
    found: dict[str, str] = {}
    with open_world(major) as world:
        for _, statement in statements():
            key = forms.classify(statement, world.catalog, timezone="UTC")[-1].key
            _, on, sort = key.rpartition(" on ")
            if key.startswith(_DDL) and (not on or sort in _SORTS) and oracle.outcome(key, major) is not None:
                found.setdefault(key, statement.text)
    return list(found.items())


def _squawk(program: str, texts: list[str], major: int) -> list[set[str]]:
    """Names of the rules that squawk finds broken, by statement."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number:05}.sql" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(f"{text};\n", encoding="utf-8")
        command = [program, "--reporter", "json", f"--pg-version={major}.0", *map(str, files)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        found: dict[str, set[str]] = {str(file): set() for file in files}
        for finding in json.loads(ran.stdout):
            found[finding["file"]].add(finding["rule_name"])
        return [found[str(file)] for file in files]
