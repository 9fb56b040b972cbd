"""What is kept of the 64 customers of a block: words of a bit a customer, and rows of a number a customer.

The rows lie in one array, `LANES` numbers a row whatever the number of customers, and a row is named by the
place where it begins: the compiler then sees that rows lie apart, and asks nothing before each loop. Places
are unsigned, for numba tests a signed index for being negative at every access.
"""

from enum import IntEnum

import numpy as np

from nextbest.action.tables import Tables
from nextbest.kernels import lean_kernel
from nextbest.rulebook.program import LANES

_ONE, _ZERO = np.uint64(1), np.uint64(0)


class Word(IntEnum):
    """Places in `Batch.words`; behind them one word a channel and one a shared policy."""

    STAGES = 0
    """16 words by set of stages: customers in one of them."""
    INBOUND = 16
    AWAKE = 17
    """No quiet hours in the request's channel."""
    WELL_KNOWN = 18
    MAY_BE_SOLD_TO = 19
    NOT_NEW = 20
    """Not in Know me."""
    CALM = 21
    """The pressure gate passes in the request's channel."""
    ANYWHERE = 22
    """Any placement will do."""
    CONSENT = 32
    """64 words by consent given."""
    TOPIC = 96
    """64 words by topic blocked."""
    PLACEMENT = 160
    """64 words by placement asked for."""
    CHANNEL = 224


class Lane(IntEnum):
    """Rows of `Batch.lanes`; behind them one row a value output and one a fitted model."""

    NOW = 0
    TRUNCATED = 1
    VALUE_GAP = 2
    """Missing gaps count 0, a missing multiplier 1."""
    PROFIT_GAP = 3
    LIFETIME = 4
    CUSTOMER_WEIGHT = 5
    SHADOW_PRICE = 6
    PRESSURE_FACTOR = 7
    CEILING = 8
    THRESHOLD = 9
    """Of relevance."""
    CONTACT_PRICE = 10
    FLOOR = 11
    """Score below which nothing enters the answers any more."""
    PROPENSITY = 12
    """The mean, which gates read; then what exploration draws, to score with."""
    RELEVANCE = 13
    CONTEXT_WEIGHT = 14
    SCORE = 15
    AGE = 16
    """Of the snapshot, days."""
    AUTHORITY = 17
    """Of the caller."""
    VALUES = 18


def n_words(tables: Tables) -> int:
    """Length of `Batch.words`."""
    return int(Word.CHANNEL) + len(tables.channels) + len(tables.shared_policies)


def n_rows(values: int, models: int) -> int:
    """Rows that `Batch.lanes` has room for."""
    return len(Lane) + values + models


def row_of(lane: Lane) -> np.uint64:
    """Where a row of `Batch.lanes` begins."""
    return np.uint64(LANES * lane)


@lean_kernel
def holds_in(word: np.uint64, lane: int) -> bool:
    """A lane's bit of a word."""
    return (word >> np.uint64(lane)) & _ONE != _ZERO
