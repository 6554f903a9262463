"""Who may call the emulator, by the headers of a request."""

import hashlib

import pytest

from local.emulator.callers import Callers, new_secret

SECRET = "0123456789abcdef0123456789abcdef"
FUNCTION = {"FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f", "Role": "arn:aws:iam::1:role/r"}


def signed(key: str) -> bytes:
    return (
        f"AWS4-HMAC-SHA256 Credential={key}/20261128/us-east-1/sqs/aws4_request, SignedHeaders=h, Signature=0".encode()
    )


def started(secret: str = SECRET) -> tuple[Callers, str]:
    """Return callers of a stack whose function has run, and the ID of the function's credentials."""
    callers = Callers(secret)
    register = callers.sessions(lambda key, session: None)

    def derive_and_register(config: dict[str, str]) -> dict[str, str]:
        register(derive(config)["AWS_ACCESS_KEY_ID"], {})
        return derive(config)

    return callers, callers.role_credentials(derive_and_register)(FUNCTION)["AWS_ACCESS_KEY_ID"]


def derive(config: dict[str, str]) -> dict[str, str]:
    """Return the ID that ministack derives from a function's configuration."""
    text = f"{config['FunctionArn']}:{config['Role']}"
    return {"AWS_ACCESS_KEY_ID": f"ASIA{hashlib.sha256(text.encode()).hexdigest()[:16].upper()}"}


def test_whoever_has_the_secret_is_admitted() -> None:
    assert Callers(SECRET).admits([(b"host", b"localhost"), (b"Authorization", signed(SECRET))])


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"AWS4-HMAC-SHA256 x"],
        *([signed(key)] for key in ("", "local", "test", "none", "0" * 12, SECRET[:-1], SECRET + "0", SECRET.upper())),
        [signed(derive(FUNCTION)["AWS_ACCESS_KEY_ID"])],
        # The emulator joins several headers, and takes the first ID in them.
        [signed("test"), signed(SECRET)],
        [signed(SECRET), signed("test")],
        [b"Credential=test/, " + signed(SECRET)],
        [signed(SECRET).replace(b"HMAC", b"ECDSA")],
    ],
)
def test_nobody_else_is_admitted(values: list[bytes]) -> None:
    callers, _ = started()
    assert not callers.admits([(b"authorization", value) for value in values])


def test_a_function_is_admitted_with_credentials_that_cannot_be_derived() -> None:
    callers, key = started()

    assert callers.admits([(b"authorization", signed(key))])
    assert key != derive(FUNCTION)["AWS_ACCESS_KEY_ID"]
    assert not started(new_secret())[0].admits([(b"authorization", signed(key))])


def test_each_start_has_another_secret() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
