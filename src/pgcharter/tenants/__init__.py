"""Tenants coming and going: provisioned, suspended, exported, deleted, and held to what their state says (decision 0014)."""
