CREATE TABLE staff (
    tenant_id uuid NOT NULL,
    staff_id uuid NOT NULL,
    manager_id uuid,
    PRIMARY KEY (tenant_id, staff_id),
    CONSTRAINT fk_staff_manager FOREIGN KEY (tenant_id, manager_id) REFERENCES staff (tenant_id, staff_id) ON DELETE SET NULL
);
CREATE TABLE categories (
    category_id uuid PRIMARY KEY,
    parent_id uuid NOT NULL REFERENCES categories ON DELETE SET NULL
);
