-- How far jobs on encrypted columns have come.

-- name: position
select position from pgcharter.key_jobs where job = %s

-- name: keep
insert into pgcharter.key_jobs (job, position) values (%s, %s)
    on conflict (job) do update set position = excluded.position, updated_at = now()

-- name: forget
delete from pgcharter.key_jobs where job = %s
