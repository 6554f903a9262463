"""The rules of API keys: format, admission, scopes, and table keys that two clients never share."""

import itertools
import math
import re
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retail_pulse.domain.api_keys import (
    ApiKey,
    InvalidClientError,
    InvalidScopeError,
    KeyRefusedError,
    KeyScope,
    Refusal,
    admit,
    allows,
    check_client,
    hash_key,
    is_well_formed,
    new_key,
    new_key_id,
)
from retail_pulse.domain.visits import VisitRow
from retail_pulse.storage import items, usage_items

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MADE = new_key()
KEY = ApiKey("me.0123456789ab", hash_key(MADE), "me", frozenset({KeyScope.READ}), NOW)
# The expression that docs/security.md gives to secret scanners.
SCANNED = re.compile(r"\brpk_[0-9A-Za-z]{38}\b")


def table_of(key: ApiKey) -> Mock:
    """Return a table of one key, which counts the calls."""
    return Mock(**{"find.side_effect": {key.hash: key}.get})


def refusal(store: Mock, key: str, now: datetime = NOW) -> tuple[Refusal, ApiKey | None]:
    with pytest.raises(KeyRefusedError) as raised:
        admit(store, key, now)
    return raised.value.reason, raised.value.key


def test_a_new_key_is_long_random_well_formed_and_found_by_scanners() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(is_well_formed(key) and SCANNED.fullmatch(key) for key in keys)
    # Every character of the alphabet is drawn, at 32 places: 190 bits.
    assert {character for key in keys for character in key[4:36]} == set(string.digits + string.ascii_letters)
    assert 32 * math.log2(62) > 160


def test_the_docs_give_scanners_the_same_expression() -> None:
    page = Path(__file__).parents[2] / "docs" / "security.md"
    expression = SCANNED.pattern.removeprefix(r"\b").removesuffix(r"\b")
    assert f"`{expression}`" in page.read_text(encoding="utf-8")


def test_a_key_with_one_wrong_or_two_swapped_characters_is_malformed() -> None:
    key = new_key()
    wrong = {key[:at] + other + key[at + 1 :] for at in range(4, len(key)) for other in "aZ0" if other != key[at]}
    swapped = {key[:at] + key[at + 1] + key[at] + key[at + 2 :] for at in range(4, len(key) - 1)} - {key}
    assert not any(
        is_well_formed(text) for text in wrong | swapped | {key[:-1], key + "a", "rpk_" + key[4:].upper(), f"{key} "}
    )


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
@example("")
@example("\ud800")
@example("rpk_")
@example("rpk_" + "\ud800" * 38)
@example("rpk_" + "٣" * 38)
@example("a" * 1_000_000)
@example("key\n")
def test_any_other_text_is_refused_without_an_error(text: str) -> None:
    store = table_of(KEY)
    reason, found = refusal(store, text)
    assert found is None
    assert reason is (Refusal.UNKNOWN if is_well_formed(text) else Refusal.MALFORMED)
    # The table is not asked for a text that cannot be a key.
    assert store.find.call_count == is_well_formed(text)


def test_a_key_admits_its_client() -> None:
    assert admit(table_of(KEY), MADE, NOW) == KEY


def test_a_hash_is_not_a_key() -> None:
    assert refusal(table_of(KEY), KEY.hash) == (Refusal.MALFORMED, None)


@pytest.mark.parametrize("text", ["local-dev-key", "local-dev-key2", "x", ""])
def test_a_key_that_a_person_chose_is_refused_even_if_the_table_has_it(text: str) -> None:
    store = table_of(replace(KEY, hash=hash_key(text)))
    assert refusal(store, text) == (Refusal.MALFORMED, None)
    assert store.find.call_count == 0


def test_the_local_key_is_accepted_only_where_it_is_set_and_in_the_table() -> None:
    chosen = replace(KEY, hash=hash_key("local-dev-key"))
    assert admit(table_of(chosen), "local-dev-key", NOW, "local-dev-key") == chosen
    for other in ("local-dev-keys", "local-dev-ke", "LOCAL-DEV-KEY", ""):
        with pytest.raises(KeyRefusedError, match="malformed"):
            admit(table_of(replace(KEY, hash=hash_key(other))), other, NOW, "local-dev-key")
    with pytest.raises(KeyRefusedError, match="unknown"):
        admit(table_of(KEY), "local-dev-key", NOW, "local-dev-key")


def test_a_revoked_key_is_refused_and_named() -> None:
    revoked = replace(KEY, revoked_at=NOW)
    assert refusal(table_of(revoked), MADE) == (Refusal.REVOKED, revoked)


def test_a_key_is_refused_from_its_expiry_on() -> None:
    expiring = replace(KEY, expires_at=NOW)
    assert admit(table_of(expiring), MADE, NOW - timedelta(seconds=1)) == expiring
    assert refusal(table_of(expiring), MADE, NOW) == (Refusal.EXPIRED, expiring)


def test_a_key_id_names_its_client_and_reveals_nothing_about_the_key() -> None:
    assert re.fullmatch(r"acme\.[0-9a-f]{12}", new_key_id("acme"))
    assert new_key_id("acme") != new_key_id("acme")


def test_keys_differ_and_their_hash_does_not_hold_them() -> None:
    one, other = new_key(), new_key()
    assert one != other
    assert one.startswith("rpk_")
    assert one not in hash_key(one)
    assert hash_key(one) == hash_key(one) != hash_key(other)


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ({"submit"}, {KeyScope.SUBMIT}),
        ({"read"}, {KeyScope.READ}),
        ({"submit", "read"}, {KeyScope.SUBMIT, KeyScope.READ}),
        ({"admin"}, set(KeyScope)),
        (set(), set()),
        ({"Read", "readsubmit", "*"}, set()),
    ],
)
def test_a_scope_allows_itself_and_admin_allows_all(scopes: set[str], allowed: set[KeyScope]) -> None:
    assert {scope for scope in KeyScope if allows(scopes, scope)} == allowed


def test_scopes_are_comma_separated() -> None:
    assert KeyScope.parse(" read,submit ,") == {KeyScope.READ, KeyScope.SUBMIT}


@pytest.mark.parametrize(
    ("names", "text"),
    [("read,write", "scope 'write' must be one of submit, read, admin"), (" ,", "a key needs a scope")],
)
def test_an_invalid_scope_is_named(names: str, text: str) -> None:
    with pytest.raises(InvalidScopeError, match=text):
        KeyScope.parse(names)


@pytest.mark.parametrize("client", ["", "a#b", "-a", "A", "a.b", "a" * 64, "a\n", "ä", "a b"])
def test_a_clients_name_has_no_separator_of_table_keys(client: str) -> None:
    with pytest.raises(InvalidClientError, match="must be"):
        check_client(client)


CLIENTS = st.from_regex(re.compile(r"[a-z0-9][a-z0-9-]{0,5}", re.ASCII), fullmatch=True)
# Other texts that a client chooses may contain the separators of table keys.
CHOSEN = st.text("#1aJOBSTRE", min_size=1, max_size=8)


@given(st.lists(CLIENTS, min_size=2, max_size=2, unique=True), CHOSEN, CHOSEN)
def test_two_clients_never_share_a_table_key(clients: list[str], one: str, two: str) -> None:
    def keys(client: str, chosen: str) -> set[str]:
        row = VisitRow(client, 1, 0, 1, 1, chosen, "yesterday", 420, 1)
        made = (
            items.job_key(client, 1), items.claim_key(client, chosen), items.visit_row_key(row),
            usage_items.usage_key(client, NOW.date()),
        )  # fmt: skip
        return {key["pk"]["S"] for key in made}

    assert not any(keys(clients[0], a) & keys(clients[1], b) for a, b in itertools.product((one, two), repeat=2))
