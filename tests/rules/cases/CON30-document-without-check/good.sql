CREATE TABLE orders (
    id bigint PRIMARY KEY,
    details jsonb NOT NULL CHECK (jsonb_typeof(details) = 'object'),
    extra json CHECK (json_typeof(extra) = 'object'),
    raw_request jsonb,
    totals jsonb GENERATED ALWAYS AS (details -> 'totals') STORED,
    history jsonb[]
);
CREATE DOMAIN document AS jsonb CHECK (jsonb_typeof(VALUE) = 'object');
CREATE TABLE pages (id bigint PRIMARY KEY, body document);
CREATE TABLE forms (id bigint PRIMARY KEY, answers jsonb NOT NULL);
CREATE FUNCTION valid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (NEW.answers ? 'email') THEN
        RAISE EXCEPTION 'an answer needs an e-mail address';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER valid BEFORE INSERT OR UPDATE ON forms FOR EACH ROW EXECUTE FUNCTION valid();
CREATE SCHEMA staging;
CREATE TABLE staging.feed (line jsonb);
