"""`python -m pgcharter` is the same program as `pgcharter`."""

from pgcharter.cli import main

main()
