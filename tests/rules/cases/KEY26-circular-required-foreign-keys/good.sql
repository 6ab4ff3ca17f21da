-- checked at COMMIT
CREATE TABLE teams (
    team_id uuid PRIMARY KEY,
    captain_id uuid NOT NULL
);
CREATE TABLE players (
    player_id uuid PRIMARY KEY,
    team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE
);
ALTER TABLE teams ADD CONSTRAINT fk_teams_captain FOREIGN KEY (captain_id) REFERENCES players (player_id) DEFERRABLE INITIALLY DEFERRED;

-- one side may come later
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    current_payment_id uuid
);
CREATE TABLE payments (
    payment_id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders
);
ALTER TABLE orders ADD FOREIGN KEY (current_payment_id) REFERENCES payments;

-- the first node refers to itself
CREATE TABLE nodes (
    node_id uuid PRIMARY KEY,
    root_id uuid NOT NULL REFERENCES nodes
);
