SET search_path = app;
SET client_encoding = 'UTF8';      UPDATE orders SET total = 0;

DELETE FROM orders;