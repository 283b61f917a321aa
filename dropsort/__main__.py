"""`python -m dropsort`: the `dropsort` command of this interpreter."""

from dropsort.cli.main import main

if __name__ == "__main__":
    main()
