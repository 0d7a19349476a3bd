"""Where a broken answer is joined to its continuation: by what was asked of the next target. And what is started again."""

from collections.abc import Sequence
from typing import Any

import pytest
from hotspare import Kind
from hotspare._engine.continuation import Splicer
from hotspare.messages import ChatChunk, ChatRequest
from hotspare.testing import ScriptedTarget, VirtualClock, answer, break_after, hang, scripted_pool

from tests.support.calls import EACH_FACE
from tests.support.calls import stream as streamed

INSTRUCTED = [
    ("The capital is Par", "Paris.", "The capital is Paris."),
    ("수도는 서", "서울입니다.", "수도는 서울입니다."),
    ("수도는 서울에", "에서 가장", "수도는 서울에서 가장"),
    ("首都は東", "東京です。", "首都は東京です。"),
    ("北", "北京是首都", "北京是首都"),
    ("The city is Par", "is Paris, of course", "The city is Paris, of course"),
    ("It is well-kno", "known.", "It is well-known."),
    ("It is well-kno", "well-known.", "It is well-known."),
    ("I don'", "don't know", "I don't know"),
    ("in the year 20", "2024", "in the year 2024"),
    ("pi is 3.", "3.14", "pi is 3.14"),
    ("call get_we", "weather()", "call get_weather()"),
    ("call getWe", "Weather()", "call getWeather()"),
    ("foo.ba", "bar()", "foo.bar()"),
    ("foo.ba", "foo.bar()", "foo.bar()"),
    ("Привет, ми", "мир!", "Привет, мир!"),
    ("hello", "hello world", "hello world"),
    # Nothing is repeated.
    ("The capital is Par", "is.", "The capital is Paris."),
    ("beginn", "ning", "beginnning"),
    ("Missis", "sippi", "Missississippi"[:6] + "sippi"),
    ("was bo", "ook", "was boook"),
    # The word was not cut, or a new one begins: what is the same is meant.
    ("All that is ", "is good", "All that is is good"),
    ("I had", " had enough", "I had had enough"),
    ("so", " so good", "so so good"),
    ("very very", "\nvery", "very very\nvery"),
    ("12 ", "123", "12 123"),
    # Signs are no words.
    ("wait.", "..", "wait..."),
    ("f(x)", ") + 1", "f(x)) + 1"),
    ("}", "}", "}}"),
    ("i+", "+", "i++"),
    ("😀", "😀!", "😀😀!"),
    ("-----", "-----", "----------"),
]
PREFILLED = [
    ("The capital is Par", "is.", "The capital is Paris."),
    ("say ha", "ha", "say haha"),
    ("수도는 서", "서울", "수도는 서서울"),
    ("no. 12", "123", "no. 12123"),
    ("one two three", "two three four", "one two threetwo three four"),
    ("so", " so good", "so so good"),
    ("see one two three four", "one two three four five", "see one two three four five"),
    (
        "it is an internationalization, you see",
        "internationalization, you see: fine",
        "it is an internationalization, you see: fine",
    ),
]


def joined(emitted: str, continuation: Sequence[str], *, instructed: bool) -> str:
    """The whole text, with the continuation in these pieces."""
    splicer = Splicer(emitted, restart=False, instructed=instructed)
    return emitted + "".join(map(splicer.feed, continuation)) + splicer.finish()


@pytest.mark.parametrize(("emitted", "continuation", "whole"), INSTRUCTED)
def test_after_an_instruction(emitted: str, continuation: str, whole: str) -> None:
    """A word that was cut is begun anew, and its repeated part is removed; in one piece or letter by letter."""
    assert joined(emitted, [continuation], instructed=True) == whole
    assert joined(emitted, continuation, instructed=True) == whole


@pytest.mark.parametrize(("emitted", "continuation", "whole"), PREFILLED)
def test_after_a_prefill(emitted: str, continuation: str, whole: str) -> None:
    """The continuation is exact: only what is too long to be meant is removed."""
    assert joined(emitted, [continuation], instructed=False) == whole
    assert joined(emitted, continuation, instructed=False) == whole


@EACH_FACE
@pytest.mark.parametrize(("prefill", "text"), [(False, "is Paris."), (True, "is ParParis.")])
def test_the_seam_follows_the_request(prefill: bool, text: str, face: Any) -> None:
    """The next target decides how it is asked, and with it how its words are joined."""
    clock = VirtualClock(0)
    targets = [
        ScriptedTarget("a", break_after(2, ["is ", "Par", "is."]), clock=clock),
        ScriptedTarget("b", "Paris.", prefill=prefill),
    ]
    assert streamed(face, scripted_pool(*targets, clock=clock), clock).text == text


def test_a_target_that_rejects_the_prefill_is_then_instructed() -> None:
    """The rule of the request that was answered holds, not that of the first one."""

    def second(request: ChatRequest) -> Any:
        return Kind.INVALID if request.messages[-1]["role"] == "assistant" else "Paris."  # type: ignore[typeddict-item]

    targets = [ScriptedTarget("a", break_after(2, ["is ", "Par", "is."])), ScriptedTarget("b", second, prefill=True)]
    assert "".join(chunk.text for chunk in scripted_pool(*targets).stream("hi")) == "is Paris."


THOUGHT = ChatChunk(reasoning="hm")
BREAKS: dict[str, Any] = {
    "a reset": break_after(1, [THOUGHT, "x"]),
    "a stall": hang(1, [THOUGHT, "x"]),
    "an error": break_after(1, [THOUGHT, "x"], 500),
    "a signed thought": break_after(1, [ChatChunk(thinking=({"type": "thinking"},)), "x"]),
    "white space after it": break_after(2, [THOUGHT, "\n\n", "x"]),
}


@EACH_FACE
@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("mode", [{}, {"response_format": {"type": "json_object"}}])
def test_after_reasoning_alone_another_target_starts_again(broken: str, mode: dict[str, Any], face: Any) -> None:
    """Not a word of the answer was handed out: the whole of it comes from the next target, asked as the first one was."""
    clock = VirtualClock(0)
    targets = [ScriptedTarget("a", BREAKS[broken], clock=clock), ScriptedTarget("b", answer('{"a": 1}'))]
    seen = streamed(face, scripted_pool(*targets, clock=clock, retry_same_target="never"), clock, **mode)
    assert (seen.text.strip(), seen.error) == ('{"a": 1}', "")
    assert [len(request.messages) for request in targets[1].requests] == [1]


@EACH_FACE
@pytest.mark.parametrize("said", [ChatChunk(text="so"), ChatChunk(refusal="no"), ChatChunk(media=({"type": "image"},))])
def test_once_the_answer_has_begun_after_reasoning_it_is_not(said: ChatChunk, face: Any) -> None:
    """A text after reasoning, a refusal and media cannot be taken back, nor continued."""
    clock = VirtualClock(0)
    targets = [ScriptedTarget("a", break_after(2, [THOUGHT, said, "x"]), clock=clock), "b"]
    assert "StreamInterrupted" in streamed(face, scripted_pool(*targets, clock=clock), clock).error
    raising = scripted_pool(ScriptedTarget("a", BREAKS["a reset"], clock=clock), "b", clock=clock, on_break="raise")
    assert "StreamInterrupted" in streamed(face, raising, clock).error, "the policy stands above it"
