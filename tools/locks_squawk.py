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
from collections import Counter
from pathlib import Path

from locks_world import open_world, statements

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
_SORTS = ("table", "partitioned table", "index", "view", "materialized view", "sequence")
_DDL = ("alter", "create", "drop", "reindex", "refresh", "cluster")


def hazard(outcome: Outcome) -> bool:
    """Whether others wait for as long as a table is large."""
    strongest = max((mode for mode in outcome.locks.values() if mode is not None), default=Mode.ACCESS_SHARE)
    return strongest.stops_writes and bool(outcome.rewrites or outcome.scans)


def compare(major: int = 17) -> int:
    """Print agreement over one statement of each DDL form on ordinary and partitioned tables. Returns the exit code."""
    program = Path(sys.executable).with_name("squawk")
    if not program.exists() and not shutil.which("squawk"):
        print("squawk is not installed here: pip install squawk-cli", file=sys.stderr)
        return 3
    chosen = _chosen(major)
    cried = _squawk(str(program), [sql for _, sql in chosen], major)
    counts: Counter[str] = Counter()
    shown: dict[str, list[str]] = {}
    for (key, sql), rules in zip(chosen, cried, strict=True):
        outcome = oracle.outcome(key, major)
        harmful, said = outcome is not None and hazard(outcome), bool(rules & HAZARD)
        word = "agree" if harmful == said else "silent on a hazard" if harmful else "cries at what is harmless"
        counts[word] += 1
        if word != "agree":
            shown.setdefault(word, []).append(f"  {sql}" + f"  [{', '.join(sorted(rules & HAZARD))}]" * said)
    for word, lines in sorted(shown.items()):
        print(f"{word}:", *lines, sep="\n")
    total = sum(counts.values())
    print(f"PostgreSQL {major}, {total} statements: " + ", ".join(f"{word} {n}" for word, n in counts.most_common()))
    return 0


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
