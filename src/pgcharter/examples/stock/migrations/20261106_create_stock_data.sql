-- Migration: Create stock data
-- Description: Prices of a trading day, partitioned by year

-- Up Migration
BEGIN;

-- A price is found by instrument and day and by nothing else: here the natural key is clearly better than a surrogate one.
CREATE TABLE stock_data (
    instrument_id UUID NOT NULL,
    traded_on DATE NOT NULL,
    open_price NUMERIC(19, 4) NOT NULL,
    high_price NUMERIC(19, 4) NOT NULL,
    low_price NUMERIC(19, 4) NOT NULL,
    close_price NUMERIC(19, 4) NOT NULL,
    volume BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (instrument_id, traded_on),
    CONSTRAINT fk_stock_data_instruments FOREIGN KEY (instrument_id) REFERENCES instruments (id) ON DELETE RESTRICT,
    CONSTRAINT ck_stock_data_price_positive CHECK (low_price > 0),
    CONSTRAINT ck_stock_data_price_range CHECK (
        low_price <= open_price AND low_price <= close_price AND open_price <= high_price AND close_price <= high_price
    ),
    CONSTRAINT ck_stock_data_volume_not_negative CHECK (volume >= 0)
) PARTITION BY RANGE (traded_on);

CREATE INDEX idx_stock_data_traded_on ON stock_data (traded_on);

COMMENT ON TABLE stock_data IS 'Prices and volume of each instrument and trading day, partitioned by year';
COMMENT ON COLUMN stock_data.traded_on IS 'Trading day in the time zone of the exchange';
COMMENT ON COLUMN stock_data.volume IS 'Number of pieces that changed hands';

CREATE FUNCTION create_stock_data_partitions(p_first_year integer, p_last_year integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made integer := 0;
BEGIN
    FOR year IN p_first_year .. p_last_year LOOP
        CONTINUE WHEN to_regclass(format('public.stock_data_%s', year)) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE public.stock_data_%s PARTITION OF public.stock_data FOR VALUES FROM (%L) TO (%L)',
            year, make_date(year, 1, 1), make_date(year + 1, 1, 1)
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION create_stock_data_partitions(integer, integer) IS
    'Makes the missing partitions of stock_data from one year to another; returns how many it made. Run it before the year begins';

SELECT create_stock_data_partitions(2025, extract(year FROM current_date)::integer + 1);

GRANT SELECT ON stock_data TO stock_readonly, stock_application;
GRANT SELECT, INSERT, UPDATE ON stock_data TO stock_importer;

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE stock_data;
DROP FUNCTION create_stock_data_partitions(integer, integer);

COMMIT;
