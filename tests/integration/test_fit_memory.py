"""How much memory `nextbest fit grid` takes of a file that is larger than what it may take."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from tests.builders.shop import AS_OF, HOUSEHOLDS, SEGMENTS, customers, write_shop

GROUP, GROUPS, FEW_GROUPS = 5_000, 440, 8
"""Rows of a row group, and row groups of the large file and of the small one."""

CHILD = """
import asyncio, json, resource, sys
from pathlib import Path
from nextbest.batch.grid_runs import GridOptions, fit_grid_of_file
from nextbest.data.store import StoreOptions, open_store
from nextbest.rulebook.compile import compile_rulebook

url, prefix, rules, now, *files = sys.argv[1:]
book = compile_rulebook(Path(rules))
options = GridOptions(accepted_leaks=book.strategy.peer_dimensions)

async def fit(path):
    stored = StoreOptions(redis_url=url, prefix=prefix, timeout_s=10.0)
    async with open_store(stored, book.catalogue) as store:
        run = await fit_grid_of_file(store, book, Path(path), now=float(now), options=options)
    return {"customers": run.fit.customers, "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}

print(json.dumps([asyncio.run(fit(path)) for path in files]))
"""


def _group(some, number):
    """The customers as others: other ids, peers and revenues."""
    draw = np.random.default_rng(number)
    return some.with_columns(
        pl.format("a-long-name-of-a-customer-of-the-shop-{}-{}", "customer_id", pl.lit(number)).alias(
            "customer_id"
        ),
        pl.Series("peer_segment", np.array(SEGMENTS)[draw.integers(0, len(SEGMENTS), GROUP)]),
        pl.Series("household", np.array(HOUSEHOLDS)[draw.integers(0, len(HOUSEHOLDS), GROUP)]),
        pl.col("revenue_net") * pl.Series(draw.uniform(0.8, 1.2, GROUP)),
    )


def _write(path, groups):
    """Write the customers group by group; returns the bytes of all columns before they are compressed."""
    some, writer = customers(GROUP), None
    for number in range(groups):
        table = _group(some, number).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema, use_dictionary=False)
        writer.write_table(table)
    writer.close()
    metadata = pq.ParquetFile(path).metadata
    return sum(metadata.row_group(i).total_byte_size for i in range(groups))


def test_a_file_streams_through_in_a_third_of_its_size(tmp_path, redis_url, keys):
    """Beyond what a small file takes, a large one takes less than a third of its size; every row counts."""
    rules = write_shop(tmp_path / "rules")
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    _write(small, FEW_GROUPS)
    size = _write(large, GROUPS)
    where = (redis_url, keys.prefix, str(rules), str(AS_OF))
    command = [sys.executable, "-c", CHILD, *where, str(small), str(large)]
    said = subprocess.run(command, check=True, capture_output=True, timeout=300).stdout
    few, many = json.loads(said)
    assert (few["customers"], many["customers"]) == (GROUP * FEW_GROUPS, GROUP * GROUPS)
    assert size > 400e6
    assert (many["peak_kb"] - few["peak_kb"]) * 1024 < size / 3
