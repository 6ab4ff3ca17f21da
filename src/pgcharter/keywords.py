"""PostgreSQL's key words. Written by tools/keywords.py from a server's `pg_get_keywords()`; do not edit."""

QUOTED_KEYWORDS: frozenset[str] = frozenset()
"""Key words that need quotes as an identifier (every category but unreserved)."""
