"""Servers of our own: finding PostgreSQL, starting and stopping it, throwaway servers for SQL under check, what this machine can do."""
