CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamptz);
CREATE TABLE orders_old (id bigint PRIMARY KEY, updated_at timestamptz);
CREATE FUNCTION check_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN coalesce(new, old); END $$;
CREATE TRIGGER on_change BEFORE UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION check_order();
CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO orders_old VALUES (new.*); RETURN NULL; END $$;
CREATE TRIGGER on_insert BEFORE INSERT ON orders FOR EACH ROW WHEN (new.updated_at < '2020-01-01') EXECUTE FUNCTION route();
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER afterwards AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'append-only'; RETURN NULL; END $$;
CREATE TRIGGER no_update BEFORE UPDATE ON orders_old FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE FUNCTION either() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'DELETE' THEN
        RETURN old;
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER either BEFORE INSERT OR DELETE ON orders_old FOR EACH ROW EXECUTE FUNCTION either();
CREATE FUNCTION refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'DELETE' THEN
        RAISE EXCEPTION 'orders are kept';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER refuse_delete BEFORE UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION refuse_delete();
