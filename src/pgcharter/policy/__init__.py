"""Intents of the charter compiled to objects: pure functions from a schema to the schema that is wanted. They write no DDL; `plan` does."""
