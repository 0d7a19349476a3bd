"""Whole answers that do not say that they have ended."""

from typing import Any

import pytest
from hotspare.errors import IncompleteAnswer
from hotspare.providers.responses.wire import ResponsesWire

from tests.core.providers.readers import REQUEST
from tests.core.providers.test_openai_read import ANY, CALL, OPENAI, body, read


@pytest.mark.parametrize("message", [{"content": "Hi"}, {"tool_calls": [CALL]}, {"content": "Hi", "reasoning": "hm"}])
@pytest.mark.parametrize("reason", [None, "", "null", "None", "undefined", 0])
def test_a_whole_answer_without_a_finish_reason_is_incomplete(message: dict[str, Any], reason: Any) -> None:
    """A relay sends it for a stream that broke behind it. A compatible server that states no reasons is believed, but not null."""
    with pytest.raises(IncompleteAnswer):
        read(message, reason)
    missing = body(message)
    del missing["choices"][0]["finish_reason"]
    with pytest.raises(IncompleteAnswer):
        OPENAI.read(missing, REQUEST)
    assert ANY.read(missing, REQUEST).finish_reason in ("stop", "tool_calls")
    if reason == "":
        assert ANY.read(body(message, reason), REQUEST).finish_reason in ("stop", "tool_calls")
    else:
        with pytest.raises(IncompleteAnswer):
            ANY.read(body(message, reason), REQUEST)


def test_a_response_whose_status_is_null_has_not_ended() -> None:
    """A server that states no status at all answers when it has."""
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    assert ResponsesWire().read({"output": [item]}, REQUEST).text == "Hi"
    for status in (None, "null", "in_progress", "queued"):
        with pytest.raises(IncompleteAnswer):
            ResponsesWire().read({"output": [item], "status": status}, REQUEST)
