"""The command line: one command per file, the options that they share, and the application."""


def main() -> None:
    """The command ``emdist``."""
    from emdist.cli.application import main as run

    run()
