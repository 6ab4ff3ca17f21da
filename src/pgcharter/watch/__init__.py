"""Watching a server: facts collected, checks, metrics, alerts, workload, advice, business rules."""
