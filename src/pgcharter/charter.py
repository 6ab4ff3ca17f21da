"""The charter: finds, reads and merges `pgcharter.toml`, and validates each section against the model its owner hands in."""
