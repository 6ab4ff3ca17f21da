-- Double-entry bookkeeping. House: schema of its own, plural tables, bigint identity keys called id, CHECK lists, NUMERIC amounts.
CREATE SCHEMA ledger;

CREATE TABLE ledger.currencies (
    code char(3) PRIMARY KEY CHECK (code ~ '^[A-Z]{3}$'),
    name text NOT NULL,
    minor_digits smallint NOT NULL DEFAULT 2 CHECK (minor_digits BETWEEN 0 AND 4)
);

CREATE TABLE ledger.accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number text NOT NULL UNIQUE,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'equity', 'income', 'expense')),
    currency char(3) NOT NULL REFERENCES ledger.currencies (code),
    parent_id bigint REFERENCES ledger.accounts (id) ON DELETE RESTRICT,
    opened_on date NOT NULL DEFAULT CURRENT_DATE,
    closed_on date,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_closed_after_opened CHECK (closed_on IS NULL OR closed_on >= opened_on)
);
CREATE INDEX accounts_parent_id_idx ON ledger.accounts (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX accounts_currency_idx ON ledger.accounts (currency);

CREATE TABLE ledger.journals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference text NOT NULL UNIQUE,
    booked_on date NOT NULL,
    description text NOT NULL DEFAULT '',
    reverses_id bigint UNIQUE REFERENCES ledger.journals (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT SESSION_USER
);
CREATE INDEX journals_booked_on_idx ON ledger.journals (booked_on);

CREATE TABLE ledger.postings (
    journal_id bigint NOT NULL REFERENCES ledger.journals (id) ON DELETE RESTRICT,
    line smallint NOT NULL CHECK (line > 0),
    account_id bigint NOT NULL REFERENCES ledger.accounts (id) ON DELETE RESTRICT,
    amount numeric(19, 4) NOT NULL CHECK (amount <> 0),
    memo text,
    PRIMARY KEY (journal_id, line)
);
CREATE INDEX postings_account_id_idx ON ledger.postings (account_id) INCLUDE (amount);

CREATE TABLE ledger.account_balances (
    account_id bigint PRIMARY KEY REFERENCES ledger.accounts (id) ON DELETE CASCADE,
    balance numeric(19, 4) NOT NULL DEFAULT 0,
    as_of timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ledger.periods (
    period daterange PRIMARY KEY,
    closed boolean NOT NULL DEFAULT false,
    EXCLUDE USING gist (period WITH &&)
);

CREATE TABLE ledger.exchange_rates (
    base char(3) NOT NULL REFERENCES ledger.currencies (code),
    quote char(3) NOT NULL REFERENCES ledger.currencies (code),
    valid_on date NOT NULL,
    rate double precision NOT NULL CHECK (rate > 0),
    PRIMARY KEY (base, quote, valid_on)
);
CREATE INDEX exchange_rates_quote_idx ON ledger.exchange_rates (quote);

-- The sum over a journal is checked at COMMIT, when all its postings are there.
CREATE FUNCTION ledger.assert_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    total numeric;
BEGIN
    SELECT sum(amount) INTO total FROM ledger.postings WHERE journal_id = coalesce(NEW.journal_id, OLD.journal_id);
    IF total <> 0 THEN
        RAISE EXCEPTION 'journal % is out of balance by %', coalesce(NEW.journal_id, OLD.journal_id), total
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT OR UPDATE OR DELETE ON ledger.postings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.assert_balanced();

CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is not allowed: book a reversal', TG_OP, TG_TABLE_NAME;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.postings FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ledger.postings FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

CREATE VIEW ledger.trial_balance AS
    SELECT a.number, a.name, sum(p.amount) AS balance
    FROM ledger.accounts a JOIN ledger.postings p ON p.account_id = a.id
    GROUP BY a.id;
