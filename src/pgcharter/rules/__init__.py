"""Rules: one function each, one file per family. Importing `pgcharter.rules.engine` and calling `load()` registers all of them."""
