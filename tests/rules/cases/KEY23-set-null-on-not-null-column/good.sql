CREATE TABLE staff (
    tenant_id uuid NOT NULL,
    staff_id uuid NOT NULL,
    manager_id uuid,
    PRIMARY KEY (tenant_id, staff_id),
    -- only the column that may be NULL
    CONSTRAINT fk_staff_manager FOREIGN KEY (tenant_id, manager_id) REFERENCES staff (tenant_id, staff_id) ON DELETE SET NULL (manager_id)
);
CREATE TABLE categories (
    category_id uuid PRIMARY KEY,
    parent_id uuid REFERENCES categories ON DELETE SET NULL,
    root_id uuid NOT NULL REFERENCES categories ON DELETE RESTRICT,
    shelf_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000' REFERENCES categories ON DELETE SET DEFAULT
);
