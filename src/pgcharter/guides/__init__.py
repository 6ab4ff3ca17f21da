"""Guides: standards documents as data. A guide is a TOML file of numbered clauses, house options and severities."""
