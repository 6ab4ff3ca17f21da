CREATE TABLE jobs (
    job_id uuid PRIMARY KEY,
    status text NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL
);
CREATE INDEX idx_jobs_pending ON jobs (status) WHERE status = 'pending';
CREATE INDEX idx_jobs_new ON jobs (status, attempts) WHERE status = 'pending' AND attempts = 0;
