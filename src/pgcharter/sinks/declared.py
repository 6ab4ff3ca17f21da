"""What `[sync]` of a charter means: the worker's job with its targets, and copies that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pgcharter.errors import UsageError
from pgcharter.measures import seconds, size
from pgcharter.policy.sync_settings import MappingTable, SinkTable, SyncSection
from pgcharter.sinks import registry
from pgcharter.stream import mapping, source
from pgcharter.stream.mapper import Make, Target
from pgcharter.stream.reconcile import Side
from pgcharter.stream.worker import Job


def streamed(section: SyncSection, dsn: str, folder: Path, environ: Mapping[str, str]) -> tuple[Job, Make]:
    """The job of the worker, and how it makes a sink's target. `folder` is the charter's. Raises UsageError where there is no sink."""
    if not section.sink:
        raise UsageError("the charter declares no sink, so there is nothing to copy", hint='[[sync.sink]] name = "search" kind = "jsonl"')
    section = replace(section, mapping=tuple(m for m in section.mapping if not m.delta))
    looked = [look.table for m in section.mapping for look in m.lookup]
    tables = tuple(dict.fromkeys([*(m.table for m in section.mapping), *looked]))
    sinks = {s.name: s for s in section.sink if any(m.sink == s.name for m in section.mapping)}
    kept = folder / section.folder / section.slot
    job = Job(
        dsn, section.slot, section.publication, tables, tuple(sinks), kept, seconds(section.heartbeat), origin=section.origin,
        replay=seconds(section.replay), capture=section.capture, keep=size(section.keep),
    )  # fmt: skip

    def make(name: str) -> Target:
        sink = registry.make(sinks[name], folder, environ)
        texts = getattr(sink, "texts", False)
        mapper = mapping.of_sink(section, name, partial(source.open_source, dsn), environ, texts=texts)
        return Target(name, sink, mapper, size(sinks[name].spill))

    return job, make


def copies(
    section: SyncSection, dsn: str, folder: Path, environ: Mapping[str, str], sink: str | None = None, tables: Sequence[str] = (),
    *, delta: bool = False,
) -> list[Side]:  # fmt: skip
    """The copies that are meant; `delta`: only those made by batches. Raises UsageError where there are none."""
    mapping.check(section)
    declared = {s.name: s for s in section.sink}

    def meant(m: MappingTable) -> bool:
        named = sink in (None, m.sink) and (not tables or m.table in tables) and (not delta or bool(m.delta))
        return named and not (sink is None and _passes_on(declared[m.sink]))

    wanted = [m for m in section.mapping if meant(m)]
    if not wanted:
        there = ", ".join(f"{m.table} → {m.sink}" for m in section.mapping) or "none"
        raise UsageError("no mapping is meant" + (" that has a delta" if delta else ""), hint=f"there are: {there}", place="[sync]")
    secret = environ.get(section.mask_key_env, "").encode() if section.mask_key_env else b""
    return [
        Side(
            dsn, registry.make(declared[m.sink], folder, environ), m, m.sink, section.slot,  # type: ignore[arg-type]
            "" if m.delta else section.publication, secret,
        )
        for m in wanted
    ]  # fmt: skip


def _passes_on(declared: SinkTable) -> bool:
    """Whether a sink keeps no rows to compare; one that is named is tried, and says so itself."""
    return declared.kind in ("nats", "webhook") or declared.form == "invalidate"
