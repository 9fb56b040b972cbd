"""Renewals counted from snapshots: how many contracts were kept, and lost, at each."""

import numpy as np
import pytest
from tests.builders.rulebooks import CONSENTS, write
from tests.builders.worlds import action, documents
from tests.naive import contracts as naive

from nextbest.batch.contracts import MOST_RENEWALS, Contracts
from nextbest.errors import FitError, InvalidInput
from nextbest.model import DAY_S, Rows
from nextbest.rulebook.compile import compile_rulebook

NOW = 1.7e9
YEAR = 365.25 * DAY_S
FACTS = ["consent", "contract_state", "joined", "first_purchase", "cancelled_at", "contract_margin"]


@pytest.fixture(scope="module")
def rulebook(tmp_path_factory):
    """A rulebook whose catalogue knows contracts."""
    directory = tmp_path_factory.mktemp("contracts")
    facts = {"standard": FACTS, "values": {"consent": list(CONSENTS)}}
    write(documents(action()) | {"facts.yaml": facts}, directory)
    return compile_rulebook(directory)


def rows_of(rulebook, columns, as_of):
    """Snapshots with these facts, NaN = missing."""
    n = len(as_of)
    numbers = np.full((n, rulebook.catalogue.n_numbers), np.nan)
    for name, values in columns.items():
        numbers[:, rulebook.catalogue.columns[name]] = values
    empty = (rulebook.catalogue.n_words, rulebook.catalogue.n_known_words)
    return Rows(as_of, numbers, *(np.zeros((n, width), np.uint64) for width in empty))


def drawn(seed, n):
    """Contracts in force and ended, some without dates."""
    rng = np.random.default_rng(seed)
    state = rng.choice([np.nan, 0.0, 1.0, 2.0, 3.0], n)
    joined = NOW - rng.uniform(0, 12, n) * YEAR
    columns = {
        "contract_state": state,
        "joined": np.where(rng.random(n) < 0.2, np.nan, joined),
        "first_purchase": np.where(rng.random(n) < 0.3, np.nan, joined + rng.uniform(-1, 1, n) * YEAR),
        "cancelled_at": np.where(rng.random(n) < 0.2, np.nan, NOW + rng.uniform(1.1, 2.0, n) * YEAR),
    }
    return columns, np.full(n, NOW + 2 * YEAR)


@pytest.mark.parametrize("seed", range(5))
def test_renewals_are_counted_as_one_by_one(rulebook, seed):
    """Kept and lost by renewal, and the undated, are those of a count contract by contract."""
    columns, as_of = drawn(seed, 400)
    counted = Contracts(rulebook)
    for part in (slice(0, 150), slice(150, 400)):
        some = {name: values[part] for name, values in columns.items()}
        rows = rows_of(rulebook, some, as_of[part])
        counted.add([f"c{i}" for i in range(len(rows))], rows)
    found, undated = [], 0
    for i in range(400):
        state = columns["contract_state"][i]
        if not state > 0:
            continue
        dates = [columns[name][i] for name in ("joined", "first_purchase")]
        begun = min((d for d in dates if not np.isnan(d)), default=None)
        ended = None if state == 1 else columns["cancelled_at"][i]
        if begun is None or (ended is not None and np.isnan(ended)):
            undated += 1
        else:
            found.append((begun, ended, as_of[i]))
    kept, lost = naive.renewals(found)
    assert counted.kept[: len(kept)].tolist() == kept
    assert counted.lost[: len(lost)].tolist() == lost
    assert (counted.kept.sum(), counted.lost.sum()) == (sum(kept), sum(lost))
    assert (counted.counted, counted.undated) == (len(found), undated)
    counted.require_possible()


def test_contracts_that_cannot_be_are_named(rulebook):
    """Each impossible contract is named with its fact, a hundred of them one by one."""
    n = 130
    columns = {
        "contract_state": np.array([2.0, 1.0, 1.0] + [2.0] * (n - 3)),
        "joined": np.array([NOW, NOW - 200 * YEAR, NOW - YEAR] + [NOW] * (n - 3)),
        "cancelled_at": np.array([NOW - DAY_S, np.nan, np.nan] + [NOW - DAY_S] * (n - 3)),
        "contract_margin": np.array([1.0, 1.0, np.inf] + [1.0] * (n - 3)),
    }
    counted = Contracts(rulebook)
    counted.add([f"c{i}" for i in range(n)], rows_of(rulebook, columns, np.full(n, NOW)))
    with pytest.raises(InvalidInput) as error:
        counted.fit()
    fields = [violation.field for violation in error.value.violations]
    assert fields[0] == "c0.cancelled_at"
    assert error.value.violations[-1].description == "and `30` more impossible contracts"
    assert len(fields) == 101


def test_the_oldest_contract_is_within_the_table(rulebook):
    """A contract of just under the longest tenure is counted, not cut off."""
    columns = {"contract_state": np.array([1.0]), "joined": np.array([NOW - MOST_RENEWALS * YEAR - DAY_S])}
    counted = Contracts(rulebook)
    counted.add(["old"], rows_of(rulebook, columns, np.array([NOW])))
    assert counted.kept.sum() == MOST_RENEWALS


def test_a_young_population_has_no_renewals_yet(rulebook):
    """Contracts none of which came up for renewal are no fit, and the error says so."""
    columns = {"contract_state": np.ones(50), "joined": np.full(50, NOW - 30 * DAY_S)}
    counted = Contracts(rulebook)
    counted.add([str(i) for i in range(50)], rows_of(rulebook, columns, np.full(50, NOW)))
    with pytest.raises(FitError, match="renewals"):
        counted.fit()
