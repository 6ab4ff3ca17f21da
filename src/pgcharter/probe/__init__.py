"""Attacks on a schema: every role tries every verb on every object, and what it reaches is held against what it should."""
