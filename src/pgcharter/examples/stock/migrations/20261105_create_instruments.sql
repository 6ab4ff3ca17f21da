-- Migration: Create instruments
-- Description: Exchanges, and what is traded on them

-- Up Migration
BEGIN;

CREATE TABLE exchanges (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_exchanges_code UNIQUE (code),
    CONSTRAINT ck_exchanges_code_format CHECK (code ~ '^[A-Z0-9]{4}$')
);

COMMENT ON TABLE exchanges IS 'Places where instruments are traded';
COMMENT ON COLUMN exchanges.code IS 'Market identifier code (ISO 10383)';
COMMENT ON COLUMN exchanges.time_zone IS 'Name of the time zone by which its trading days are counted, such as Europe/Berlin';

CREATE TABLE instruments (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    exchange_id UUID NOT NULL,
    symbol TEXT NOT NULL,
    name TEXT NOT NULL,
    currency_code TEXT NOT NULL,
    is_traded BOOLEAN NOT NULL DEFAULT true,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_instruments_exchange_id_symbol UNIQUE (exchange_id, symbol),
    CONSTRAINT fk_instruments_exchanges FOREIGN KEY (exchange_id) REFERENCES exchanges (id) ON DELETE RESTRICT,
    CONSTRAINT ck_instruments_symbol_format CHECK (symbol ~ '^[A-Z0-9.]{1,12}$'),
    CONSTRAINT ck_instruments_currency_code_format CHECK (currency_code ~ '^[A-Z]{3}$')
);

-- uq_instruments_exchange_id_symbol begins with the foreign key, so it is the foreign key's index as well.

COMMENT ON TABLE instruments IS 'What can be ordered: shares and funds, once for each exchange';
COMMENT ON COLUMN instruments.symbol IS 'Short name on its exchange';
COMMENT ON COLUMN instruments.currency_code IS 'Currency of its prices (ISO 4217)';
COMMENT ON COLUMN instruments.is_traded IS 'Whether orders are taken';

GRANT SELECT ON exchanges, instruments TO stock_readonly, stock_application;
GRANT SELECT, INSERT, UPDATE ON exchanges, instruments TO stock_importer;

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE instruments;
DROP TABLE exchanges;

COMMIT;
