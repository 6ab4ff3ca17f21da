-- Migration: Seed the stock example
-- Description: Some hundred rows for development, the same keys and prices on every machine; never for production

-- Up Migration
BEGIN;

-- Nobody can sign in with these hashes: they are not the hash of anything.
INSERT INTO users (id, email, password_hash, is_email_verified, status)
SELECT md5('user ' || n)::uuid, 'trader' || n || '@example.org',
    '$argon2id$v=19$m=65536,t=3,p=4$c2VlZHNlZWRzZWVk$' || md5('password ' || n), n % 4 > 0,
    CASE WHEN n = 13 THEN 'banned' WHEN n % 10 = 0 THEN 'inactive' ELSE 'active' END
FROM generate_series(1, 20) AS n;

INSERT INTO exchanges (id, code, name, time_zone) VALUES
    (md5('XETR')::uuid, 'XETR', 'Xetra', 'Europe/Berlin'),
    (md5('XNYS')::uuid, 'XNYS', 'New York Stock Exchange', 'America/New_York'),
    (md5('XTKS')::uuid, 'XTKS', 'Tokyo Stock Exchange', 'Asia/Tokyo');

INSERT INTO instruments (id, exchange_id, symbol, name, currency_code)
SELECT md5('instrument ' || n)::uuid, md5(e.code)::uuid, 'EX' || n, 'Example company ' || n, e.currency
FROM generate_series(1, 12) AS n
JOIN (VALUES (0, 'XETR', 'EUR'), (1, 'XNYS', 'USD'), (2, 'XTKS', 'JPY')) AS e (remainder, code, currency) ON n % 3 = e.remainder;

-- Thirty-five trading days, weekends left out; prices swing around a base of each instrument.
INSERT INTO stock_data (instrument_id, traded_on, open_price, high_price, low_price, close_price, volume)
SELECT md5('instrument ' || n)::uuid, d::date,
    b.base, b.base + 1.25, b.base - 1.25, b.base + round(cos(n * 2 + extract(doy FROM d))::numeric, 2), 1000 * n + extract(doy FROM d)::integer
FROM generate_series(1, 12) AS n
CROSS JOIN generate_series(date '2026-10-01', date '2026-11-18', interval '1 day') AS d
CROSS JOIN LATERAL (SELECT 20 * n + round(sin(n + extract(doy FROM d) / 9)::numeric * 5, 2) AS base) AS b
WHERE extract(isodow FROM d) < 6;

INSERT INTO orders (user_id, instrument_id, side, status, quantity, price, executed_at)
SELECT md5('user ' || (n % 20 + 1))::uuid, md5('instrument ' || (n % 12 + 1))::uuid, CASE WHEN n % 3 = 0 THEN 'sell' ELSE 'buy' END,
    s.status, n % 7 + 1, 20 * (n % 12 + 1), CASE WHEN s.status = 'executed' THEN now() END
FROM generate_series(1, 80) AS n
CROSS JOIN LATERAL (SELECT (ARRAY['executed', 'executed', 'executed', 'open', 'cancelled'])[n % 5 + 1] AS status) AS s;

INSERT INTO watchlists (id, user_id, name)
SELECT md5('watchlist ' || n)::uuid, md5('user ' || n)::uuid, 'Favourites' FROM generate_series(1, 20) AS n;

INSERT INTO watchlist_items (watchlist_id, instrument_id)
SELECT md5('watchlist ' || n)::uuid, md5('instrument ' || ((n * i) % 12 + 1))::uuid
FROM generate_series(1, 20) AS n CROSS JOIN generate_series(1, 3) AS i
ON CONFLICT DO NOTHING;

COMMIT;

-- Down Migration
BEGIN;

DELETE FROM watchlists WHERE id IN (SELECT md5('watchlist ' || n)::uuid FROM generate_series(1, 20) AS n);
DELETE FROM orders WHERE user_id IN (SELECT md5('user ' || n)::uuid FROM generate_series(1, 20) AS n);
DELETE FROM stock_data WHERE instrument_id IN (SELECT md5('instrument ' || n)::uuid FROM generate_series(1, 12) AS n);
DELETE FROM instruments WHERE id IN (SELECT md5('instrument ' || n)::uuid FROM generate_series(1, 12) AS n);
DELETE FROM exchanges WHERE code IN ('XETR', 'XNYS', 'XTKS');
DELETE FROM users WHERE id IN (SELECT md5('user ' || n)::uuid FROM generate_series(1, 20) AS n);

COMMIT;
