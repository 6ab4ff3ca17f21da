"""Operating a server: backups and drills, partitions, retention, upkeep, jobs."""
