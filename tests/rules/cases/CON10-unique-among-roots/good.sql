CREATE TABLE categories (
    category_id uuid PRIMARY KEY,
    parent_id uuid REFERENCES categories,
    name text NOT NULL,
    CONSTRAINT uq_categories_name UNIQUE NULLS NOT DISTINCT (parent_id, name)
);
CREATE TABLE folders (
    folder_id uuid PRIMARY KEY,
    parent_id uuid REFERENCES folders,
    name text NOT NULL,
    UNIQUE (parent_id, name)
);
CREATE UNIQUE INDEX uq_folders_root ON folders (name) WHERE parent_id IS NULL;

-- NULL means "not numbered yet"
CREATE TABLE invoices (
    invoice_id uuid PRIMARY KEY,
    corrects_id uuid REFERENCES invoices,
    tenant_id uuid NOT NULL,
    number text,
    UNIQUE (tenant_id, number)
);
