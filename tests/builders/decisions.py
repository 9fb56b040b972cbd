"""Logged decisions to store and to read back."""

import os

import numpy as np

from nextbest.decision_record import DecisionRecord
from nextbest.model import Term

DIGEST = "ab" * 32


def record(customer_id="customer-1", **changes):
    """A record that holds something in every part, but for what is changed."""
    chosen = np.array([3, 7], np.int32).tobytes() + (np.arange(len(Term)) / 8).tobytes()
    fields = {
        "customer_id": customer_id,
        "decision_id": os.urandom(16),
        "handle": os.urandom(16),
        "model_digest": DIGEST,
        "revision": "small@0123456789ab",
        "catalogue_fingerprint": 0xF2B37EBAA030DCC9,
        "build": "0.1.0 x86-64",
        "seed": 12,
        "now": 1.5e9,
        "made_at": 1.5e9,
        "degraded": None,
        "request": b"request",
        "row": b"row",
        "contacts": b"contacts",
        "events": b"events",
        "state": b"state",
        "figures": np.array([1.0, np.nan]).tobytes(),
        "chosen": chosen,
        "selection": b"",
        "answer": b"answer",
    }
    return DecisionRecord(**fields | changes)
