"""The command line: check rules, load and fit, serve, ask."""

import os
from collections.abc import Sequence

from nextbest.cli.starting import require_room_to_start

# Arrow's own pool reserves a gigabyte at its first use, which a limited process may not have.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error of ours is said without a traceback and ends with exit code 1."""
    require_room_to_start()
    from nextbest.cli.commands import main as run  # noqa: PLC0415  (what it imports takes 300 MB)

    run(arguments)


__all__ = ["main"]
