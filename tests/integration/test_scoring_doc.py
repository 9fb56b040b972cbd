"""The example of docs/scoring.md runs as it stands there, and gives what `nextbest score` gives."""

import re
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from tests.builders.command_line import nextbest

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docs" / "scoring.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
AS_OF = "2017-06-26T04:00:00+00:00"
RULEBOOK = ("--rulebook", PROJECT / "rules" / "grocery")


@pytest.fixture
def panel(tmp_path, monkeypatch):
    """The panel's customers and fits where the example looks for them."""
    assert nextbest("demo", "--files", tmp_path / "panel").code == 0
    (tmp_path / "panel" / "snapshots.parquet").rename(tmp_path / "customers.parquet")
    (tmp_path / "rules").symlink_to(PROJECT / "rules")
    data = ("--from", tmp_path / "customers.parquet", "--data-directory", tmp_path / "data")
    fitted = nextbest("fit", "ltv", *data, "--out", tmp_path / "fits", *RULEBOOK)
    assert fitted.code == 0, fitted.err
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(directory, name="answers.parquet"):
    """What the example defines and writes."""
    defined = {}
    exec(compile(EXAMPLE, "docs/scoring.md", "exec"), defined)
    return defined, pl.read_parquet(directory / name)


def test_the_example_gives_what_the_command_gives(panel):
    """Batches of another engine, whatever their size and the zone of their times, get the same bits."""
    defined, answers = example(panel)
    (fit,) = (panel / "fits").glob("*.nbart")
    said = nextbest(
        *("score", "customers.parquet", "--out", "scored.parquet", *RULEBOOK, "--channel", "email"),
        *("--outbound", "--no-store", "--artifact", fit, "--as-of", AS_OF),
    )
    assert said.code == 0, said.err
    scored = pl.read_parquet("scored.parquet")
    assert scored["customer_id"].n_unique() > 2000
    assert scored["action"].n_unique() > 3
    assert answers["problem"].null_count() == len(answers)
    assert answers.drop("problem").equals(scored)

    zoned = pl.selectors.datetime().dt.convert_time_zone("Asia/Tokyo")
    elsewhere = pl.read_parquet("customers.parquet").with_columns(zoned).to_arrow()
    for size in (1, 7, len(elsewhere)):
        some = elsewhere.slice(0, 20) if size == 1 else elsewhere
        found = list(defined["best_actions"](iter(some.to_batches(max_chunksize=size))))
        assert {batch.schema for batch in found} == {defined["answer_schema"](defined["scoring"])}
        ids = some["customer_id"].to_pylist()
        whole = pl.from_arrow(pa.Table.from_batches(found))
        assert whole.equals(answers.filter(pl.col("customer_id").is_in(ids)))
