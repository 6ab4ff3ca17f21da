-- A CRM with lookup tables. House: schema per area, singular, varchar everywhere, natural keys for lists, `created_on` dates, rules by CHECK.
CREATE SCHEMA ref;
CREATE SCHEMA crm;
CREATE TABLE ref.lead_stage (stage_code varchar(20) PRIMARY KEY, label varchar(60) NOT NULL, sort_order smallint NOT NULL UNIQUE);
CREATE TABLE ref.industry (industry_code varchar(10) PRIMARY KEY, label varchar(120) NOT NULL);
CREATE TABLE ref.country (iso2 char(2) PRIMARY KEY, iso3 char(3) NOT NULL UNIQUE, label varchar(80) NOT NULL);

CREATE TABLE crm.company (
    company_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    legal_name varchar(200) NOT NULL,
    vat_id varchar(20) UNIQUE,
    industry_code varchar(10) REFERENCES ref.industry,
    country char(2) NOT NULL REFERENCES ref.country (iso2),
    address_line1 varchar(120), address_line2 varchar(120), address_line3 varchar(120),
    phone varchar(30), website varchar(300),
    annual_revenue numeric(15, 2) CHECK (annual_revenue >= 0),
    created_on date NOT NULL DEFAULT CURRENT_DATE
);
CREATE TABLE crm.contact (
    contact_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id integer NOT NULL REFERENCES crm.company ON DELETE CASCADE,
    given_name varchar(80) NOT NULL,
    family_name varchar(80) NOT NULL,
    email varchar(254),
    born_on date,
    is_primary boolean NOT NULL DEFAULT false,
    newsletter boolean
);
CREATE UNIQUE INDEX contact_primary ON crm.contact (company_id) WHERE is_primary;
CREATE UNIQUE INDEX contact_email ON crm.contact (company_id, lower(email));
CREATE TABLE crm.deal (
    deal_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id integer NOT NULL REFERENCES crm.company,
    owner varchar(63) NOT NULL DEFAULT CURRENT_USER,
    stage_code varchar(20) NOT NULL DEFAULT 'new' REFERENCES ref.lead_stage,
    title varchar(200) NOT NULL,
    amount numeric(15, 2),
    currency char(3),
    probability real NOT NULL DEFAULT 0.1 CHECK (probability BETWEEN 0 AND 1),
    expected_on date,
    closed_on date,
    lost_reason varchar(400),
    CHECK ((amount IS NULL) = (currency IS NULL))
);
CREATE INDEX deal_company ON crm.deal (company_id);
CREATE INDEX deal_open ON crm.deal (expected_on) WHERE closed_on IS NULL;
CREATE TABLE crm.activity (
    activity_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deal_id integer REFERENCES crm.deal ON DELETE CASCADE,
    contact_id integer REFERENCES crm.contact ON DELETE SET NULL,
    kind varchar(10) NOT NULL CHECK (kind IN ('call', 'mail', 'visit')),
    happened_at timestamptz NOT NULL,
    minutes smallint,
    notes text
);
CREATE INDEX activity_deal ON crm.activity (deal_id, happened_at DESC);
CREATE INDEX activity_contact ON crm.activity (contact_id);
CREATE TABLE crm.deal_stage_history (
    deal_id integer NOT NULL REFERENCES crm.deal ON DELETE CASCADE,
    entered_at timestamptz NOT NULL DEFAULT now(),
    stage_code varchar(20) NOT NULL REFERENCES ref.lead_stage,
    PRIMARY KEY (deal_id, entered_at)
);
CREATE VIEW crm.pipeline AS
    SELECT s.label, d.currency, count(*) AS deals, sum(d.amount * d.probability) AS weighted
    FROM crm.deal d JOIN ref.lead_stage s USING (stage_code) WHERE d.closed_on IS NULL GROUP BY s.label, d.currency;
