-- Migration: Create payment cards
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: Cards that customers keep with the marketplace; their numbers come encrypted, see [encryption] of the charter

CREATE TYPE sales.card_brand AS ENUM ('visa', 'mastercard', 'maestro');
COMMENT ON TYPE sales.card_brand IS 'Network that a card belongs to';

-- A card that is renewed has another number: it is another row.
CREATE TABLE sales.payment_cards (
    payment_card_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    user_id UUID NOT NULL,
    card_brand sales.card_brand NOT NULL,
    card_number_encrypted BYTEA NOT NULL,
    card_number_exact BYTEA NOT NULL,
    card_number_last4 BYTEA NOT NULL,
    valid_until DATE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT fk_payment_cards_user_id FOREIGN KEY (tenant_id, user_id)
        REFERENCES identity.users (tenant_id, user_id) ON DELETE CASCADE
);

CREATE INDEX idx_payment_cards_tenant_id_user_id ON sales.payment_cards (tenant_id, user_id);
CREATE INDEX idx_payment_cards_card_number_exact ON sales.payment_cards (card_number_exact);
CREATE INDEX idx_payment_cards_card_number_last4 ON sales.payment_cards (card_number_last4);

COMMENT ON TABLE sales.payment_cards IS 'Cards that customers pay with; the number is encrypted by the application, under a key of its tenant';
COMMENT ON COLUMN sales.payment_cards.payment_card_id IS 'Key, which the encrypted number is bound to';
COMMENT ON COLUMN sales.payment_cards.tenant_id IS 'Tenant of the customer, which the encrypted number is bound to as well';
COMMENT ON COLUMN sales.payment_cards.user_id IS 'Customer whose card it is';
COMMENT ON COLUMN sales.payment_cards.card_brand IS 'Network that the card belongs to';
COMMENT ON COLUMN sales.payment_cards.card_number_encrypted IS 'The number, encrypted by the application; 013 sees to it that nothing else gets in';
COMMENT ON COLUMN sales.payment_cards.card_number_exact IS 'Blind index: a keyed digest of the number, to look it up by';
COMMENT ON COLUMN sales.payment_cards.card_number_last4 IS 'Blind index of the last four digits, which customers know their cards by';
COMMENT ON COLUMN sales.payment_cards.valid_until IS 'Last day on which it is accepted';
COMMENT ON COLUMN sales.payment_cards.created_at IS 'When the customer left it here';
COMMENT ON COLUMN sales.payment_cards.updated_at IS 'When the row last changed; writing the same number under a new key is no change';

CREATE TRIGGER trg_payment_cards_set_updated_at
    BEFORE UPDATE OF tenant_id, user_id, card_brand, valid_until ON sales.payment_cards
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();
