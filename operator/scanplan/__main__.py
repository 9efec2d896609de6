"""``python -m scanplan``: the command line."""

from scanplan.cli.main import main

main()
