CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    placed_at timestamptz NOT NULL DEFAULT now(),
    delivery_on date,
    opens time
);
-- nine o'clock there, whatever the clocks do until then
CREATE TABLE appointments (
    appointment_id uuid PRIMARY KEY,
    starts_at timestamp NOT NULL,
    time_zone text NOT NULL
);
CREATE TABLE reminders (
    reminder_id uuid PRIMARY KEY,
    local_time timestamp NOT NULL
);

-- computed, and says how
CREATE TABLE stamped (
    stamped_id bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    day timestamp GENERATED ALWAYS AS (date_trunc('day', at AT TIME ZONE 'UTC')) STORED
);
