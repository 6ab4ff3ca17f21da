CREATE TABLE articles (
    id bigint PRIMARY KEY,
    status text, address text, email_address text, alias text, series text, news text, basis text, analysis text, sms text, gps text,
    tags text[], attributes jsonb, settings json, document tsvector, attachments bytea,
    views bigint, seconds integer, days smallint, likes integer, total_bytes numeric, retries integer,
    is_comments boolean, has_items boolean, notifications boolean, accepts_terms boolean,
    notes text, comments text, instructions text, list_of_names text,
    days_of_week text, terms_url text, goods_class text,
    expires timestamptz, starts date, ends date,
    class text, business text, data text, stock_data text, media text, media_type text, canvas text, lens text, bonus text, bus text,
    plus text, always text, redis text, kurs text, haus text, apparatus text, radius text, iris text, atlas text, https text,
    "Kürzungen" text, "größes" text, headquarters text, address2 text, settings_id bigint, permissions_id uuid,
    leaves text, bases text, sales text, credentials text, means text, lotus text, this text, movie text, axis text
);
