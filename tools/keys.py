"""Create, list and revoke API keys of a deployed stage or of the local stack.

``make key``, ``make keys`` and ``make revoke-key`` run it. It needs access to the stack and to its table.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from retail_pulse.domain.api_keys import DEFAULT_SCOPES, KeyScope, check_client, new_key
from retail_pulse.domain.errors import RetailPulseError
from retail_pulse.domain.text import decimal
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tools import stage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MAX_DAYS = 3650
_MAX_DAILY_IMAGES = 10**9


def _create(dynamodb: "DynamoDBClient", table_name: str, options: argparse.Namespace) -> None:
    client, days = check_client(options.client), options.expires_days
    scopes = KeyScope.parse(options.scopes)
    key = new_key()
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    made = ApiKeysTable(dynamodb, table_name).issue(key, client, scopes, expires_at, options.daily_images)
    rules = f"{', '.join(sorted(scopes))}; images per day {_images(made.daily_images)}; expires {_time(expires_at)}"
    print(f"API key {made.key_id} ({rules}), shown this once:\n{key}")


def _list(dynamodb: "DynamoDBClient", table_name: str, options: argparse.Namespace) -> None:
    client = None if options.client is None else check_client(options.client)
    now = datetime.now(UTC)
    rows = [("ID", "CLIENT", "SCOPES", "IMAGES/DAY", "CREATED", "EXPIRES", "REVOKED", "STATE")]
    for key in ApiKeysTable(dynamodb, table_name).all(client):
        times = (_time(key.created_at), _time(key.expires_at), _time(key.revoked_at))
        state = key.refusal(now) or "live"
        rows.append((key.key_id, key.client, ",".join(sorted(key.scopes)), _images(key.daily_images), *times, state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _revoke(dynamodb: "DynamoDBClient", table_name: str, options: argparse.Namespace) -> None:
    key = ApiKeysTable(dynamodb, table_name).revoke(options.id, datetime.now(UTC))
    print(f"key {key.key_id} was revoked at {_time(key.revoked_at)}; the stage may accept it until its cached")
    print("authorization expires (parameter AuthorizerCacheSeconds)")


def _time(time: datetime | None) -> str:
    return "never" if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _images(daily: int | None) -> str:
    return "unlimited" if daily is None else str(daily)


def _up_to(maximum: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from 1 to a maximum."""

    def read(text: str) -> int:
        number = decimal(text, max_digits=len(str(maximum))) or 0
        if not 1 <= number <= maximum:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {maximum}")
        return number

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.keys", description=__doc__)
    where = stage.arguments()
    commands = parser.add_subparsers(required=True)

    create = commands.add_parser("create", parents=[where], help="create a key, which is printed once")
    create.add_argument("--client", required=True, help="name of the client: a-z, 0-9 and -")
    scopes = ",".join(sorted(DEFAULT_SCOPES))
    create.add_argument("--scopes", default=scopes, help="comma-separated: submit, read, admin")
    create.add_argument("--expires-days", type=_up_to(_MAX_DAYS), help="days until it expires; never by default")
    create.add_argument(
        "--daily-images", type=_up_to(_MAX_DAILY_IMAGES), help="images its client may submit per day; any by default"
    )
    create.set_defaults(command=_create)

    listing = commands.add_parser("list", parents=[where], help="list key IDs, never the keys themselves")
    listing.add_argument("--client", help="only keys of this client")
    listing.set_defaults(command=_list)

    revoke = commands.add_parser("revoke", parents=[where], help="revoke a key")
    revoke.add_argument("--id", required=True, help="the key's ID from the list")
    revoke.set_defaults(command=_revoke)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        client, outputs = stage.connect(options, "TableName")
        options.command(client("dynamodb"), outputs["TableName"], options)
    except (RetailPulseError, *stage.ERRORS) as error:
        print(f"nothing was done: {stage.reason(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
