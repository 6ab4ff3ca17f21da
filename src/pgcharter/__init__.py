"""pgcharter: your database guide made executable, for PostgreSQL."""

__version__ = "0.1.0"
