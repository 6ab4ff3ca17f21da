-- since: 18
-- Temporal keys and foreign keys, uuid v7, virtual columns. House: singular, `<table>_id`.
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE employee (
    employee_id uuid NOT NULL DEFAULT uuidv7(),
    valid_at daterange NOT NULL DEFAULT daterange(CURRENT_DATE, NULL),
    name text NOT NULL,
    department text NOT NULL,
    PRIMARY KEY (employee_id, valid_at WITHOUT OVERLAPS)
);
CREATE TABLE salary (
    employee_id uuid NOT NULL,
    valid_at daterange NOT NULL,
    monthly numeric(10, 2) NOT NULL CHECK (monthly > 0),
    yearly numeric(12, 2) GENERATED ALWAYS AS (monthly * 12) VIRTUAL,
    PRIMARY KEY (employee_id, valid_at WITHOUT OVERLAPS),
    FOREIGN KEY (employee_id, PERIOD valid_at) REFERENCES employee (employee_id, PERIOD valid_at)
);
CREATE TABLE assignment (
    assignment_id uuid PRIMARY KEY DEFAULT uuidv7(),
    employee_id uuid NOT NULL,
    project text NOT NULL,
    during daterange NOT NULL,
    CONSTRAINT assignment_once UNIQUE (employee_id, project, during WITHOUT OVERLAPS),
    FOREIGN KEY (employee_id, PERIOD during) REFERENCES employee (employee_id, PERIOD valid_at)
);
CREATE TABLE ticket (
    ticket_id uuid PRIMARY KEY DEFAULT uuidv7(),
    created_at timestamptz GENERATED ALWAYS AS (uuid_extract_timestamp(ticket_id)) STORED,
    title text NOT NULL,
    is_open boolean NOT NULL DEFAULT true
);
CREATE INDEX ticket_open ON ticket (created_at) WHERE is_open;
