"""Logs: one JSON object a line, whoever logs."""

import json
import subprocess
import sys

from nextbest.telemetry import pseudonym

PROGRAM = """
import logging, warnings
import structlog
from nextbest.telemetry import configure_logging, logger

configure_logging({level!r})
logger().debug("detail")
with structlog.contextvars.bound_contextvars(request_id="r1"):
    logger().info("said", customer="x")
    logging.getLogger("grpc").error("a library: %s", "oops")
warnings.warn("careful")
try:
    1 / 0
except ZeroDivisionError:
    logger().exception("failed")
"""


def logged(level):
    """Lines that the program writes to standard error at a level."""
    command = [sys.executable, "-c", PROGRAM.format(level=level)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_every_line_is_json():
    """Our events, those of libraries, warnings and tracebacks are one JSON object each."""
    said, library, warning, failed = logged("info")
    assert (said["event"], said["level"], said["request_id"]) == ("said", "info", "r1")
    assert (library["event"], library["level"], library["logger"]) == ("a library: oops", "error", "grpc")
    assert library["request_id"] == "r1"
    assert "careful" in warning["event"]
    assert "ZeroDivisionError" in failed["exception"]
    assert all("timestamp" in event for event in (said, library, warning, failed))


def test_level_bounds_our_own_events():
    """Below the level nothing of ours is logged."""
    assert next(event["event"] for event in logged("debug")) == "detail"
    assert "said" not in [event["event"] for event in logged("error")]


def test_stand_ins_tell_customers_apart_but_not_who():
    """A stand-in is the same for the same customer, differs between customers, and does not hold the id."""
    assert pseudonym("anna") == pseudonym("anna")
    assert pseudonym("anna") != pseudonym("anne")
    assert "anna" not in pseudonym("anna")
