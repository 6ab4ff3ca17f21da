CREATE TABLE tenants (tenant_id bigint PRIMARY KEY);
CREATE TABLE customers (id bigint PRIMARY KEY, tenant_id bigint UNIQUE);
CREATE TABLE tenant_orders (id bigint PRIMARY KEY, tenant_id bigint REFERENCES customers (tenant_id));
CREATE TABLE shop_tenant_orders (id bigint PRIMARY KEY, tenant_id bigint);
CREATE TABLE countries (code text PRIMARY KEY);
