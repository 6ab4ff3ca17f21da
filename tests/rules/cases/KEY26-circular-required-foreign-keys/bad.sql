CREATE TABLE teams (
    team_id uuid PRIMARY KEY,
    captain_id uuid NOT NULL
);
CREATE TABLE players (
    player_id uuid PRIMARY KEY,
    team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE
);
ALTER TABLE teams ADD CONSTRAINT fk_teams_captain FOREIGN KEY (captain_id) REFERENCES players (player_id);
