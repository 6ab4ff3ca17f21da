"""The clinic keeps its promises at run time: booking, masking, auditing, retention."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

import psycopg
import pytest
from tests.examples import conftest
from tests.examples.conftest import Copy, Open, oldest_and_newest, one, refused

from pgcharter import examples
from pgcharter.db import Connection, connect

ROLES = ("clinic_reception", "clinic_practitioner", "clinic_researcher", "clinic_auditor", "clinic_admin")


@pytest.fixture
def clinic(opened: Open) -> Connection:
    """A connection to a clinic with its seed in it, as superuser; every test rolls back."""
    return opened("clinic")


def acting(conn: Connection, role: str, practitioner: int | str = "") -> AbstractContextManager[None]:
    """Inside, be `role`, perhaps as this practitioner; undone afterwards."""
    return conftest.acting(conn, role, practitioner_id=practitioner)


def test_people_stand_in_the_seed_only() -> None:
    migrations = "".join(p.read_text() for p in (examples.folder("clinic") / "migrations").glob("*.sql"))
    tables = set(re.findall(r"^INSERT INTO (\S+)", migrations, re.MULTILINE))
    assert tables == {"platform.retention_rules"}


def test_the_seed_is_a_few_hundred_rows(clinic: Connection) -> None:
    tables = ("people.patients", "people.practitioner_specialities", "care.appointments", "care.clinical_notes", "care.measurements")
    counts = [one(clinic, f"SELECT count(*) FROM {table}") for table in tables]
    assert counts == [60, 8, 200, 143, 400]


def test_every_column_says_how_sensitive_it_is(clinic: Connection) -> None:
    rows = clinic.execute(
        """
        SELECT c.oid::regclass::text || '.' || a.attname, col_description(c.oid, a.attnum)
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relnamespace::regnamespace::text IN ('people', 'care', 'audit', 'platform')
        """
    ).fetchall()
    assert len(rows) > 70
    classes = r" \[(public|internal|confidential|personal|health)\]$"
    assert [name for name, comment in rows if not re.search(classes, comment or "")] == []


BOOK = "SELECT care.book_appointment(1, %s, %s, %s::timestamptz, 30, 'Cough')"


@oldest_and_newest
def test_neither_practitioner_nor_room_is_taken_twice(clinic: Connection, major: int) -> None:
    with acting(clinic, "clinic_reception"):
        first = one(clinic, BOOK, 1, 101, "2028-01-10 09:00Z")
        refused(clinic, psycopg.errors.ExclusionViolation, BOOK, 1, 102, "2028-01-10 09:15Z", match="the practitioner is taken")
        refused(clinic, psycopg.errors.ExclusionViolation, BOOK, 2, 101, "2028-01-10 09:29Z", match="the room is taken")
        assert one(clinic, BOOK, 1, 101, "2028-01-10 09:30Z") != first
        clinic.execute("UPDATE care.appointments SET appointment_status = 'cancelled' WHERE appointment_id = %s", (first,))
        assert one(clinic, BOOK, 1, 101, "2028-01-10 09:00Z")


@pytest.mark.parametrize(
    ("practitioner", "begins", "minutes", "said"),
    [(1, "2028-01-10 09:00Z", 0, "5 to 240"), (1, "2028-01-10 09:00Z", None, "not NULL"), (1, "2020-01-10 09:00Z", 30, "in the past"),
     (1, None, 30, "in the past"), (99, "2028-01-10 09:00Z", 30, "practitioner 99"), (None, "2028-01-10 09:00Z", 30, "practitioner NULL")],
)  # fmt: skip
def test_booking_checks_what_it_is_given(
    clinic: Connection, practitioner: int | None, begins: str | None, minutes: int | None, said: str
) -> None:
    query = "SELECT care.book_appointment(1, %s, 101, %s::timestamptz, %s, 'Cough')"
    refused(clinic, psycopg.errors.InvalidParameterValue, query, practitioner, begins, minutes, match=said)


RECORD = "SELECT care.record_measurement(1, %s, %s::timestamptz, %s)"


@oldest_and_newest
def test_a_measurement_is_possible_and_there_once(clinic: Connection, major: int) -> None:
    with acting(clinic, "clinic_practitioner"):
        assert one(clinic, RECORD, "heart_rate", "2026-11-02 08:00Z", 72) is True
        assert one(clinic, RECORD, "heart_rate", "2026-11-02 08:00Z", 72) is False
        refused(
            clinic, psycopg.errors.InvalidParameterValue, RECORD, "heart_rate", "2026-11-02 09:00Z", 720, match="720 bpm is not possible"
        )
        refused(clinic, psycopg.errors.InvalidParameterValue, RECORD, "heart_rate", "2026-11-02 09:00Z", None, match="NULL bpm")
        refused(clinic, psycopg.errors.InvalidParameterValue, RECORD, "mood", "2026-11-02 09:00Z", 1, match="nothing called mood")
        refused(clinic, psycopg.errors.InvalidParameterValue, RECORD, "weight", "2999-01-01 00:00Z", 70, match="clock of the device")
    where = "SELECT DISTINCT tableoid::regclass::text FROM care.measurements WHERE measured_at < '2026-09-01Z'"
    assert clinic.execute(where).fetchall() == [("partitions.measurements_2026_08",)]


@oldest_and_newest
def test_notes_are_for_those_who_treat_the_patient(clinic: Connection, major: int) -> None:
    hire = "INSERT INTO people.practitioners (licence_number, given_name, family_name, email) VALUES ('L-9', 'New', 'Here', %s) "
    new = one(clinic, hire + "RETURNING practitioner_id", "new@clinic.example")
    assert isinstance(new, int)
    everything = one(clinic, "SELECT count(*) FROM care.clinical_notes")
    with acting(clinic, "clinic_practitioner", 1):
        seen = one(clinic, "SELECT count(*) FROM care.clinical_notes")
        assert isinstance(seen, int)
        assert 0 < seen < int(str(everything))
        found = clinic.execute("SELECT patient_id FROM care.search_notes('back pain', 5)").fetchall()
        assert 0 < len(found) <= 5
        assert {patient % 5 for (patient,) in found} == {1}
    for practitioner in ("", new):
        with acting(clinic, "clinic_practitioner", practitioner):
            assert one(clinic, "SELECT count(*) FROM care.clinical_notes") == 0
            assert clinic.execute("SELECT FROM care.search_notes('pain')").fetchall() == []
    note = "INSERT INTO care.clinical_notes (patient_id, practitioner_id, note_title, note_body) VALUES (1, %s, 'a', 'b')"
    with acting(clinic, "clinic_practitioner", new):
        clinic.execute(note, (new,))
        refused(clinic, psycopg.errors.InsufficientPrivilege, note, 1, match="row-level security")
        refused(
            clinic, psycopg.errors.InsufficientPrivilege, "UPDATE care.clinical_notes SET practitioner_id = 1", match="row-level security"
        )
    for role in ("clinic_reception", "clinic_researcher", "clinic_admin"):
        with acting(clinic, role):
            refused(clinic, psycopg.errors.InsufficientPrivilege, "SELECT FROM care.clinical_notes")


@oldest_and_newest
def test_research_sees_patients_masked_and_nothing_else(clinic: Connection, major: int) -> None:
    names = {
        value
        for row in clinic.execute("SELECT family_name, email::text, phone::text, record_number, (address).street FROM people.patients")
        for value in row
    }
    with acting(clinic, "clinic_researcher"):
        shown = clinic.execute("SELECT * FROM reporting.masked_patients ORDER BY patient_id").fetchall()
        assert shown[0] == (1, "B.", 1940, "p***@mail.example", "***01", "AT", [])
        assert not names & {value for row in shown for value in row if isinstance(value, str)}
        assert one(clinic, "SELECT count(*) FROM reporting.monthly_workload") == 5
        for table in ("people.patients", "care.appointments", "care.measurements", "reporting.appointment_overview"):
            refused(clinic, psycopg.errors.InsufficientPrivilege, f"SELECT FROM {table}")
    with acting(clinic, "clinic_reception"):
        assert (
            one(clinic, "SELECT patient_name FROM reporting.appointment_overview WHERE record_number = 'P00000001' LIMIT 1") == "Ben Bauer"
        )


def test_a_reader_of_the_masking_view_cannot_look_behind_it(clinic: Connection) -> None:
    """Without security_barrier a cheap function in WHERE is called with the rows the view hides."""
    with acting(clinic, "clinic_researcher"):
        clinic.execute("CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS "
                       "$$BEGIN RAISE NOTICE 'seen %', $1; RETURN true; END$$")  # fmt: skip
        heard: list[str] = []
        clinic.add_notice_handler(lambda said: heard.append(said.message_primary or ""))
        clinic.execute("SELECT FROM reporting.masked_patients WHERE pg_temp.tell(masked_email) LIMIT 3")
    assert heard
    assert not [said for said in heard if "patient" in said]


RIGHTS = {
    "people.patients": {"clinic_reception": "SELECT INSERT UPDATE", "clinic_practitioner": "SELECT",
                        "clinic_admin": "SELECT INSERT UPDATE DELETE"},
    "people.practitioner_specialities": {"clinic_reception": "SELECT", "clinic_practitioner": "SELECT",
                                         "clinic_admin": "SELECT INSERT UPDATE DELETE"},
    "care.appointments": {"clinic_reception": "SELECT INSERT UPDATE", "clinic_practitioner": "SELECT INSERT UPDATE"},
    "care.clinical_notes": {"clinic_practitioner": "SELECT INSERT UPDATE"},
    "care.measurements": {"clinic_practitioner": "SELECT INSERT"},
    "audit.entries": {"clinic_auditor": "SELECT"},
    "partitions.entries_2026_01": {},
    "partitions.measurements_2026_01": {},
    "platform.retention_rules": {},
    "reporting.masked_patients": {"clinic_researcher": "SELECT"},
}  # fmt: skip


@pytest.mark.parametrize("table", RIGHTS)
def test_each_role_has_the_least_rights_that_do(clinic: Connection, table: str) -> None:
    verbs = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    held = {
        role: " ".join(verb for verb in verbs if one(clinic, "SELECT has_table_privilege(%s, %s, %s)", role, table, verb)) for role in ROLES
    }
    assert {role: rights for role, rights in held.items() if rights} == RIGHTS[table]


def test_what_is_added_to_a_domain_is_granted_with_it(clinic: Connection) -> None:
    clinic.execute("CREATE TABLE people.contacts (contact_id bigint PRIMARY KEY)")
    with acting(clinic, "clinic_reception"):
        clinic.execute("SELECT FROM people.contacts")
        refused(clinic, psycopg.errors.InsufficientPrivilege, "INSERT INTO people.contacts VALUES (1)")
    clinic.execute("CREATE FUNCTION care.later() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    with acting(clinic, "clinic_reception"):
        refused(clinic, psycopg.errors.InsufficientPrivilege, "SELECT care.later()")


TRAIL = "SELECT change_kind::text, table_name, record_key, login_role = session_user, actor_name FROM audit.entries "


@oldest_and_newest
def test_the_trail_takes_keys_of_any_type_and_sees_truncate(clinic: Connection, major: int) -> None:
    clinic.execute("DELETE FROM audit.entries")
    with clinic.transaction():
        clinic.execute("SELECT set_config('app.actor_name', 'front desk', true)")
        clinic.execute("UPDATE people.patients SET phone = '+43660999999' WHERE patient_id = 7")
        clinic.execute("INSERT INTO people.practitioner_specialities VALUES (5, 'DERM', '2026-01-01')")
        clinic.execute(
            "UPDATE people.practitioner_specialities SET speciality_code = 'PHYS' WHERE speciality_code = 'DERM' AND practitioner_id = 5"
        )
        clinic.execute("DELETE FROM people.practitioner_specialities WHERE practitioner_id = 5 AND speciality_code = 'PHYS'")
        clinic.execute("TRUNCATE people.practitioner_specialities")
    derm, phys = ({"practitioner_id": 5, "speciality_code": code} for code in ("DERM", "PHYS"))
    rows = clinic.execute(TRAIL).fetchall()
    assert sorted(rows, key=str) == sorted(
        [
            ("update", "patients", {"patient_id": 7}, True, "front desk"),
            ("insert", "practitioner_specialities", derm, True, "front desk"),
            ("update", "practitioner_specialities", derm, True, "front desk"),
            ("delete", "practitioner_specialities", phys, True, "front desk"),
            ("truncate", "practitioner_specialities", None, True, "front desk"),
        ],
        key=str,
    )
    assert one(clinic, "SELECT new_row ->> 'phone' FROM audit.entries WHERE table_name = 'patients'") == "+43660999999"
    kept = one(clinic, "SELECT array_agg(k) FROM audit.entries, jsonb_object_keys(new_row) AS k WHERE table_name = 'patients'")
    assert isinstance(kept, list)
    assert "preferences" in kept
    assert not {"insurance_number_ciphertext", "insurance_number_digest"} & set(kept)


@pytest.mark.parametrize("role", ROLES)
def test_nobody_but_its_owner_writes_the_trail(clinic: Connection, role: str) -> None:
    for change in ("DELETE FROM audit.entries", "UPDATE audit.entries SET login_role = 'me'", "TRUNCATE audit.entries",
                   "INSERT INTO audit.entries (schema_name, table_name, change_kind, login_role, transaction_number) "
                   "VALUES ('a', 'b', 'truncate', 'c', 1)"):  # fmt: skip
        with acting(clinic, role):
            refused(clinic, psycopg.errors.InsufficientPrivilege, change)


@oldest_and_newest
def test_retention_drops_the_months_that_are_over(clinic: Connection, major: int) -> None:
    drop = "SELECT platform.drop_expired_partitions(%s, '2026-11-15')"
    assert one(clinic, drop, "care.measurements") == 0
    before = one(clinic, "SELECT count(*) FROM care.measurements")
    clinic.execute("UPDATE platform.retention_rules SET keep_for = interval '2 months' WHERE table_name = 'measurements'")
    assert one(clinic, drop, "care.measurements") == 8  # January to August: August ended before 15 September
    assert one(clinic, "SELECT count(*) FROM care.measurements WHERE measured_at < '2026-09-01Z'") == 0
    assert 0 < int(str(one(clinic, "SELECT count(*) FROM care.measurements"))) < int(str(before))
    assert one(clinic, drop, "care.appointments") == 0
    ahead = "SELECT platform.drop_expired_partitions('care.measurements', '2999-01-01')"
    refused(clinic, psycopg.errors.InvalidParameterValue, ahead, match="a day that has come")


def test_partitions_are_made_once_and_only_under_a_partitioned_table(clinic: Connection) -> None:
    make = "SELECT platform.create_month_partitions(%s, '2029-11-30', 3)"
    assert [one(clinic, make, "care.measurements") for _ in range(2)] == [3, 0]
    refused(clinic, psycopg.errors.WrongObjectType, make, "care.appointments", match="not a partitioned table")
    refused(clinic, psycopg.errors.InvalidParameterValue, "SELECT platform.create_month_partitions('care.measurements', '2029-01-01', 0)")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("people.patients", "email = 'nobody'"),
        ("people.patients", "phone = '0316 1234'"),
        ("people.patients", "address.country_code = 'at'"),
        ("people.patients", "preferences = '[]'"),
        ("people.patients", 'preferences = \'{"reminders": "yes"}\''),
        ("people.patients", "allergies = ARRAY[NULL]"),
        ("people.patients", "insurance_number_key_id = NULL"),
        ("people.patients", "insurance_number_digest = 'short'"),
        ("care.appointments", "ends_at = starts_at"),
        ("care.clinical_notes", "diagnosis_code = 'flu'"),
        ("care.measurements", "device = '{\"serial\": 7}'"),
    ],
)
def test_the_database_refuses_what_cannot_be(clinic: Connection, table: str, change: str) -> None:
    refused(clinic, psycopg.errors.CheckViolation, f"UPDATE {table} SET {change}")


@pytest.mark.parametrize(
    ("index", "query"),
    [
        ("clinical_notes_search_vector_idx", "SELECT FROM care.clinical_notes WHERE search_vector @@ to_tsquery('english', 'rash')"),
        ("patients_allergies_idx", "SELECT FROM people.patients WHERE allergies @> ARRAY['nuts']::varchar[]"),
        ("patients_preferences_idx", "SELECT FROM people.patients WHERE preferences @? '$.language ? (@ == \"it\")'"),
        ("patients_lower_family_name_idx", "SELECT FROM people.patients WHERE lower(family_name) = 'adler'"),
        ("appointments_booked_idx", "SELECT FROM care.appointments WHERE appointment_status = 'booked' AND starts_at < '2026-10-10Z'"),
        ("measurements_2026_08_expr_idx", "SELECT FROM care.measurements WHERE device ? 'serial' AND device ->> 'serial' = 'MX-3'"),
        ("entries_2026_11_record_key_idx", "SELECT FROM audit.entries WHERE record_key @> '{\"patient_id\": 7}'"),
        ("Index Only Scan.*appointments_patient_id_starts_at_idx",
         "SELECT starts_at, ends_at, appointment_status FROM care.appointments WHERE patient_id = 7 ORDER BY starts_at"),
        ("measurements_2026_08_measured_at_idx",
         "SELECT FROM care.measurements WHERE measured_at >= '2026-08-03Z' AND measured_at < '2026-08-04Z'"),
    ],
)  # fmt: skip
def test_each_index_serves_the_query_it_is_for(clinic: Connection, index: str, query: str) -> None:
    clinic.execute("SET LOCAL enable_seqscan = off")
    if index.startswith("measurements"):
        clinic.execute("SET LOCAL enable_indexscan = off")
    plan = "\n".join(line for (line,) in clinic.execute(f"EXPLAIN {query}"))
    assert re.search(index, plan), plan


def test_updated_at_moves(clinic: Connection) -> None:
    clinic.execute("UPDATE people.patients SET updated_at = '2020-01-01Z' WHERE patient_id = 1")
    assert one(clinic, "SELECT updated_at = now() FROM people.patients WHERE patient_id = 1") is True


@oldest_and_newest
def test_the_summary_is_refreshed_while_it_is_read(copy: Copy, major: int) -> None:
    with connect(copy("clinic")) as conn:
        conn.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY reporting.monthly_workload")
        assert one(conn, "SELECT sum(appointment_count) FROM reporting.monthly_workload") == one(
            conn, "SELECT count(*) FROM care.appointments WHERE appointment_status <> 'cancelled'"
        )
