"""Measurements beside peers in one run; ratios printed. Never part of the tests."""
