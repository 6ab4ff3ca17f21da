CREATE TABLE jobs (
    job_id uuid PRIMARY KEY,
    status text NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL,
    leader boolean
);
CREATE INDEX idx_jobs_pending ON jobs (queued_at) WHERE status = 'pending';
CREATE INDEX idx_jobs_open ON jobs (status) WHERE status IN ('pending', 'running');
CREATE INDEX idx_jobs_failing ON jobs (attempts) WHERE attempts > 0;
CREATE INDEX idx_jobs_status_queued_at ON jobs (status, queued_at) WHERE status = 'pending';
CREATE UNIQUE INDEX uq_jobs_leader ON jobs (leader) WHERE leader = true;
