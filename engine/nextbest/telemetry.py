"""Structured logs: JSON lines with the request's id, never a customer's id in clear."""

import hashlib
import logging
import sys

import structlog

Logger = structlog.typing.FilteringBoundLogger


def configure_logging(level: str) -> None:
    """Send JSON lines to standard error, one an event, with the values bound to the request."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def logger() -> Logger:
    """The service's logger."""
    return structlog.get_logger()


def pseudonym(customer_id: str) -> str:
    """A stable stand-in for a customer's id in logs: the same customer, but not who."""
    return hashlib.blake2b(customer_id.encode(), digest_size=6, person=b"nextbest-log").hexdigest()
