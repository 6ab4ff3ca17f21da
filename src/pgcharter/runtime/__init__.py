"""What an application imports. Needs `db`, the leaves and the settings of policies; extras are imported when they are used."""
