"""The command line: check rules, load and fit, serve, ask."""

from nextbest.cli.main import main

__all__ = ["main"]
