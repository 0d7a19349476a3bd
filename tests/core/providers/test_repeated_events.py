"""Events that differ in their text only are read without being parsed; the result is that of parsing each."""

import json
from collections.abc import Callable
from functools import partial
from unittest import mock

import pytest
from hotspare.errors import BackendError
from hotspare.messages import ChatChunk, ChatRequest
from hotspare.providers import event_reader
from hotspare.providers.anthropic.stream import AnthropicReader
from hotspare.providers.base import StreamReader
from hotspare.providers.gemini import response as gemini
from hotspare.providers.gemini.response import GeminiReader
from hotspare.providers.json_access import loads
from hotspare.providers.openai.flavors import FLAVORS
from hotspare.providers.openai.stream import OpenAIReader
from hypothesis import example, given
from hypothesis import strategies as st

REQUEST = ChatRequest(messages=[])
CHUNK = '{"id":"c","choices":[{"index":0,"delta":{"content":%s},"finish_reason":%s}]%s}'
DELTA = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}}'
ESCAPED = st.text(st.sampled_from('a "\\\n가'), max_size=4).map(json.dumps)
WORDS = st.text(max_size=5).map(lambda text: json.dumps(text, ensure_ascii=False)) | ESCAPED
BROKEN = st.sampled_from(
    ["null", "7", '"', '"a\tb"', '"a","x":"b"', '"a"},"usage":{"prompt_tokens":"3"', '"\\ud83d"', '"content"', '""']
)
MORE = st.sampled_from(["", "", "", "", ',"usage":{"prompt_tokens":1}', ',"n":"1"', ',"n":"2"', ',"error":"no"'])
ENDS = st.sampled_from(["null", "null", "null", "null", "null", '"stop"'])
OPENAI = st.lists(
    st.tuples(
        st.sampled_from(["message", "message", "other"]),
        st.builds(lambda *one: CHUNK % one, WORDS | BROKEN, ENDS, MORE),
    ),
    max_size=12,
)
ANTHROPIC = st.lists((WORDS | BROKEN).map(lambda word: ("content_block_delta", DELTA % word)), max_size=12)

BODY = '{"candidates":[{"content":{"parts":[%s],"role":"model"},"index":0%s}]%s}'
PART = st.builds(
    '{{"text":{}{}}}'.format, WORDS | BROKEN, st.sampled_from(["", "", ',"thought":true', ',"thoughtSignature":"s"'])
)
GEMINI = st.lists(
    st.builds(
        lambda *one: ("message", BODY % one),
        PART | st.builds("{},{}".format, PART, PART) | st.sampled_from(["", "null"]),
        st.sampled_from(["", "", "", ',"finishReason":"STOP"', ',"index":1']),
        st.sampled_from(
            ["", "", ',"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}', ',"modelVersion":"m"']
        )
        | st.sampled_from(
            [',"promptFeedback":{"blockReason":"SAFETY"}', ',"error":{"message":"no"}', ',"usageMetadata":7']
        ),
    ),
    max_size=8,
)


def _read(reader: StreamReader, events: list[tuple[str, str]]) -> list[object]:
    found: list[object] = []
    try:
        found += [reader.event(*event) for event in events]
        found.append(reader.finish())
    except BackendError as error:
        found.append((type(error), str(error), error.body))
    return found


def _same(new: Callable[[], StreamReader], events: list[tuple[str, str]]) -> None:
    with mock.patch.object(event_reader, "_TRIES", 0):
        parsed = _read(new(), events)
    assert _read(new(), events) == parsed


@given(OPENAI)
@example([("message", CHUNK % ('"a"', "null", ""))] * 3 + [("message", CHUNK % ('"a"', '"stop"', ""))])
def test_chat_completions_read_the_same_as_parsed_ones(events: list[tuple[str, str]]) -> None:
    """Escaped, broken and empty texts, other fields, usage, errors and the end, in any order."""
    _same(lambda: OpenAIReader(FLAVORS["openai"], REQUEST), events)


@given(ANTHROPIC)
def test_messages_read_the_same_as_parsed_ones(events: list[tuple[str, str]]) -> None:
    """The deltas of Anthropic's text blocks."""
    _same(lambda: AnthropicReader(REQUEST), events)


@given(GEMINI)
def test_generate_content_reads_the_same_as_parsed_bodies(events: list[tuple[str, str]]) -> None:
    """Bodies that hold a piece of text and nothing else, and others, by the shortcut for the former and without it."""
    new = partial(GeminiReader, REQUEST)
    with mock.patch.object(gemini, "_text_only", return_value=""), mock.patch.object(event_reader, "_TRIES", 0):
        parsed = _read(new(), events)
    assert _texts(_read(new(), events)) == _texts(parsed)


def _texts(found: list[object]) -> list[object]:
    """Without the empty fields that the general reading sets."""
    return [{k: v for k, v in vars(one).items() if v} if isinstance(one, ChatChunk) else one for one in found]


def test_a_stream_is_parsed_until_its_events_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 50 events that differ in a word only, three are parsed: the first, the one whose frame is learnt, and one with a line
    break. Where each event has a number of its own, all are, and nothing is looked for any more."""
    parsed = mock.Mock(side_effect=loads)
    monkeypatch.setattr(event_reader, "loads", parsed)
    numbered = OpenAIReader(FLAVORS["openai"], REQUEST)
    words = [json.dumps("line\n" if number == 30 else f"word {number}") for number in range(50)]
    _read(OpenAIReader(FLAVORS["openai"], REQUEST), [("message", CHUNK % (word, "null", "")) for word in words])
    assert parsed.call_count == 3
    _read(numbered, [("message", CHUNK % (word, "null", f',"n":{place}')) for place, word in enumerate(words)])
    assert parsed.call_count == 53
