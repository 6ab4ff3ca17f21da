"""All rules of each guide over a catalog of 5,000 tables; the slowest rules named."""

from __future__ import annotations

import time

from bench.generate import TABLES, generate

LIMIT_SECONDS = 2.0
ROUNDS = 3


def run(tables: int = TABLES) -> None:
    """Read the generated database once, hold it against every built-in guide, print the seconds and where they go."""
    from pgcharter import guides
    from pgcharter.rules import engine
    from pgcharter.servers import binaries, lifecycle
    from pgcharter.sources import live

    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        generate(server.dsn(), tables)
        reading = live.read(server.dsn())
    for name in guides.available():
        guide = guides.load(name)
        whole = min(_timed(lambda: engine.run(reading, guide)) for _ in range(ROUNDS))  # noqa: B023
        found = len(engine.run(reading, guide).findings)
        print(f"guide {name}: {len(guide.rules)} rules, {found:,} findings in {whole:.2f} s   aim: ≤ {LIMIT_SECONDS} s")
        each = {code: _timed(lambda: engine.run(reading, guide, only=(code,))) for code in guide.rules}  # noqa: B023
        for code, seconds in sorted(each.items(), key=lambda item: -item[1])[:6]:
            print(f"  {code}  {seconds * 1000:7.0f} ms")


def _timed(work: object) -> float:
    assert callable(work)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
