"""Guides: standards documents as data. A guide is a TOML file of numbered clauses, house options and severities."""

from pgcharter.guides.files import available, load
from pgcharter.guides.merge import effective, of

__all__ = ["available", "effective", "load", "of"]
