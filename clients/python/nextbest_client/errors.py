"""Exceptions of the client.

ClientError
├── InvalidRequest        the request is wrong; `violations` lists all that is wrong with it
├── NotFound              the customer, decision or revision does not exist
├── NotAllowed            the caller is not known or may not do this
├── NotSupported          the service does not offer this (yet)
├── Conflict              something else was changed in the meantime, or the state does not allow it
├── ServiceUnavailable    the service cannot be reached, or sends callers away
│   └── DeadlineExceeded  the service did not answer in time
└── ServiceFailed         the service failed; its log says why

`decide` and `decide_batch` raise the two below ServiceUnavailable only for a request with STRICTNESS_STRICT;
otherwise they answer with a fallback decision.
"""

from collections.abc import Iterable
from typing import NamedTuple

import grpc


class FieldViolation(NamedTuple):
    """One thing that is wrong with a request."""

    field: str
    """Path of the field, such as `customer_id`; empty if it is about the whole request."""
    description: str
    """What is wrong."""


class ClientError(Exception):
    """Base of every error the client raises on purpose."""

    def __init__(
        self, code: grpc.StatusCode, message: str, violations: Iterable[FieldViolation] = ()
    ) -> None:
        self.code = code
        self.message = message
        self.violations = tuple(violations)
        super().__init__(_describe(message, self.violations) or code.name)


class InvalidRequest(ClientError):  # noqa: N818  (named for what happened)
    """The request is wrong and will not become right by repeating it."""


class NotFound(ClientError):  # noqa: N818  (named for what happened)
    """The customer, decision or revision does not exist."""


class NotAllowed(ClientError):  # noqa: N818  (named for what happened)
    """The caller is not known, or may not do this."""


class NotSupported(ClientError):  # noqa: N818  (named for what happened)
    """The service does not offer this (yet)."""


class Conflict(ClientError):  # noqa: N818  (named for what happened)
    """Something else was changed in the meantime, or the state does not allow it."""


class ServiceUnavailable(ClientError):  # noqa: N818  (named for what happened)
    """The service cannot be reached, or sends callers away; repeating the request is safe."""


class DeadlineExceeded(ServiceUnavailable):
    """The service did not answer in time; repeating the request is safe."""


class ServiceFailed(ClientError):  # noqa: N818  (named for what happened)
    """The service failed in a way that it did not foresee; its log says why."""


def _describe(message: str, violations: tuple[FieldViolation, ...]) -> str:
    if not violations:
        return message
    return "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in violations)
