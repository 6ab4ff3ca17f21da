"""Refusals that say something about the scratch server, not about the user's SQL: they become gaps, never findings."""

from __future__ import annotations

import re

_OWNER = re.compile(r"\bowner\s+to\b", re.IGNORECASE)
_LANGUAGE = re.compile(r'language "(?P<name>[^"]+)" does not exist|permission denied for language (?P<other>\w+)')
_LACKING = re.compile(r"does not exist|does not accept|unrecognized|no default operator class")
_TABLESPACE_CLAUSE = re.compile(
    r"""'(?:[^']|'')*'|"[^"]*"|\b(?P<clause>(?:using\s+index\s+)?tablespace\s+(?:"(?:[^"]|"")+"|\w+))""", re.IGNORECASE
)
_CALLS = {"select_stmt", "call_stmt"}
_RAISED = {"P0001", "P0002", "P0003", "P0004"}


def excuse(kind: str, sql: str, sqlstate: str, message: str, unavailable: list[str]) -> str:
    """Why a refusal is not the statement's fault; empty when it is.

    `unavailable` names the extensions that the files ask for and this machine does not have.
    """
    if sqlstate == "42501":
        if _OWNER.search(sql):
            return f"ownership stays as it is: {message}"
        return f"not built: the scratch server runs everything without special rights ({message})"
    if language := _LANGUAGE.search(message):
        return f"not built: language {language['name'] or language['other']} is not allowed on the scratch server"
    if kind in _CALLS or (kind == "do_stmt" and sqlstate in _RAISED):
        return f"not run to its end, perhaps because data is not loaded: {message}"
    if unavailable and sqlstate in ("42704", "42883", "42P01", "3F000", "42703", "22023") and _LACKING.search(message):
        return f"not built: {message}; perhaps it belongs to extension {' or '.join(unavailable)}, which is not available here"
    return ""


def without_tablespaces(sql: str) -> str:
    """The statement with its TABLESPACE clauses blanked: the scratch server has only its own."""
    return _TABLESPACE_CLAUSE.sub(lambda m: " " * len(m.group()) if m["clause"] else m.group(), sql)
