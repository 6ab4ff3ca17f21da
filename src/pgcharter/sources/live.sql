-- name: prepare
-- Deparsed text depends on these settings; the timeouts keep the reader from standing in anyone's way for long.
select pg_catalog.set_config(s.name, s.value, true)
  from (values ('search_path', 'pg_catalog, pg_temp'), ('client_encoding', 'UTF8'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'),
               ('TimeZone', 'UTC'), ('bytea_output', 'hex'), ('extra_float_digits', '1'), ('quote_all_identifiers', 'off'),
               ('standard_conforming_strings', 'on'), ('lc_monetary', 'C'), ('jit', 'off'), ('work_mem', '32MB'), ('max_parallel_workers_per_gather', '0'),
               ('lock_timeout', '5s'), ('statement_timeout', '60s'), ('idle_in_transaction_session_timeout', '60s'))
       as s (name, value)
