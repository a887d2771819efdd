"""The command line: one module per command, the options that they share, and the application."""


def main() -> None:
    """Run the command ``emdist``."""
    from emdist.cli.application import main as run

    run()
