"""The garbage collector rests while rulebooks are read, and only then."""

import gc

import pytest

from nextbest.rulebook.collector import collector_paused


def test_collector_rests_inside_only() -> None:
    """It is off inside, also when one pause lies in another, and on again afterwards."""
    with collector_paused(), collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collector_goes_on_after_an_error() -> None:
    """An exception ends the pause."""
    with pytest.raises(ValueError, match="broken"), collector_paused():
        raise ValueError("broken")
    assert gc.isenabled()


def test_collector_that_was_off_stays_off() -> None:
    """Who has switched it off finds it off."""
    gc.disable()
    try:
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
