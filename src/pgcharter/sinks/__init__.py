"""Stores that copies go to, one module each."""
