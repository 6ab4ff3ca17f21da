"""The Catalog: a frozen, typed model of what a PostgreSQL database holds. Pure; knows nothing of servers or files."""
