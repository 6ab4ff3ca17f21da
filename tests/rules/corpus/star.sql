-- A star schema, staging beside it. House: schemas dw and staging, dim_ and fact_, surrogate *_key, facts keyed by their source.
CREATE SCHEMA dw;
CREATE SCHEMA staging;

CREATE TABLE dw.dim_date (
    date_key integer PRIMARY KEY,
    date date NOT NULL UNIQUE,
    year smallint NOT NULL,
    quarter smallint NOT NULL,
    month smallint NOT NULL,
    iso_week smallint NOT NULL,
    is_weekend boolean NOT NULL,
    holiday text
);
CREATE TABLE dw.dim_store (
    store_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id text NOT NULL,
    name text NOT NULL,
    city text NOT NULL,
    country char(2) NOT NULL,
    valid_from date NOT NULL,
    valid_to date NOT NULL DEFAULT 'infinity',
    is_current boolean NOT NULL DEFAULT true,
    UNIQUE (store_id, valid_from)
);
CREATE UNIQUE INDEX dim_store_current ON dw.dim_store (store_id) WHERE is_current;
CREATE TABLE dw.dim_product (
    product_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL,
    name text NOT NULL,
    category_1 text NOT NULL,
    category_2 text,
    category_3 text,
    list_price numeric(12, 2) NOT NULL,
    valid_from date NOT NULL,
    UNIQUE (sku, valid_from)
);

CREATE TABLE dw.fact_sales (
    date_key integer NOT NULL REFERENCES dw.dim_date,
    store_key integer NOT NULL REFERENCES dw.dim_store,
    product_key bigint NOT NULL REFERENCES dw.dim_product,
    receipt_number text NOT NULL,
    receipt_line smallint NOT NULL,
    quantity numeric(10, 3) NOT NULL,
    gross_amount numeric(12, 2) NOT NULL,
    discount_amount numeric(12, 2) NOT NULL DEFAULT 0,
    cost_amount numeric(12, 4) NOT NULL,
    PRIMARY KEY (date_key, store_key, receipt_number, receipt_line)
) PARTITION BY RANGE (date_key);
CREATE INDEX fact_sales_store ON dw.fact_sales (store_key, date_key);
CREATE INDEX fact_sales_product ON dw.fact_sales (product_key, date_key);
CREATE TABLE dw.fact_sales_2025 PARTITION OF dw.fact_sales FOR VALUES FROM (20250101) TO (20260101);
CREATE TABLE dw.fact_sales_2026 PARTITION OF dw.fact_sales FOR VALUES FROM (20260101) TO (20270101);

CREATE TABLE dw.fact_inventory_daily (
    date_key integer NOT NULL REFERENCES dw.dim_date,
    store_key integer NOT NULL REFERENCES dw.dim_store,
    product_key bigint NOT NULL REFERENCES dw.dim_product,
    on_hand numeric(10, 3) NOT NULL,
    PRIMARY KEY (product_key, store_key, date_key)
);
CREATE INDEX fact_inventory_daily_store ON dw.fact_inventory_daily (store_key);
CREATE INDEX fact_inventory_daily_date ON dw.fact_inventory_daily USING btree (date_key);

-- Staging: everything is text until it was looked at; thrown away after each load.
CREATE UNLOGGED TABLE staging.sales (
    loaded_at timestamptz NOT NULL DEFAULT now(),
    file_name text NOT NULL,
    sale_date text,
    created_at text,
    store_id text,
    product_ids text,
    amount text
);
CREATE TABLE staging.rejects (
    reject_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_table text NOT NULL,
    row_data jsonb NOT NULL,
    reason text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now()
);

CREATE MATERIALIZED VIEW dw.sales_by_month AS
    SELECT d.year, d.month, s.store_key, sum(f.gross_amount) AS gross
    FROM dw.fact_sales f JOIN dw.dim_date d USING (date_key) JOIN dw.dim_store s USING (store_key)
    GROUP BY 1, 2, 3;
CREATE UNIQUE INDEX sales_by_month_key ON dw.sales_by_month (year, month, store_key);

CREATE PROCEDURE dw.load_sales() LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO staging.rejects (source_table, row_data, reason)
    SELECT 'sales', to_jsonb(s), 'no amount' FROM staging.sales s WHERE s.amount IS NULL;
    DELETE FROM staging.sales WHERE amount IS NULL;
END $$;
