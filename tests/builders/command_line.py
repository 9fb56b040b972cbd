"""Runs the command line in this process, as a user would, and gives what it said."""

import contextlib
import io
from dataclasses import dataclass

from nextbest.cli import main


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str


def nextbest(*arguments):
    """Run `nextbest ARGUMENTS`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return Said(code, out.getvalue(), err.getvalue())
