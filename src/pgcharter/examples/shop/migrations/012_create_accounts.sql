-- Migration: Create accounts
-- Author: pgcharter
-- Date: 2026-11-22
-- Description: Money that vendors hold with the marketplace, and transfers between them

CREATE TABLE sales.accounts (
    account_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    vendor_id UUID NOT NULL,
    currency_code VARCHAR(3) NOT NULL,
    balance_amount NUMERIC(14, 2) NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_accounts_tenant_id_account_id UNIQUE (tenant_id, account_id),
    CONSTRAINT uq_accounts_tenant_id_vendor_id UNIQUE (tenant_id, vendor_id),
    CONSTRAINT fk_accounts_vendor_id FOREIGN KEY (tenant_id, vendor_id)
        REFERENCES catalog.vendors (tenant_id, vendor_id) ON DELETE RESTRICT,
    CONSTRAINT chk_accounts_balance_amount_not_negative CHECK (balance_amount >= 0),
    CONSTRAINT chk_accounts_currency_code_format CHECK (currency_code ~ '^[A-Z]{3}$')
);

COMMENT ON TABLE sales.accounts IS 'Money of vendors that the marketplace keeps for them';
COMMENT ON COLUMN sales.accounts.account_id IS 'Key, in whose order accounts are locked when money moves between two';
COMMENT ON COLUMN sales.accounts.tenant_id IS 'Tenant that keeps the account';
COMMENT ON COLUMN sales.accounts.vendor_id IS 'Vendor whose money it is';
COMMENT ON COLUMN sales.accounts.currency_code IS 'ISO 4217 code of the balance';
COMMENT ON COLUMN sales.accounts.balance_amount IS 'What the vendor can dispose of';
COMMENT ON COLUMN sales.accounts.version IS 'Grows with every change; who writes says which version has been read';
COMMENT ON COLUMN sales.accounts.created_at IS 'When the account was opened';
COMMENT ON COLUMN sales.accounts.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_accounts_set_updated_at
    BEFORE UPDATE ON sales.accounts
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

CREATE TABLE sales.transfers (
    transfer_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    from_account_id UUID NOT NULL,
    to_account_id UUID NOT NULL,
    amount NUMERIC(14, 2) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT fk_transfers_from_account_id FOREIGN KEY (tenant_id, from_account_id)
        REFERENCES sales.accounts (tenant_id, account_id) ON DELETE RESTRICT,
    CONSTRAINT fk_transfers_to_account_id FOREIGN KEY (tenant_id, to_account_id)
        REFERENCES sales.accounts (tenant_id, account_id) ON DELETE RESTRICT,
    CONSTRAINT chk_transfers_amount_positive CHECK (amount > 0),
    CONSTRAINT chk_transfers_to_account_id_other CHECK (to_account_id <> from_account_id)
);

CREATE INDEX idx_transfers_tenant_id_from_account_id_created_at ON sales.transfers (tenant_id, from_account_id, created_at);
CREATE INDEX idx_transfers_tenant_id_to_account_id_created_at ON sales.transfers (tenant_id, to_account_id, created_at);

COMMENT ON TABLE sales.transfers IS 'Money that went from one account to another';
COMMENT ON COLUMN sales.transfers.transfer_id IS 'Key, which both vendors are told';
COMMENT ON COLUMN sales.transfers.tenant_id IS 'Tenant that keeps both accounts';
COMMENT ON COLUMN sales.transfers.from_account_id IS 'Account that the money left';
COMMENT ON COLUMN sales.transfers.to_account_id IS 'Account that it went to';
COMMENT ON COLUMN sales.transfers.amount IS 'How much, in the currency of both accounts';
COMMENT ON COLUMN sales.transfers.created_at IS 'When it was moved';
COMMENT ON COLUMN sales.transfers.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_transfers_set_updated_at
    BEFORE UPDATE ON sales.transfers
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();
