"""How a continuation is joined that an instruction or a prefill asked for, and which parts of a word models begin again."""

from typing import Any

import pytest
from hotspare._engine.continuation import EmittedText, SpliceError, Splicer, _is_word_start, estimate_usage, splicer_for  # pyright: ignore[reportPrivateUsage]
from hotspare.messages import ChatChunk, ChatRequest, Usage
from hotspare.policy import Policy

from tests.support.engine import call_of, state_of


def joined(emitted: str, text: str, *, instructed: bool = True, restart: bool = False) -> str:
    splicer = Splicer(emitted, restart=restart, instructed=instructed)
    return splicer.feed(text) + splicer.finish()


@pytest.mark.parametrize(
    ("emitted", "text", "instructed", "exact"),
    [
        ("The capital is Par", "Paris, of course it", "is, of course it", "Paris, of course it"),
        ("The capital is Par", " Paris", " Paris", " Paris"),  # a new word
        ("The capital is Par ", "Paris", "Paris", "Paris"),  # no word was cut
        ("The capital is XPar", "Paris, and", "Paris, and", "Paris, and"),  # not the beginning of a word
        ("call get_wea", "weather now", "ther now", "weather now"),
        ("call getWea", "Weather now", "ther now", "Weather now"),
        ("서울은 대한", "한국의 수도", "국의 수도", "한국의 수도"),
        ("one two three four", "one two three four five", " five", " five"),
        ("so", "so good that it", " good that it", " good that it"),
        ("so", " so good that it", " so good that it", " so good that it"),
        ("it is a very long one", "a very long one and so on", " and so on", " and so on"),
    ],
)
def test_the_rest_of_a_word(emitted: str, text: str, instructed: str, exact: str) -> None:
    """After an instruction the part of the word that was handed out is removed; after a prefill only long repetitions are."""
    assert (joined(emitted, text), joined(emitted, text, instructed=False)) == (instructed, exact)


def test_a_prefill_that_is_repeated_without_its_last_space() -> None:
    """llama.cpp repeats what it was sent, which has no space at its end."""
    assert joined("It was a dark night ", "It was a dark night and stormy", instructed=False) == "and stormy"
    assert joined("  It was a dark night ", "It was a dark night and stormy", instructed=False) == "and stormy"
    assert joined("It was a dark night \n", "It was a dark night and stormy", instructed=False) == "and stormy"
    with pytest.raises(SpliceError, match=r"^the restarted answer differs from the emitted text after 20 characters$"):
        joined("It was a dark night \n", "It was a dark night and stormy")


def test_which_request_is_an_instruction() -> None:
    """One whose last message is not the assistant's."""
    emitted = "The capital is Par"
    for messages, text in (
        ([{"role": "assistant", "content": emitted}], "Paris, of course"),
        ([{"role": "assistant", "content": emitted}, {"role": "user", "content": "go on"}], "is, of course"),
        ([{"role": "user", "content": "go on"}, {"role": "assistant", "content": emitted}], "Paris, of course"),
        ([], "is, of course"),
    ):
        fields: Any = messages
        splicer = splicer_for(emitted, ChatRequest(messages=fields), Policy())
        assert splicer.feed("Paris, of course") + splicer.finish() == text
    restart = splicer_for("one two", ChatRequest(messages=[]), Policy(on_break="restart"))
    assert restart.feed("one two three") == " three"


@pytest.mark.parametrize(
    ("text", "at", "starts"),
    [
        ("word", 0, True), ("a word", 2, True), ("word", 1, False), ("a-word", 2, True), ("a_word", 2, True), ("aWord", 1, True),
        ("AWord", 1, False), ("aword", 1, False), ("1Word", 1, False), ("a ", 1, False), ("대한", 1, True), ("éx", 1, False),
        ("e\u0301x", 2, False), ("e\u0301x", 1, False), ("\u10ff\u10ff", 1, False), ("\u1100\u1100", 1, True),
    ],
)  # fmt: skip
def test_where_a_word_begins(text: str, at: int, starts: bool) -> None:
    """After anything that is no letter, at each syllable of East Asian scripts, and at a capital in a name of code."""
    assert _is_word_start(text, at) is starts
    assert _is_word_start(text, at - len(text)) is starts


@pytest.mark.parametrize(
    ("chunks", "is_blank", "plain"),
    [
        ([], True, True),
        ([ChatChunk(text=" \n")], True, True),
        ([ChatChunk(reasoning="r")], True, False),
        ([ChatChunk(text="a")], False, True),
        ([ChatChunk(refusal="no")], False, False),
    ],
)
def test_what_was_handed_out(chunks: list[ChatChunk], is_blank: bool, plain: bool) -> None:
    """Whether any of the answer was, and whether it is text only."""
    emitted = EmittedText()
    for chunk in chunks:
        emitted.add(chunk)
    assert (emitted.is_blank, emitted.plain) == (is_blank, plain)


@pytest.mark.parametrize(("size", "tokens"), [(0, 1), (7, 1), (8, 2), (400, 100)])
def test_an_estimate_of_tokens(size: int, tokens: int) -> None:
    """Four characters each, and one at least."""
    request = ChatRequest(messages=[{"role": "user", "content": "x" * size}])
    assert estimate_usage(call_of(state_of(), request=request), 3) == Usage(tokens, 3)
