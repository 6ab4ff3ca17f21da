"""The command line: one file per command group; the only place where errors become output."""


def main() -> None:
    """Run the program."""
