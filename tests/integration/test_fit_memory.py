"""Fits of files that are larger than what the process may take, and what is said where there is no room."""

import re
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.builders.command_line import nextbest
from tests.builders.shop import HOUSEHOLDS, SEGMENTS, customers
from tests.builders.stored_shop import Shop

from nextbest.batch.grid_fit import GridCounter
from nextbest.batch.grid_runs import memory_of_file
from nextbest.batch.room import MB
from nextbest.rows import RowCodec

GROUP = 5_000
"""Rows of a row group."""
ROWS = 2_400_000
BEGUN = 24 * MB
"""What a command takes before it reads the file: its connection and the file's metadata."""

CHILD = """
import re, resource, sys
import nextbest.cli
import nextbest.cli.commands

def taken(name):
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(name + r":\\s+(\\d+)", file.read())[1])

limit, left, *arguments = sys.argv[1:]
counted = {"DATA": "VmData", "AS": "VmSize"}.get(limit)
if counted:
    most = taken(counted) + int(left)
    resource.setrlimit(getattr(resource, "RLIMIT_" + limit), (most, most))
nextbest.cli.main(arguments)
"""
READER = r"""
import re, sys
from pathlib import Path
from nextbest.data.table_files import TableFile

def peak():
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])

rows, peaks = 0, []
for path in sys.argv[1:]:
    table = TableFile(Path(path))
    rows += sum(len(batch.frame) for batch in table.batches(table.columns))
    peaks.append(peak())
print(rows, peaks[-1] - peaks[0])
"""
LIMITED = (sys.executable, "-c", CHILD)


def limited(limit, left, *arguments):
    """Run a command in a process of its own that may take so many bytes once everything is imported."""
    command = [*LIMITED, limit, str(left), *(str(argument) for argument in arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def _group(some, number):
    """The customers as others: other ids, peers and revenues."""
    draw = np.random.default_rng(number)
    return some.with_columns(
        pl.format("{}-{}-a-long-name-of-a-customer-of-the-shop", "customer_id", pl.lit(number))
        .str.pad_end(64, "-")
        .alias("customer_id"),
        pl.Series("peer_segment", np.array(SEGMENTS)[draw.integers(0, len(SEGMENTS), GROUP)]),
        pl.Series("household", np.array(HOUSEHOLDS)[draw.integers(0, len(HOUSEHOLDS), GROUP)]),
        pl.col("revenue_net") * pl.Series(draw.uniform(0.8, 1.2, GROUP)),
    )


def write_groups(path, rows):
    """Write customers group by group; returns the bytes of all columns before they are compressed."""
    some, writer = customers(GROUP), None
    for number in range(rows // GROUP):
        table = _group(some, number).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema, use_dictionary=False)
        writer.write_table(table)
    writer.close()
    metadata = pq.ParquetFile(path).metadata
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


@pytest.fixture
def shop(tmp_path, redis_url, keys, monkeypatch):
    """A shop without customers."""
    monkeypatch.setenv("NEXTBEST_PREFIX", keys.prefix)
    return Shop(tmp_path, redis_url, keys.prefix)


def _fit_grid(shop, path):
    where = ("--rulebook", shop.rulebook_directory, "--redis-url", shop.options.redis_url, "--out", shop.out)
    leaks = (part for name in shop.rulebook.strategy.peer_dimensions for part in ("--accept-leak", name))
    return ("fit", "grid", "--from", path, *where, *leaks)


def test_a_file_streams_through_a_fraction_of_its_size(shop):
    """With a hard limit on its memory, `fit grid` counts every row of a file of twice that size."""
    path = shop.directory / "large.parquet"
    small = shop.directory / "small.parquet"
    size = write_groups(path, ROWS)
    write_groups(small, GROUP)
    left = memory_of_file(RowCodec(shop.rulebook.catalogue), ROWS) + BEGUN
    compiled = limited("NONE", 0, *_fit_grid(shop, small))  # kernels lie in the cache from here on
    assert compiled.returncode == 0, compiled.stderr
    said = limited("DATA", left, *_fit_grid(shop, path))
    assert said.returncode == 0, said.stderr
    assert f"of {ROWS} customers counted" in said.stdout
    assert size > 2 * left


@pytest.mark.parametrize("limit", ["DATA", "AS"])
def test_what_does_not_fit_is_refused_before_it_begins(shop, limit):
    """A fit that the process has no memory for ends with exit code 1, says by how much and replaces none."""
    path = shop.directory / "some.parquet"
    write_groups(path, GROUP)
    assert limited("NONE", 0, *_fit_grid(shop, path)).returncode == 0
    before = shop.active()
    said = limited(limit, 64 * MB, *_fit_grid(shop, path), "--m", "5")
    assert said.returncode == 1
    assert re.search(
        rf"`fit grid` takes up to \d+ MB of memory more, and RLIMIT_{limit} leaves \d+", said.stderr
    )
    assert "Traceback" not in said.stderr
    assert shop.active() == before


def test_memory_that_ends_on_the_way_is_said_and_replaces_nothing(shop, monkeypatch):
    """An allocation that fails in a fit is an error without a traceback; what is in use stays in use."""
    path = shop.directory / "some.parquet"
    customers(GROUP // 10).write_parquet(path)
    monkeypatch.setattr(GridCounter, "finish", _no_memory)
    said = nextbest(*_fit_grid(shop, path))
    assert (said.code, shop.active()) == (1, {})
    assert said.err.splitlines()[-1].startswith("error: out of memory (Unable to allocate 9 GiB)")


def _no_memory(*_, **__):
    raise MemoryError("Unable to allocate 9 GiB")


def test_a_process_that_may_not_even_start_says_so():
    """Where importing alone takes more than the process may, that is the error, not a library's."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (64 << 20, 64 << 20))\n"
    code += "import sys; sys.argv = ['nextbest', '--help']; from nextbest.cli import main; main()"
    said = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 1
    assert said.stderr.startswith("error: `nextbest`, to start, takes up to")
    assert len(said.stderr.splitlines()) == 1


def test_a_single_row_group_streams(tmp_path):
    """Of a file of one row group no more is in memory than of one of many."""
    some, path, first = customers(GROUP), tmp_path / "one.parquet", tmp_path / "first.parquet"
    frame = pl.concat([_group(some, number) for number in range(100)])
    pq.write_table(
        frame.to_arrow(), path, row_group_size=len(frame), use_dictionary=False, compression="none"
    )
    pq.write_table(frame[: 8 * GROUP].to_arrow(), first)
    size = path.stat().st_size
    said = subprocess.run(
        [sys.executable, "-c", READER, first, path], check=True, capture_output=True, text=True
    )
    rows, grown = map(int, said.stdout.split())
    assert rows == 8 * GROUP + len(frame)
    assert grown < size / 4
