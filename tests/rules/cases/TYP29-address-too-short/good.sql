CREATE TABLE logins (
    login_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ip_address inet NOT NULL,
    forwarded_ip varchar(45),
    zip varchar(20),
    ip_hash varchar(64),
    ship_to varchar(20)
);

-- the older protocol, by name
CREATE TABLE leases (lease_id bigint PRIMARY KEY, ip_v4 varchar(15) NOT NULL);
