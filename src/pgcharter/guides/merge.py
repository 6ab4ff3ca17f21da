"""A guide under a charter: the project's own overrides win."""

from __future__ import annotations

import dataclasses

from pgcharter.charter import Charter
from pgcharter.guides.files import Codes, check_codes, load, options_of, severities_of, with_asked
from pgcharter.guides.model import Guide


def effective(guide: Guide, charter: Charter, *, codes: Codes | None = None) -> Guide:
    """Return `guide` with the options and severities of `charter` laid over it.

    `codes` are the rules that exist; when given, a severity, waiver or `[check]` entry for another is refused, and house options bring the
    rules that read them.
    Raises CharterError with file and line for an unknown option, a wrong value or options that contradict each other.
    """
    file = charter.file
    if file is None:
        return guide
    severities, off = severities_of(file, charter.severity, (*charter.root, "severity"))
    if codes is not None:
        known = {*codes, *guide.own}
        for code in charter.severity:
            check_codes(file, (code,), known, (*charter.root, "severity", code))
        for index, waiver in enumerate(charter.waivers):
            check_codes(file, (waiver.rule,), known, (*charter.root, "waiver", index, "rule"))
        for key, named in (("only", charter.check.only), ("skip", charter.check.skip)):
            check_codes(file, named, known, (*charter.root, "check", key))
    merged = dataclasses.replace(
        guide,
        options=options_of(file, charter.options, (*charter.root, "options"), guide.options),
        severities={**guide.severities, **severities},
        off=(guide.off | off).difference(severities),
    )
    return with_asked(merged, codes)


def of(charter: Charter, *, codes: Codes | None = None) -> Guide:
    """The guide that `charter` names, under that charter."""
    return effective(load(charter.guide, codes=codes), charter, codes=codes)
