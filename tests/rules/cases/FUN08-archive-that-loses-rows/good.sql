CREATE TABLE orders (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE TABLE orders_archive (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE FUNCTION archive_orders() RETURNS void LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM orders WHERE created_at < now() - interval '7 years' RETURNING *)
    INSERT INTO orders_archive SELECT * FROM gone;
$$;
CREATE FUNCTION archive_under_lock() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO orders_archive SELECT * FROM orders WHERE created_at < now() - interval '7 years';
    DELETE FROM orders WHERE created_at < now() - interval '7 years';
END $$;
CREATE FUNCTION replace_copy() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM orders_archive WHERE id > 100;
    INSERT INTO orders_archive SELECT * FROM orders WHERE id > 100;
    DELETE FROM orders WHERE id > 200;
END $$;
