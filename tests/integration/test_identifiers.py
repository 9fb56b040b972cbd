"""Identifiers: one owner each, found by a keyed digest, and nothing wrong after a crash at any step."""

import asyncio
import csv

import pytest

from nextbest.data.identifier_forms import Identifier, checked
from nextbest.data.identifier_loader import load_identifiers
from nextbest.data.identifiers import MAX_IDENTIFIERS, IdentifierStore
from nextbest.errors import IdentifierTaken, InvalidInput

PHONE, CARD = Identifier("phone", "+4512345678"), Identifier("card", "AB1234")


@pytest.fixture
def store(connection, keys):
    """A store of its own."""
    return IdentifierStore(connection, keys)


async def put(store, customer_id, *identifiers, beside=True):
    """Both halves of a write."""
    claims = await store.claim(customer_id, identifiers, beside=beside, field="identifiers")
    await store.settle(customer_id, claims, beside=beside, field="identifiers")


async def index(connection, keys):
    """What the index holds."""
    return {
        key: await connection.execute("GET", key) for key in await all_keys(connection, keys, "identifier:*")
    }


async def all_keys(connection, keys, pattern):
    """Keys of the deployment."""
    return await connection.execute("KEYS", f"{keys.prefix}:{pattern}")


async def test_an_identifier_resolves_to_its_customer(store):
    """What is put resolves; what is not, does not."""
    await put(store, "c1", PHONE)
    assert await store.resolve(PHONE) == "c1"
    assert await store.resolve(CARD) is None
    assert await store.resolve(Identifier("card", PHONE.value)) is None


async def test_beside_or_instead(store):
    """Merged identifiers come beside those known; replaced ones instead of them, none included."""
    await put(store, "c1", PHONE)
    await put(store, "c1", CARD)
    assert await store.of("c1") == [CARD, PHONE]
    await put(store, "c1", CARD, beside=False)
    assert (await store.of("c1"), await store.resolve(PHONE), await store.resolve(CARD)) == (
        [CARD],
        None,
        "c1",
    )
    await put(store, "c1", beside=False)
    assert (await store.of("c1"), await store.resolve(CARD)) == ([], None)


async def test_a_second_owner_is_refused(store):
    """An identifier stays with its customer; the error names its type, not its value; nothing changes."""
    await put(store, "c1", PHONE)
    with pytest.raises(IdentifierTaken) as raised:
        await put(store, "c2", CARD, PHONE)
    (violation,) = raised.value.violations
    assert (violation.field, violation.description) == ("identifiers[1]", "another customer has this phone")
    assert PHONE.value not in str(raised.value)
    assert (await store.resolve(PHONE), await store.resolve(CARD), await store.of("c2")) == ("c1", None, [])
    await put(store, "c3", CARD)


async def test_what_is_let_go_is_free(store):
    """A number that its customer no longer has may be another's."""
    await put(store, "c1", PHONE)
    await put(store, "c1", beside=False)
    await put(store, "c2", PHONE)
    assert await store.resolve(PHONE) == "c2"


async def test_no_key_shows_an_identifier(store, connection, keys):
    """Keys hold a digest that depends on a secret of the deployment, made once."""
    await put(store, "c1", PHONE, CARD)
    names = b" ".join(await all_keys(connection, keys, "*"))
    assert b"12345678" not in names
    assert b"AB1234" not in names
    secret = await connection.execute("GET", keys.identifier_secret)
    await put(IdentifierStore(connection, keys), "c2", Identifier("card", "other"))
    assert await connection.execute("GET", keys.identifier_secret) == secret
    assert len(secret) == 32


async def test_a_crash_after_the_claim_leaves_nothing(store):
    """A claimed identifier that was never listed does not resolve, and anyone may claim it."""
    await store.claim("c1", [PHONE], beside=True, field="identifiers")
    assert await store.resolve(PHONE) is None
    await put(store, "c2", PHONE)
    assert (await store.resolve(PHONE), await store.of("c1")) == ("c2", [])


async def test_a_crash_before_the_confirmation_is_finished_by_a_repetition(store, connection, keys):
    """A listed identifier resolves even unconfirmed, is the customer's, and a repetition confirms it."""
    await store.claim("c1", [PHONE], beside=True, field="identifiers")
    await connection.execute("SADD", keys.identifiers("c1"), PHONE.text)
    assert await store.resolve(PHONE) == "c1"
    with pytest.raises(IdentifierTaken):
        await put(store, "c2", PHONE)
    await put(store, "c1", PHONE)
    (entry,) = (await index(connection, keys)).values()
    assert entry.startswith(b"c")


async def test_a_writer_that_was_held_up_does_not_take_back(store):
    """Who settles a claim that another has taken over since gets the error, and lists nothing."""
    claims = await store.claim("c1", [PHONE], beside=True, field="identifiers")
    await put(store, "c2", PHONE)
    with pytest.raises(IdentifierTaken):
        await store.settle("c1", claims, beside=True, field="identifiers")
    assert (await store.resolve(PHONE), await store.of("c1")) == ("c2", [])


async def test_only_one_of_many_gets_it(store):
    """However many claim an identifier at once, one customer has it and all others are told."""
    tries = [put(store, f"c{i}", PHONE) for i in range(20)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(e) for e in ended if e is not None] == [IdentifierTaken] * 19
    owner = await store.resolve(PHONE)
    assert ended[int(owner[1:])] is None
    assert [await store.of(f"c{i}") for i in range(20)].count([PHONE]) == 1


async def test_the_same_customer_many_times_at_once(store):
    """Concurrent writes of one customer's own identifiers all succeed."""
    await asyncio.gather(*(put(store, "c1", PHONE, CARD) for _ in range(10)))
    assert (await store.resolve(PHONE), await store.resolve(CARD)) == ("c1", "c1")


async def test_giving_up_frees_what_was_nobodys(store, connection, keys):
    """A write that fails leaves own identifiers as they were and no trace of new ones."""
    await put(store, "c1", PHONE)
    claims = await store.claim("c1", [PHONE, CARD], beside=True, field="identifiers")
    await store.give_up(claims)
    assert (await store.resolve(PHONE), await store.resolve(CARD)) == ("c1", None)
    assert len(await index(connection, keys)) == 1


async def test_too_many_identifiers(store):
    """A customer has a bounded number of identifiers."""
    await put(store, "c1", *(Identifier("card", str(i)) for i in range(MAX_IDENTIFIERS)))
    with pytest.raises(InvalidInput, match="would be 33, at most 32 are allowed"):
        await put(store, "c1", PHONE)


async def test_a_store_that_was_emptied(store, connection, keys):
    """After the store has lost everything, a new secret is made and used by those who knew the old one."""
    await put(store, "c1", PHONE)
    await connection.execute("DEL", *await all_keys(connection, keys, "*"))
    await put(IdentifierStore(connection, keys), "c2", PHONE)
    assert await store.resolve(PHONE) == "c2"


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        ("phone", "+45 12 34 56 78", "+4512345678"),
        ("phone", "0045-12.34(56)78", "+4512345678"),
        ("phone", "\uff0b45 12345678 ", "+4512345678"),
        ("email", " Anna@Example.COM", "anna@example.com"),
        ("card", "ab-12 34", "AB1234"),
        ("loyalty_app", " Ab-1 ", "Ab-1"),
        ("app", "æ\u030a", "æ\u030a"),
        ("app", "a\u030a", "å"),
    ],
)
def test_one_spelling(kind, given, stored):
    """Spellings of the same identifier become one."""
    found = []
    assert checked(kind, given, "identifier", found) == Identifier(kind, stored)
    assert found == []
    assert Identifier.of_text(f"{kind}:{stored}") == Identifier(kind, stored)


@pytest.mark.parametrize(
    ("kind", "given", "field", "text"),
    [
        ("phone", "12345678", "value", "is not a phone number with `+` and its country's code"),
        ("phone", "+45", "value", "is not a phone number"),
        ("phone", "+1234567890123456", "value", "is not a phone number"),
        ("email", "anna", "value", "is not an e-mail address"),
        ("card", "", "value", "is empty"),
        ("card", " - ", "value", "is empty"),
        ("app", "a\nb", "value", "holds a control character"),
        ("app", "x" * 65, "value", "is 65 bytes long, at most 64 are allowed"),
        ("Phone", "+4512345678", "type", "`Phone` is not a name in lower case"),
        ("", "1", "type", "is not a name in lower case"),
        ("a:b", "1", "type", "is not a name in lower case"),
    ],
)
def test_what_is_no_identifier(kind, given, field, text):
    """What cannot be an identifier of its type is refused without repeating it."""
    found = []
    checked(kind, given, "identifier", found)
    (violation,) = found
    assert violation.field == f"identifier.{field}"
    assert text in violation.description
    assert field == "type" or len(given) < 3 or given not in violation.description


async def test_files_of_identifiers(store, tmp_path):
    """Rows become identifiers beside those known; bad ones are listed without their values."""
    await put(store, "c1", CARD)
    await put(store, "c9", Identifier("card", "9"))
    file = tmp_path / "identifiers.csv"
    file.write_text(
        "customer_id,type,value\n"
        "c1,phone,+45 12345678\n"
        "c2,card,ab-77\n"
        "c3,phone,12345678\n"
        "c4,card,9\n"
        "a{b,Card,5\n"
        "c5,card,\n"
    )
    for _ in range(2):
        report = await load_identifiers(file, store)
        assert (report.loaded, report.rejected) == (2, 4)
        assert await store.of("c1") == [CARD, PHONE]
        assert await store.resolve(Identifier("card", "AB77")) == "c2"
    with report.rejects.open(newline="") as lines:
        found = [tuple(row) for row in csv.reader(lines)][1:]
    assert found == [
        ("3", "value", "is not a phone number with `+` and its country's code"),
        ("4", "value", "another customer has this card"),
        ("5", "customer_id", "holds a control character or a brace"),
        ("5", "type", "`Card` is not a name in lower case, such as `phone` or `card`"),
        ("6", "value", "is empty"),
    ]


async def test_files_do_not_bring_the_erased_back(store, tmp_path, connection, keys):
    """An identifier of a customer who was erased is rejected, and stays free."""
    await connection.execute("SET", keys.tombstone("c1"), "1500000000")
    file = tmp_path / "identifiers.csv"
    file.write_text("customer_id,type,value\nc1,card,ab1234\n")
    assert (await load_identifiers(file, store)).rejected == 1
    await put(store, "c2", CARD)
    assert (await store.of("c1"), await store.resolve(CARD)) == ([], "c2")


async def test_columns_of_identifier_files(store, tmp_path):
    """Columns that are missing or not known stop the load; all are listed."""
    file = tmp_path / "identifiers.csv"
    file.write_text("customer_id,kind,value\nc1,card,1\n")
    with pytest.raises(InvalidInput) as raised:
        await load_identifiers(file, store)
    assert [v.description for v in raised.value.violations] == ["`type` is missing", "`kind` is not known"]
