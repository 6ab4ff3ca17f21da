-- A job queue read with SKIP LOCKED. House: schema queue, identity keys, partial indexes, an UNLOGGED table of work in progress.
CREATE SCHEMA queue;
CREATE TYPE queue.job_state AS ENUM ('ready', 'running', 'done', 'failed', 'dead');

CREATE TABLE queue.jobs (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL DEFAULT 'default',
    kind text NOT NULL,
    payload jsonb NOT NULL,
    state queue.job_state NOT NULL DEFAULT 'ready',
    priority smallint NOT NULL DEFAULT 0,
    attempts smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL DEFAULT 5,
    run_at timestamptz NOT NULL DEFAULT now(),
    locked_by text,
    locked_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    dedupe_key text,
    last_error text,
    correlation_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT jobs_running_is_locked CHECK (state <> 'running' OR (locked_by IS NOT NULL AND locked_until IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX jobs_ready ON queue.jobs (queue, priority DESC, run_at, job_id) WHERE state = 'ready';
CREATE INDEX jobs_expired ON queue.jobs (locked_until) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_dedupe ON queue.jobs (dedupe_key) WHERE state IN ('ready', 'running');
CREATE UNIQUE INDEX jobs_single_migration ON queue.jobs (kind) WHERE kind = 'migrate' AND state = 'running';

CREATE TABLE queue.attempts (
    job_id bigint NOT NULL REFERENCES queue.jobs ON DELETE CASCADE,
    attempt smallint NOT NULL,
    worker text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    error text,
    PRIMARY KEY (job_id, attempt)
);

CREATE TABLE queue.schedules (
    name text PRIMARY KEY,
    cron text NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    next_run_at timestamptz NOT NULL
);

CREATE UNLOGGED TABLE queue.worker_heartbeats (
    worker text PRIMARY KEY,
    host text NOT NULL,
    beat_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE queue.worker_heartbeats IS 'Who is alive. UNLOGGED on purpose: after a crash no worker is.';

CREATE FUNCTION queue.take(worker text, wanted text, lease interval) RETURNS SETOF queue.jobs LANGUAGE sql AS $$
    UPDATE queue.jobs SET state = 'running', locked_by = worker, locked_until = now() + lease,
        attempts = attempts + 1, fence = fence + 1
    WHERE job_id = (
        SELECT job_id FROM queue.jobs
        WHERE state = 'ready' AND queue = wanted AND run_at <= now()
        ORDER BY priority DESC, run_at, job_id
        FOR UPDATE SKIP LOCKED LIMIT 1)
    RETURNING *
$$;

CREATE FUNCTION queue.purge(older interval) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM queue.jobs WHERE state IN ('done', 'dead') AND finished_at < now() - older RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION queue.wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('queue', NEW.queue);
    RETURN NULL;
END $$;
CREATE TRIGGER wake AFTER INSERT ON queue.jobs FOR EACH ROW WHEN (NEW.state = 'ready') EXECUTE FUNCTION queue.wake();
