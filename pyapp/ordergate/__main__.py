"""`python -m ordergate`: the same as the `ordergate` command."""

from ordergate.cli import main

if __name__ == "__main__":
    main()
