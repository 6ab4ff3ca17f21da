-- What pg_partman leaves behind: parent, pre-made children, default, template. And plain inheritance's place: none.
CREATE SCHEMA partman;
CREATE TABLE public.access_log (
    log_id bigint GENERATED ALWAYS AS IDENTITY,
    logged_at timestamptz NOT NULL DEFAULT now(),
    method text NOT NULL,
    path text NOT NULL,
    status smallint NOT NULL,
    user_id bigint,
    ip inet,
    duration_ms integer NOT NULL,
    PRIMARY KEY (log_id, logged_at)
) PARTITION BY RANGE (logged_at);
CREATE INDEX access_log_logged_at_idx ON public.access_log (logged_at);
CREATE INDEX access_log_errors_idx ON public.access_log (logged_at, path) WHERE status >= 500;
CREATE TABLE public.access_log_p20260101 PARTITION OF public.access_log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.access_log_p20260201 PARTITION OF public.access_log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE public.access_log_p20260301 PARTITION OF public.access_log FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE public.access_log_default PARTITION OF public.access_log DEFAULT;
CREATE TABLE partman.template_public_access_log (LIKE public.access_log);
CREATE TABLE partman.part_config (
    parent_table text PRIMARY KEY,
    control text NOT NULL,
    partition_interval text NOT NULL,
    premake integer NOT NULL DEFAULT 4,
    retention text,
    automatic_maintenance text NOT NULL DEFAULT 'on'
);
-- By number, sub-partitioned by list.
CREATE TABLE public.tasks (
    task_id bigint NOT NULL,
    region text NOT NULL,
    payload jsonb NOT NULL,
    PRIMARY KEY (task_id, region)
) PARTITION BY RANGE (task_id);
CREATE TABLE public.tasks_p0 PARTITION OF public.tasks FOR VALUES FROM (0) TO (1000000) PARTITION BY LIST (region);
CREATE TABLE public.tasks_p0_eu PARTITION OF public.tasks_p0 FOR VALUES IN ('eu');
CREATE TABLE public.tasks_p0_us PARTITION OF public.tasks_p0 FOR VALUES IN ('us');
CREATE TABLE public.tasks_p1000000 PARTITION OF public.tasks FOR VALUES FROM (1000000) TO (2000000) PARTITION BY LIST (region);
CREATE TABLE public.tasks_p1000000_eu PARTITION OF public.tasks_p1000000 FOR VALUES IN ('eu');
CREATE TABLE public.tasks_p1000000_us PARTITION OF public.tasks_p1000000 FOR VALUES IN ('us');
