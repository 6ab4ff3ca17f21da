"""What the findings of the sources themselves mean (codes SRCnn): no rule yields them, so they are described here, in a rule's form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pgcharter.findings import Finding, Severity
from pgcharter.guides.model import OWN
from pgcharter.rules import engine
from pgcharter.rules.engine import Check, Context, Rule

SOURCE_CODES: dict[str, Rule] = {}


def described(code: str) -> Rule | None:
    """The rule, or the description of a source's own finding, with this code."""
    return engine.load().get(code) or SOURCE_CODES.get(code)


def all_described() -> Mapping[str, Rule]:
    """Every code that a finding can have."""
    return dict(sorted({**engine.load(), **SOURCE_CODES}.items()))


def find(word: str) -> Rule:
    """What has this code or slug, in any case; raises UsageError with the nearest name when nothing has."""
    wanted = word.strip().lower()
    if wanted.startswith(OWN.lower()):
        return Rule(OWN + word.strip()[len(OWN) :], "own-sql", Severity.WARNING, "catalog", _own, "sources")
    known = next((r for r in SOURCE_CODES.values() if wanted in (r.code.lower(), r.slug)), None)
    return known or engine.find(word)


def _describe(code: str, slug: str, severity: Severity) -> Callable[[Check], Check]:
    def keep(words: Check) -> Check:
        SOURCE_CODES[code] = Rule(code, slug, severity, "text", words, "sources")
        return words

    return keep


@_describe("SRC01", "refused-statement", Severity.ERROR)
def _refused(_: Context) -> Iterator[Finding]:
    """A statement that PostgreSQL refuses.

    Why: on a fresh database the statement fails in the same way: what it should have made is missing there, and nothing could be said
    about it here. It was run on an empty throwaway server of the chosen version, and the message is PostgreSQL's own.

    Instead: mend the statement, or put what it stands on before it: files run in the order of their names. When one refusal only follows
    from another, the message names the first; mend that one and look again.

    Except: the statement is written for another major version (`--major N` chooses it), or needs something that a throwaway server does
    not have.
    """
    return iter(())


@_describe("SRC02", "unreadable-sql", Severity.ERROR)
def _unreadable(_: Context) -> Iterator[Finding]:
    """Text that is not SQL as PostgreSQL understands it.

    Why: PostgreSQL's own grammar stops at the marked place. The statement was left out, so nothing is known about what it would make.

    Instead: mend the spelling at the caret; often a comma, a bracket or a quote before it is missing.

    Except: the text is a template that another program fills in first: check what that program writes.
    """
    return iter(())


@_describe("SRC03", "several-heads", Severity.ERROR)
def _heads(_: Context) -> Iterator[Finding]:
    """A chain of Alembic revisions that ends in several heads.

    Why: `alembic upgrade head` refuses to run while it cannot tell which end is meant, so the next deployment stops there.

    Instead: join the ends with `alembic merge heads`, or give one of the two revisions the other as its `down_revision`.

    Except: branches that are meant to stay apart, when every deployment says `alembic upgrade heads`.
    """
    return iter(())


@_describe("SRC04", "idle-suppression", Severity.WARNING)
def _idle(_: Context) -> Iterator[Finding]:
    """A suppression comment that allows nothing.

    Why: it gives no reason, names no rule, or stands beside no statement. It looks like a decision and has no effect, and the finding
    that it meant to allow still counts.

    Instead: write it above or beside the statement, with the rule and the reason:

        -- pgcharter: allow KEY01 because rows are only ever appended
        CREATE TABLE app.raw_lines (line text NOT NULL);

    Except: never; take the comment out when it is not needed.
    """
    return iter(())


@_describe("SRC05", "own-check-failed", Severity.ERROR)
def _own_failed(_: Context) -> Iterator[Finding]:
    """A clause's own SQL that could not be asked.

    Why: nobody knows whether the clause holds. A check that silently does not look is worse than none.

    Instead: mend the query in the guide; a table or column of it may have been renamed, the role may lack SELECT on it, or it takes
    longer than its `timeout` allows.

    Except: the clause does not concern this project: switch it off in the charter, `[severity] "OWN-A1.1" = "off"`.
    """
    return iter(())


@_describe("SRC06", "broken-body", Severity.ERROR)
def _broken(_: Context) -> Iterator[Finding]:
    """A PL/pgSQL routine with a statement that cannot run.

    Why: PostgreSQL looks at the statements of a body only when they run, so a column that was renamed or a table that is not there shows
    up when the routine is called, perhaps only in a branch that is rarely taken. The extension plpgsql_check looks at all of them.

    Instead: mend the statement at the marked line. A trigger function is looked at once for each relation it is called for.

    Except: what the body needs is made while it runs. Temporary tables that some body creates are known; for anything else, tell the
    extension in a comment of the body: `@plpgsql_check_options: disable = true`, or `PERFORM plpgsql_check_pragma('table: …')`.
    """
    return iter(())


@_describe("SRC07", "doubtful-body", Severity.WARNING)
def _doubtful(_: Context) -> Iterator[Finding]:
    """Something in a PL/pgSQL routine that runs, but hardly does what was meant.

    Why: a result that is thrown away, values of which there are too few or too many, a variable that nobody reads or that hides another:
    what was meant and what is written differ. The extension plpgsql_check says so.

    Instead: write what is meant: PERFORM for a result that nobody needs, names for variables that are no names of columns.

    Except: it is meant so. What only concerns tidiness (unused variables) is merely mentioned.
    """
    return iter(())


@_describe("SRC08", "slow-body", Severity.INFO)
def _slow(_: Context) -> Iterator[Finding]:
    """Something in a PL/pgSQL routine that makes it slower than it need be.

    Why: a value that is cast in secret keeps an index from being used; a routine that is declared VOLATILE and is not is called for every
    row. The extension plpgsql_check says so.

    Instead: declare variables with the type of what they hold, and routines with the volatility that they have.

    Except: the routine runs rarely, or over few rows.
    """
    return iter(())


@_describe("SRC09", "injectable-body", Severity.INFO)
def _injectable(_: Context) -> Iterator[Finding]:
    """A text in a PL/pgSQL routine becomes SQL without having been quoted.

    Why: whoever chooses the text chooses what runs, with the rights of the routine. The extension plpgsql_check follows the text from the
    argument to EXECUTE.

    Instead: pass values with USING, and put names in with `format('%I', …)` or `quote_ident`.

    Except: the text was quoted where plpgsql_check does not follow it; FUN05 tells what certainly is not.
    """
    return iter(())


def _own(_: Context) -> Iterator[Finding]:
    """A row that a clause's own SQL returned.

    Why: the guide says that this query must return no row: `pgcharter guides show GUIDE` reads the clause.
    """
    return iter(())
