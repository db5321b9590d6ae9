"""``python -m analogon`` is the command line."""

from analogon.cli.app import main

main()
