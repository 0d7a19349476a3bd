"""The documented recipes for keys that expire, as they stand in docs/providers.md, against token servers on loopback."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hotspare import CallError, Pool, Target

from tests.support.header_server import HeaderServer, header_server

PAGE = Path(__file__).parents[3] / "docs" / "providers.md"


def recipe(word: str) -> tuple[Any, dict[str, Any]]:
    """The key function of the target in the code block with this word, and what the block defines."""
    blocks = PAGE.read_text(encoding="utf-8").split("```python\n")[1:]
    (code,) = [block.partition("```")[0] for block in blocks if word in block]
    targets: list[Target] = []
    given: dict[str, Any] = {"Target": lambda *names, **fields: targets.append(Target(*names, **fields))}
    exec(code, given)
    return targets[0].api_key, given


def token(number: int) -> dict[str, Any]:
    """A new token, and AWS credentials with a new session token, for each request."""
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = {"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": f"session-{number}", "Expiration": ends}
    return {"access_token": f"test-token-{number}", "expires_in": 3600, "token_type": "Bearer", **keys}


@pytest.fixture
def tokens() -> Iterator[HeaderServer]:
    """A token server for one test."""
    with header_server(token) as server:
        yield server


def test_application_default_credentials_of_google(
    tokens: HeaderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token is fetched for the first call and kept while it is valid; one that has expired is fetched anew."""
    pytest.importorskip("requests")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {"type": "service_account", "client_email": "a@p.test", "project_id": "p", "private_key_id": "1"}
    path = tmp_path / "account.json"
    path.write_text(json.dumps({**account, "private_key": pem, "token_uri": f"{tokens.url}/token"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    fetch, made = recipe("google.auth.default")
    keys = [fetch(), fetch()]
    made["credentials"].expiry = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    assert [*keys, fetch()] == ["test-token-1", "test-token-1", "test-token-2"]
    asked(fetch, "Bearer test-token-2")


def test_bedrock_keys_from_aws_credentials(tokens: HeaderServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of a container, as ECS and EKS serve them: a key is signed with those that hold at each attempt."""
    pytest.importorskip("aws_bedrock_token_generator")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{tokens.url}/token")
    key, _ = recipe("aws_bedrock_token_generator")
    keys = [key() for _ in range(2)]
    assert len(tokens.seen) == 2 and keys[0] != keys[1]
    asked(key, "Bearer bedrock-api-key-")


def asked(key: Any, expected: str) -> None:
    """The recipe's function as a target's key: the request carries what it gives."""
    with header_server() as server:
        target = Target("openai-compatible/m", base_url=server.url, api_key=key)
        with Pool(target, max_attempts=1, when_all_down="fail") as pool, pytest.raises(CallError):
            pool.chat("hi")
        assert server.seen[0][1]["authorization"].startswith(expected)
