"""The published JSON Schemas (draft 2020-12) of the documents that pgcharter writes: one file each, named after its format."""

from __future__ import annotations

from importlib.resources import files


def schema_text(name: str) -> str:
    """The schema of the format called `name` (`pgcharter-check`), as JSON."""
    return files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")


def schema_names() -> tuple[str, ...]:
    """Formats whose schema is published."""
    ending = ".schema.json"
    return tuple(sorted(f.name.removesuffix(ending) for f in files(__name__).iterdir() if f.name.endswith(ending)))
