-- The shape of Hibernate's ddl-auto: sequences by allocation size, constraint names by hash, @Version columns, joined inheritance, Envers.
create sequence customer_seq start with 1 increment by 50;
create sequence payment_seq start with 1 increment by 50;
create sequence revinfo_seq start with 1 increment by 50;
create table customer (
    id bigint not null,
    created_date timestamp(6) with time zone not null,
    last_modified_date timestamp(6) with time zone,
    version integer not null,
    email varchar(255) not null,
    first_name varchar(255),
    last_name varchar(255),
    status varchar(255) check (status in ('ACTIVE','BLOCKED')),
    primary key (id)
);
create unique index uk_customer_email on customer (lower(email));
create table payment (
    dtype varchar(31) not null check (dtype in ('Payment','CardPayment','SepaPayment')),
    id bigint not null,
    amount numeric(38,2) not null,
    customer_id bigint not null,
    card_last_four varchar(4),
    iban varchar(34),
    version bigint not null,
    primary key (id)
);
alter table if exists payment add constraint FKby2skjf3ov608yb6nm16b49lg foreign key (customer_id) references customer;
create index idx_payment_customer on payment (customer_id);
create table vehicle (id uuid not null, name varchar(255), primary key (id));
create table car (doors integer not null, id uuid not null, primary key (id));
alter table if exists car add constraint FK94vjy9kfu8ym8dfx9u5ip0hx2 foreign key (id) references vehicle;
create table customer_roles (customer_id bigint not null, roles varchar(255) not null, primary key (customer_id, roles));
alter table if exists customer_roles add constraint FKcustomerroles foreign key (customer_id) references customer;
-- Envers: one row for each revision and audited row.
create table revinfo (rev integer not null, revtstmp bigint, primary key (rev));
create table customer_aud (id bigint not null, rev integer not null, revtype smallint, email varchar(255), version integer, primary key (rev, id));
alter table if exists customer_aud add constraint FKcustomeraud foreign key (rev) references revinfo;
-- Spring Session, Quartz-like and Flyway tables come with their libraries.
create table spring_session (
    primary_id char(36) not null, session_id char(36) not null, creation_time bigint not null, last_access_time bigint not null,
    max_inactive_interval int not null, expiry_time bigint not null, principal_name varchar(100),
    constraint spring_session_pk primary key (primary_id)
);
create unique index spring_session_ix1 on spring_session (session_id);
create index spring_session_ix2 on spring_session (expiry_time);
create table spring_session_attributes (
    session_primary_id char(36) not null, attribute_name varchar(200) not null, attribute_bytes bytea not null,
    constraint spring_session_attributes_pk primary key (session_primary_id, attribute_name),
    constraint spring_session_attributes_fk foreign key (session_primary_id) references spring_session(primary_id) on delete cascade
);
create table flyway_schema_history (
    installed_rank integer not null primary key, version varchar(50), description varchar(200) not null, type varchar(20) not null,
    script varchar(1000) not null, checksum integer, installed_by varchar(100) not null, installed_on timestamp not null default now(),
    execution_time integer not null, success boolean not null
);
create index flyway_schema_history_s_idx on flyway_schema_history (success);
