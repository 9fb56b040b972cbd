"""Name registries: a name's code is allocated once and never changes."""

import asyncio

import pytest

from nextbest.data.registry import NameRegistries
from nextbest.errors import InvalidInput


async def test_codes_are_given_in_order_and_kept(connection, keys):
    """A new name gets the next code of its kind; another process gets the same."""
    registries = NameRegistries(connection, keys)
    assert await registries.codes("action", ["a", "b", "a"]) == {"a": 0, "b": 1}
    assert await registries.codes("trigger", ["b"]) == {"b": 0}
    assert await NameRegistries(connection, keys).codes("action", ["c", "b"]) == {"c": 2, "b": 1}


async def test_concurrent_allocation_gives_each_name_one_code(connection, keys):
    """However many allocate at once, codes are unique and without gaps."""
    names = [f"n{i}" for i in range(50)]
    rounds = [NameRegistries(connection, keys) for _ in range(10)]
    found = await asyncio.gather(*(r.codes("event", names[i:] + names[:i]) for i, r in enumerate(rounds)))
    assert all(codes == found[0] for codes in found)
    assert sorted(found[0].values()) == list(range(50))
    for registry in (r.known("event") for r in rounds):
        assert [registry.codes[name] for name in registry.names] == list(range(50))


async def test_known_names_need_no_redis(connection, keys):
    """After a name was seen its code is at hand; so are all after a refresh."""
    await NameRegistries(connection, keys).codes("action", ["a", "b"])
    registries = NameRegistries(connection, keys)
    await registries.refresh()
    registries._commands = None
    assert await registries.codes("action", ["b"]) == {"b": 1}
    assert registries.known("action").names == ("a", "b")
    assert registries.known("action").name(1) == "b"
    assert registries.known("action").name(0xFFFFFFFF) == ""


async def test_a_snapshot_of_a_registry_is_immutable(connection, keys):
    """What was handed out does not change when names are added."""
    registries = NameRegistries(connection, keys)
    await registries.codes("action", ["a"])
    before = registries.known("action")
    await registries.codes("action", ["b"])
    assert before.names == ("a",)
    with pytest.raises(TypeError):
        before.codes["b"] = 1


async def test_names_interleaved_by_another_process_are_learnt(connection, keys):
    """When others registered in between, the mapping has no wrong names."""
    ours, theirs = NameRegistries(connection, keys), NameRegistries(connection, keys)
    await ours.codes("action", ["a"])
    await theirs.codes("action", ["b"])
    await ours.codes("action", ["c"])
    assert ours.known("action").names == ("a", "b", "c")


async def test_kinds_in_one_byte_are_limited(connection, keys):
    """At most 255 channels can be registered; too many are refused, and none is registered."""
    registries = NameRegistries(connection, keys)
    await registries.codes("channel", [f"c{i}" for i in range(254)])
    with pytest.raises(InvalidInput, match="1 are too many"):
        await registries.codes("channel", ["x", "y"])
    assert await registries.codes("channel", ["x"]) == {"x": 254}


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
async def test_unfit_names_are_refused(connection, keys, name):
    """Empty, overlong or unprintable names are not registered."""
    with pytest.raises(InvalidInput):
        await NameRegistries(connection, keys).codes("action", ["fine", name])
    assert await connection.execute("EXISTS", keys.registry("action")) == 0
