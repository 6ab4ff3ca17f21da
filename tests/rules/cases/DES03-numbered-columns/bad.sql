CREATE TABLE contacts (
    contact_id uuid PRIMARY KEY,
    phone1 text,
    phone2 text,
    phone3 text
);
