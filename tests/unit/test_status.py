"""Errors as gRPC statuses: whole where they fit, and never longer than headers carry."""

import base64
from urllib.parse import quote

import pytest
from google.rpc.code_pb2 import Code

from nextbest.errors import (
    ArtifactError,
    CustomerErased,
    ErasureUnfinished,
    IdentifierTaken,
    InvalidInput,
    StoreUnavailable,
    Violation,
)
from nextbest.server.status import to_status

MOST_HEADERS = 8192
"""What gRPC takes by default."""


def test_a_message_of_ours_keeps_its_end():
    """A message that ends with the command to run arrives with it."""
    text = f"the grid was fitted for other dimensions: {', '.join(f'dimension_{i}' for i in range(40))}"
    error = ArtifactError(f"{text}: run `nextbest fit grid`")
    status = to_status(error)
    assert status.message == str(error)
    assert len(status.message) > 500


@pytest.mark.parametrize("letter", ["x", "æ", "☕", '"'])
@pytest.mark.parametrize("kind", [ArtifactError, ErasureUnfinished])
def test_a_status_fits_its_headers(kind, letter):
    """However long and in whatever letters, a status fits into the headers that carry it."""
    status = to_status(kind(letter * 100_000))
    details = base64.b64encode(status.SerializeToString())
    assert len(quote(status.message)) + len(details) < MOST_HEADERS


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            IdentifierTaken([Violation("identifiers[0]", "taken")]),
            Code.ALREADY_EXISTS,
            "identifiers[0]: taken",
        ),
        (InvalidInput([Violation("channel", "is required")]), Code.INVALID_ARGUMENT, "channel: is required"),
        (CustomerErased("the customer was erased"), Code.NOT_FOUND, "the customer was erased"),
        (ErasureUnfinished("left are identifiers"), Code.UNAVAILABLE, "left are identifiers"),
        (
            StoreUnavailable("cannot connect to Redis at host:6379"),
            Code.UNAVAILABLE,
            "the snapshot store does not answer",
        ),
        (ValueError("secret"), Code.INTERNAL, "internal error; see the service's log"),
    ],
)
def test_codes_and_messages(error, code, message):
    """An error is told by the most specific code, and only with what is the caller's business."""
    status = to_status(error)
    assert (status.code, status.message) == (code, message)
