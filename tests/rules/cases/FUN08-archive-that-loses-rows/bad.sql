CREATE TABLE orders (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE TABLE orders_archive (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE FUNCTION archive_orders() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO orders_archive
    SELECT * FROM orders
    WHERE created_at < now() - interval '7 years';

    DELETE FROM orders
    WHERE created_at < now() - interval '7 years';
END $$;
