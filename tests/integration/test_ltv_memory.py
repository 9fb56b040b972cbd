"""How much memory a fit of lifetime value takes a buyer."""

import tracemalloc

import numpy as np
from tests.builders.shop import AS_OF, write_shop

from nextbest.batch.calibration import check_fit
from nextbest.batch.fitting import fit_purchases
from nextbest.batch.purchase_histories import BUYER_BYTES, HISTORY_FACTS, PurchaseReader
from nextbest.model import Rows
from nextbest.potential.ltv_likelihood import BLOCK
from nextbest.rulebook.compile import compile_rulebook

BATCH, BATCHES = 16_384, 12
SCRATCH = 30 * 8 * BLOCK
"""Of a block of customers while their likelihood is computed."""


def _batches(catalogue):
    columns = [catalogue.column(name) for name in HISTORY_FACTS]
    draw = np.random.default_rng(5)
    for number in range(BATCHES):
        numbers = np.full((BATCH, catalogue.n_numbers), np.nan)
        T = draw.uniform(20, 80, BATCH)
        x = draw.poisson(T * draw.gamma(2.0, 1 / 24, BATCH)).astype(float)
        t_x = np.where(x > 0, T * draw.uniform(0.01, 1, BATCH) ** (1 / np.maximum(x, 1)), 0.0)
        spend = np.where(x > 0, draw.gamma(4.0, 6.0, BATCH), np.nan)
        for column, values in zip(columns, (x, t_x, T, spend), strict=False):
            numbers[:, column] = values
        none = np.zeros((BATCH, 0), np.uint64)
        checks = draw.integers(0, 1 << 63, BATCH, np.uint64)
        ids = [f"{number}-{i}" for i in range(BATCH)]
        yield ids, checks, Rows(np.full(BATCH, AS_OF), numbers, none, none)


def test_a_fit_takes_no_more_than_it_says_of_a_buyer(tmp_path):
    """Reading, fitting and checking take at most `BUYER_BYTES` a buyer beside what a block takes."""
    book = compile_rulebook(write_shop(tmp_path / "rules"))
    reader = PurchaseReader(book.catalogue)
    tracemalloc.start()
    try:
        for ids, checks, rows in _batches(book.catalogue):
            reader.add(ids, checks, rows)
            del ids, checks, rows
        tracemalloc.reset_peak()
        found = reader.finish()
        check_fit(fit_purchases(book, found.purchases), found)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == BATCH * BATCHES
    assert peak < BUYER_BYTES * len(found) + SCRATCH
    assert peak > 48 * len(found)
