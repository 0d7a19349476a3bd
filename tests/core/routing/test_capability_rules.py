"""What a target cannot be sent, and what is left of a request without it."""

from typing import Any

import pytest
from hotspare._routing.capabilities import unsupported_fields, without_fields
from hotspare.messages import ChatRequest
from hotspare.target import Target

from tests.support.engine import NoBackend

IMAGE = {"type": "image_url", "image_url": {"url": "http://host/cat.png"}}
TEXT = {"type": "text", "text": "what is this?"}


def chat(content: Any = "hello", **fields: Any) -> ChatRequest:
    return ChatRequest(messages=[{"role": "system", "content": None}, {"role": "user", "content": content}], **fields)


def missing(request: ChatRequest, *capabilities: Any, cannot: tuple[str, ...] = ()) -> tuple[str, ...]:
    target = Target("p/m", missing=frozenset(capabilities))
    return unsupported_fields(request, target, NoBackend(*cannot))


@pytest.mark.parametrize(
    ("capability", "field", "needs", "does_not"),
    [
        ("tools", "tools", {"tools": [{"type": "function"}]}, {"tools": []}),
        ("vision", "messages", {"content": [TEXT, IMAGE]}, {"content": [TEXT, {"type": "file"}]}),
        ("json_mode", "response_format", {"response_format": {"type": "json_object"}}, {"response_format": {"type": "text"}}),
        ("json_mode", "response_format", {"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_schema"}}),
        ("json_schema", "response_format", {"response_format": {"type": "json_schema"}}, {"response_format": {"type": "json_object"}}),
        ("json_schema", "response_format", {"response_format": {"type": "json_schema"}}, {"response_format": {}}),
        ("seed", "seed", {"seed": 0}, {}),
        ("reasoning", "reasoning_effort", {"reasoning_effort": "low"}, {"reasoning_effort": "none"}),
        ("reasoning", "reasoning_effort", {"reasoning_effort": "minimal"}, {}),
    ],
)  # fmt: skip
def test_what_a_model_cannot_do(capability: Any, field: str, needs: dict[str, Any], does_not: dict[str, Any]) -> None:
    """A request that needs it names the field; one that does not need it, or a model that can do it, names none."""
    others = {"tools", "vision", "json_mode", "json_schema", "seed", "reasoning"} - {capability}
    assert missing(chat(**needs), capability) == (field,)
    assert missing(chat(**does_not), capability) == ()
    assert missing(chat(**needs), *others) == ()
    assert missing(chat(**needs)) == ()


def test_what_a_backend_cannot_send() -> None:
    """The backend's fields come first, each once, then those of the model."""
    request = chat(seed=1, tools=[{}])
    assert missing(request, cannot=("user", "seed")) == ("user", "seed")
    assert missing(request, "seed", "tools", cannot=("user", "seed")) == ("user", "seed", "tools")


@pytest.mark.parametrize(
    ("content", "images"),
    [
        (None, False), ("image_url", False), ([], False), (["a text", TEXT], False), ([TEXT, IMAGE], True), ([IMAGE], True),
        ([7, IMAGE], True), ([7], False), (7, False), ({"type": "image_url"}, False),
    ],
)  # fmt: skip
def test_images(content: Any, images: bool) -> None:
    """An image is a part of a list; whatever else a content may be has none."""
    assert missing(chat(content), "vision") == (("messages",) if images else ())
    assert missing(ChatRequest(messages=[{"role": "user"}]), "vision") == ()


def test_without_fields() -> None:
    """The fields are as if they had never been given; without a name the request is the same object."""
    request = chat(seed=1, tools=[{}], user="me")
    left = without_fields(request, ["seed", "tools"])
    assert (left.seed, left.tools, left.user, left.messages) == (None, (), "me", request.messages)
    assert without_fields(request, []) is request


def test_without_images() -> None:
    """Of `messages` everything but text and refusals is left out, and other fields of a message stay."""
    refusal = {"type": "refusal", "refusal": "no"}
    request = chat(["bare", TEXT, IMAGE, refusal], seed=1)
    left = without_fields(request, {"messages", "seed"})
    assert left.messages == [
        {"role": "system", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "bare"}, TEXT, refusal]},
    ]
    assert left.seed is None
    assert without_fields(chat("plain"), ["messages"]).messages == chat("plain").messages
    assert request == chat(["bare", TEXT, IMAGE, refusal], seed=1)
