"""Is there room for what commands import? Asked before they do."""

import sys

from nextbest.batch.room import MB, require_room
from nextbest.errors import NoRoom

STARTED_MB = 380
"""What a process takes that has imported everything, on two cores; 16 MB more a core."""


def require_room_to_start() -> None:
    """End with exit code 1 where the process may not take what importing takes."""
    if "numpy" in sys.modules:
        return
    try:
        require_room("`nextbest`, to start,", STARTED_MB * MB)
    except NoRoom as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
