"""``python -m emdist`` is the command emdist."""

from emdist.cli.application import main

if __name__ == "__main__":
    main()
