"""House options: which rules they call for, and which of them cannot hold at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Protocol

from pgcharter.guides.contradictions import Contradiction, contradictions
from pgcharter.guides.options import Options


class ReadsOptions(Protocol):
    """What is asked of a rule here (see `rules.engine.Rule`)."""

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the house options it reads."""
        ...


def asked(options: Options, rules: Mapping[str, ReadsOptions]) -> frozenset[str]:
    """Codes of the rules that read an option which `options` sets otherwise than by default: setting an option is asking for its rules."""
    plain = Options()
    chosen = {f.name for f in fields(Options) if (value := getattr(options, f.name)) and value != getattr(plain, f.name)}
    return frozenset(code for code, rule in rules.items() if chosen & set(rule.options))


def contradiction(options: Options) -> Contradiction | None:
    """The first contradiction in `options`, or None."""
    return next(contradictions(options), None)
