"""What holds for every test: no limit in wall-clock time, since the machines are shared and noisy.

And plain logs: left alone, structlog draws a traceback with every local variable of every frame, which takes
a minute for a service with its tables, and the service stands still meanwhile.

CI draws the same examples every time, so that it judges the change and not the draw; elsewhere each run
looks for new ones.
"""

import os

import structlog
from hypothesis import HealthCheck, settings

settings.register_profile(
    "nextbest",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("nextbest")

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=repr),
    ]
)
