"""Changes out of PostgreSQL: logical decoding, checkpoints, workers, reconciliation; declares what a sink is."""
