"""Migrations: files of the known layouts, the ledger, and the runner that applies them under load and survives being killed."""
