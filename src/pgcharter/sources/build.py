"""SQL statements built one by one on a scratch database, so that one failure does not hide the rest."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.errors import PgcharterError
from pgcharter.findings import Finding, Gap, Severity
from pgcharter.sources import recorder, trace
from pgcharter.sources.effects import makes, missing_name
from pgcharter.sources.excuses import excuse, without_tablespaces
from pgcharter.sources.policy import decide
from pgcharter.sqltext import Statement, offset_place

if TYPE_CHECKING:
    from pgcharter.servers.scratch import ScratchDatabase

ATTEMPTS = 20
"""How often one statement is tried again after something it lacks (a role) was made."""
_ROLE = re.compile(r'role "(?P<name>.+)" does not exist')
_NO_NAME = {
    "OR", "REPLACE", "UNIQUE", "TEMP", "TEMPORARY", "UNLOGGED", "MATERIALIZED", "IF", "NOT", "EXISTS", "CONCURRENTLY", "DEFAULT", "EVENT",
    "FOREIGN", "CONSTRAINT", "ONLY", "ON", "INTO", "FROM",
}  # fmt: skip
"""Words of a statement's head that stand before its object's name."""
_CREATES = re.compile(r"\b(?:create|alter\s+(?:table|type|view|schema))\b", re.IGNORECASE)
_CREATES_ROLE = re.compile(r'\bcreate\s+(?:role|user|group)\s+(?:"((?:[^"]|"")+)"|([a-z_][\w$]*))', re.IGNORECASE)
_LOCAL = re.compile(r"\A\s*set\s+local\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """PostgreSQL's no to a statement."""

    statement: Statement
    message: str
    sqlstate: str = ""
    hint: str = ""
    detail: str = ""
    position: int = 0
    """Character (from 1) of the text that was sent; 0 when PostgreSQL names none."""
    stopped: bool = False
    """Ended by the scratch server's guard, as the message says."""


@dataclass
class Builder:
    """Runs statements on `database` and keeps account of what became of each."""

    database: ScratchDatabase
    numbered: list[Statement] = field(default_factory=list)
    """Statements by the number under which the recorder knows them."""
    built: list[Statement] = field(default_factory=list)
    unbuilt: list[Statement] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    """Roles that no statement creates but some name."""
    first: int = 0
    """Number of the first statement that is this builder's own; those before it were run in the database it is a copy of."""
    unavailable: list[str] = field(default_factory=list)
    """Extensions that are asked for and not to be had here."""
    trace: trace.Trace | None = None
    """Where it is noted what each statement does to others; None: nobody asks."""
    _excused: set[int] = field(default_factory=set)
    """Identities of statements that were not built for want of something on the scratch server."""
    _lost: dict[str, Statement] = field(default_factory=dict)
    _local: dict[str, str] = field(default_factory=dict)
    _dirty: bool = False

    def run(self, statement: Statement, sql: str = "") -> Refusal | None:
        """Do with `statement` what its kind asks for. Returns PostgreSQL's refusal, which is noted too."""
        action, why = decide(statement)
        self._dirty = self._dirty or statement.kind in ("do_stmt", "select_stmt", "call_stmt")
        if action == "run":
            text = sql or statement.text
            return self._note(statement, self._give(text, self._with_roles(statement, text, self.attempt(statement, text))))
        if action == "comment":
            self._comment_on_extension(statement)
            return None
        if action == "set":
            return self._note(statement, self._set(statement, sql or statement.text))
        if action == "role":
            self._make_roles(statement)
        elif action == "extension":
            return self._extension(statement)
        elif action == "note":
            self.gaps.append(Gap(head(statement), why, statement.place))
        elif action == "end":
            self._end_local()
        self.unbuilt.append(statement)
        return None

    def _note(self, statement: Statement, refusal: Refusal | None) -> Refusal | None:
        if refusal is None:
            self.built.append(statement)
            return None
        self.refuse(refusal)
        return refusal

    def refuse(self, refusal: Refusal) -> None:
        """Take note that `refusal` stands."""
        statement = refusal.statement
        self.unbuilt.append(statement)
        cause = self._lost.get(missing_name(refusal.message))
        why = excuse(statement.kind, statement.text, refusal.sqlstate, refusal.message, self.unavailable)
        if not why and cause is not None and id(cause) in self._excused:
            why = f"not built: {refusal.message}, because line {cause.place.line} of {cause.place.file} was not built"
        if statement.variables and refusal.message.endswith('at or near ":"'):
            names = ", ".join(f":{name}" for name in statement.variables)
            why = f"not built: psql would put a value for {names}, which no \\set gives"
        if why:
            self._excused.add(id(statement))
            self.gaps.append(Gap(head(statement), why, statement.place))
        else:
            self.refusals.append(refusal)
        for name in makes(statement):
            self._lost.setdefault(name, statement)

    def forget(self, refusal: Refusal) -> None:
        """Take back `refuse`: the statement is tried again."""
        self.unbuilt.remove(refusal.statement)
        if refusal in self.refusals:
            self.refusals.remove(refusal)

    def attempt(self, statement: Statement, sql: str) -> Refusal | None:
        """Send `sql`; make the roles it lacks and send it again. Nothing is noted except those roles.

        A session that was ended, but not for this statement's sake (the guard may hit the next one), is opened anew and the statement
        sent once more.
        """
        refusal = self.send(statement, sql)
        if refusal is not None and refusal.sqlstate == "57P01" and not refusal.stopped:
            refusal = self.send(statement, sql)
        if refusal is not None and refusal.message.startswith("tablespace "):
            sql = without_tablespaces(sql)
            refusal = self.send(statement, sql)
        for _ in range(ATTEMPTS):
            role = _ROLE.fullmatch(refusal.message) if refusal else None
            if role is None or not self._stand_in_role(role["name"]):
                break
            refusal = self.send(statement, sql)
        return refusal

    def send(self, statement: Statement, sql: str) -> Refusal | None:
        """Send `sql` once, marked with the statement's number."""
        self.numbered.append(statement)
        mark = recorder.mark(len(self.numbered) - 1)
        try:
            if self.trace is None:
                self.database.conn.execute(mark + sql)
            else:
                self.trace.run(self.database.conn, statement, mark, sql)
        except psycopg.Error as error:
            return self._refusal(statement, error, len(mark) + (trace.SHIFT if self.trace else 0))
        except UnicodeError as error:
            return Refusal(statement, f"the text cannot be sent: {error}")
        return None

    def _refusal(self, statement: Statement, error: psycopg.Error, shift: int) -> Refusal:
        diag = error.diag
        if diag.message_primary is None:
            why = str(error).strip().splitlines()[0] if str(error).strip() else "the server closed the connection"
            stopped = self._stopped()
            return Refusal(statement, stopped or why, "57P01", stopped=bool(stopped))
        position = int(diag.statement_position or 0)
        message = diag.message_primary
        stopped = self._stopped() if diag.sqlstate in ("57014", "57P01") else ""
        return Refusal(statement, stopped or message, diag.sqlstate or "", diag.message_hint or "", diag.message_detail or "",
                       max(0, position - shift), bool(stopped))  # fmt: skip

    def _stopped(self) -> str:
        """Why the scratch server's guard ended the statement."""
        why = self.database.why_stopped()
        return f"the statement was stopped: {why}" if why else ""

    def _with_roles(self, statement: Statement, sql: str, refusal: Refusal | None) -> Refusal | None:
        """A DO block or function that makes roles: stand-ins are made for the names in it, and it is run again to do the rest."""
        if refusal is None or refusal.message != "permission denied to create role":
            return refusal
        names = [quoted.replace('""', '"') if quoted else bare.lower() for quoted, bare in _CREATES_ROLE.findall(sql)]
        made = sum(self._role(name) for name in names)
        if not names or made < len(names):
            return refusal
        again = self.attempt(statement, sql)
        only_roles = not _CREATES.search(_CREATES_ROLE.sub("", sql))
        return None if again is not None and again.message == refusal.message and only_roles else again

    def _give(self, sql: str, refusal: Refusal | None) -> Refusal | None:
        """ALTER ... OWNER TO a stand-in role, which the owner may not do where that role has no CREATE right."""
        if refusal is None or refusal.sqlstate != "42501" or " owner to " not in " ".join(sql.lower().split()):
            return refusal
        try:
            self.database.change_owner(sql)
        except (PgcharterError, psycopg.Error):
            return refusal
        return None

    def _comment_on_extension(self, statement: Statement) -> None:
        node = statement.node
        with suppress(psycopg.Error):
            self.database.comment_on_extension(node.object.string.sval, node.comment or None)
        self.built.append(statement)

    def _set(self, statement: Statement, sql: str) -> Refusal | None:
        """Session settings last to the end of the file; SET LOCAL, without its transaction, to the next COMMIT."""
        self._dirty = True
        name = statement.node.name
        if _LOCAL.match(sql):
            if name and name not in self._local:
                row = self.database.conn.execute("select current_setting(%s, true)", [name]).fetchone()
                self._local[name] = str(row[0] or "") if row else ""
            sql = _LOCAL.sub("SET", sql)
        return self.attempt(statement, sql)

    def _end_local(self) -> None:
        for name, value in self._local.items():
            with suppress(psycopg.Error):
                self.database.conn.execute("select set_config(%s, %s, false)", [name, value])
        self._local.clear()

    def end_file(self) -> None:
        """Forget the session settings of the file that ends."""
        self._local.clear()
        if self._dirty:
            with suppress(psycopg.Error):
                self.database.conn.execute("RESET SESSION AUTHORIZATION; RESET ALL")
        self._dirty = False

    def _make_roles(self, statement: Statement) -> None:
        node = statement.node
        names: list[str] = []
        if statement.kind in ("create_role_stmt", "alter_role_stmt"):
            names = [node.role] if statement.kind == "create_role_stmt" else [node.role.rolename]
        elif statement.kind == "grant_role_stmt":
            names = [r.access_priv.priv_name for r in node.granted_roles] + [r.role_spec.rolename for r in node.grantee_roles]
        for name in filter(None, names):
            self._role(name)

    def _role(self, name: str) -> bool:
        try:
            self.database.create_role(name)
        except (PgcharterError, psycopg.Error):
            return False
        return True

    def _stand_in_role(self, name: str) -> bool:
        if name in self.roles or not self._role(name):
            return False
        self.roles.append(name)
        return True

    def _extension(self, statement: Statement) -> Refusal | None:
        node = statement.node
        options = {o.def_elem.defname: o.def_elem.arg.string.sval for o in node.options if o.def_elem.arg.HasField("string")}
        schema = options.get("schema")
        try:
            self.database.create_extension(node.extname, schema)
        except (PgcharterError, psycopg.Error) as error:
            why = error.message if isinstance(error, PgcharterError) else str(error).strip().splitlines()[0]
            self.gaps.append(Gap(head(statement), f"not built: {why}", statement.place))
            self.unbuilt.append(statement)
            self._lost.setdefault(node.extname, statement)
            self._excused.add(id(statement))
            self.unavailable.append(node.extname)
            return None
        self.built.append(statement)
        return None

    def findings(self) -> list[Finding]:
        """SRC01 for every refusal, and for those that only follow from another one, which."""
        return [self._finding(r) for r in self.refusals]

    def _finding(self, refusal: Refusal) -> Finding:
        cause = self._lost.get(missing_name(refusal.message))
        facts: dict[str, Any] = {"detail": head(refusal.statement), "sqlstate": refusal.sqlstate}
        message = f"PostgreSQL refuses {head(refusal.statement)}: {refusal.message}"
        if cause is not None and cause is not refusal.statement:
            facts["follows_from"] = f"{cause.place.file}:{cause.place.line}"
            message += f"; that follows from line {cause.place.line} of {cause.place.file}, which could not be built"
        hint = ". ".join(part.rstrip(".") for part in (refusal.detail, refusal.hint) if part)
        place = offset_place(refusal.statement, refusal.position) if not refusal.statement.variables else refusal.statement.place
        severity = Severity.WARNING if "follows_from" in facts else Severity.ERROR
        return Finding("SRC01", message, place=place, severity=severity, hint=hint, facts=facts)


def head(statement: Statement) -> str:
    """The first words of a statement, enough to recognise it: `CREATE TABLE app.orders`."""
    words = re.split(r"[\s(;]+", statement.text, maxsplit=12)[:12]
    stop = 3
    for index, word in enumerate(words):
        if index < stop and word.upper() in _NO_NAME:
            stop += 1
    text = " ".join(words[:stop]).strip()
    return text if len(text) <= 80 else text[:77] + "..."


def unresolved_roles(builder: Builder) -> list[Gap]:
    """One Gap for the roles that were taken for granted."""
    if not builder.roles:
        return []
    return [Gap("roles " + ", ".join(sorted(builder.roles)), "no statement creates them: taken as given, their rights are not known")]
