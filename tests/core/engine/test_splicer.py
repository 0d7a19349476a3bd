"""How a continuation is joined to the text already handed out, and the request to the next target."""

from typing import Any

import pytest
from hotspare._engine.continuation import (
    INSTRUCTION,
    EmittedText,
    SpliceError,
    Splicer,
    estimate_usage,
    may_continue,
    request_for,
)
from hotspare.messages import ChatChunk, ChatRequest, ToolCallDelta, Usage
from hotspare.policy import Policy

from tests.support.engine import NoBackend, call_of, state_of


def released(emitted: str, *pieces: str, restart: bool = False) -> list[str]:
    """What is handed out after each piece, and at the end."""
    splicer = Splicer(emitted, restart=restart)
    return [*map(splicer.feed, pieces), splicer.finish()]


@pytest.mark.parametrize(
    ("emitted", "pieces", "expected"),
    [
        # It continues exactly where the text ends.
        ("The quick brown fox", (" jumps", " over"), [" jumps", " over", ""]),
        ("The quick brown fox", ("es",), ["es", ""]),
        ("", ("x", "y"), ["x", "y", ""]),
        ("x", ("",), ["", ""]),
        # It repeats the last words: four words, two words of twelve letters, or 24 letters.
        ("one two three four five six", ("three four five six", " seven"), ["", " seven", ""]),
        ("one two three four five six", ("three four", " five six", " seven"), ["", "", " seven", ""]),
        ("begin with forty sheep", ("forty sheep", " and"), ["", "forty sheep and", ""]),  # 11 letters
        ("begin with forty horses", ("forty horses", " and"), ["", " and", ""]),  # 12 letters
        ("it was internationalization", ("internationalization", " of"), ["", "internationalization of", ""]),
        ("it is Donaudampfschifffahrtskapitaen", ("Donaudampfschifffahrtskapitaen", " x"), ["", " x", ""]),
        ("end of it all here", ("it all here now",), ["it all here now", ""]),  # three words, 11 letters
        ("go on and on we go", ("on we go on",), ["on we go on", ""]),
        ("see a b c d", ("a b c d e",), [" e", ""]),  # four words
        ("see 12345678901234567890123 ", ("12345678901234567890123",), ["", "12345678901234567890123"]),
        ("see 123456789012345678901234 ", ("123456789012345678901234",), ["", ""]),
        # It starts again from the beginning.
        ("Hello there, my old friend", ("Hello there, my old friend", " and"), ["", " and", ""]),
        ("  lead", ("lead and",), [" and", ""]),
        ("  lead", ("  lead and",), [" and", ""]),
        (" lead", (" lead and",), [" and", ""]),
        ("Nos", ("Nose",), ["e", ""]),
        ("No", ("No, it",), [", it", ""]),
        ("No", ("No",), ["", ""]),
        ("2.", ("2.x",), ["x", ""]),
        ("ha", ("hah!",), ["hah!", ""]),
        ("I", ("It",), ["It", ""]),
        ("ha", ("haha",), ["haha", ""]),  # two letters prove nothing
        ("Hello there, my", ("Hello there, his",), ["Hello there, his", ""]),  # 13 in common prove nothing
        # White space at the end of the emitted text is not sent twice, and not lost.
        ("Hello ", ("world",), ["world", ""]),
        ("Hello \n", (" world",), ["world", ""]),
        ("Hello \n", (" ", "\n", "world"), ["", "", "world", ""]),
        ("Hello\n", (" ", " x"), ["", "  x", ""]),
        ("Hello  ", ("a", " "), ["", "", "a "]),
        ("one two three four five six ", ("three four five six seven",), ["seven", ""]),
        # A possible announcement is buffered until it is clear that it is the answer.
        ("abcdefghijklmnopqrstuvwxyz", ("bcdefghijklmnopqrstuvwxyz!",), ["!", ""]),
        ("A story", ("okay", " then\n", "more"), ["", "okay then\n", "more", ""]),
        ("A story", ("Sure", " enough" * 19, " yes"), ["", "", "Sure" + " enough" * 19 + " yes", ""]),
        ("A story", ("Sure", " enough" * 19 + " ye"), ["", "Sure" + " enough" * 19 + " ye", ""]),
        ("A story", ("OK",), ["", "OK"]),
        ("A story", ("   Here", " it is"), ["", "", "   Here it is"]),
        ("A story", ("It is okay",), ["It is okay", ""]),
        ("A story", ("Surely:",), ["", "Surely:"]),  # a longer word
        ("A story", ("Here comes the sun. ",), ["", "Here comes the sun. "]),
    ],
)  # fmt: skip
def test_joined(emitted: str, pieces: tuple[str, ...], expected: list[str]) -> None:
    """Nothing is handed out twice or lost, and nothing before it is clear how the text continues."""
    assert released(emitted, *pieces) == expected


def test_only_the_last_600_characters_are_searched() -> None:
    """A repetition of what was said long before is no repetition of the last words."""
    early = "the early words of it"
    assert released(early + "." * 590, "early words", " and")[:2] == ["early words", " and"]
    assert released("x" + early + "." * 580, early)[0] == early
    assert released("x" + early + "." * 579, early, ".")[0] == "", "still inside the last 600"
    longest = " ".join(f"w{place:03}" for place in range(200))
    tail = longest[-600:]
    assert released("start " + longest, tail + " end") == [" end", ""]
    tail = longest[-601:]
    assert released("start " + longest, tail + " end") == [tail + " end", ""]


@pytest.mark.parametrize(
    ("emitted", "text", "message"),
    [
        (
            "Hello there, my friend of old",
            "Hello there, my friend in need",
            "the restarted answer differs from the emitted text after 23 characters",
        ),
        (
            "Hello there, my x",
            "Hello there, my y",
            "the restarted answer differs from the emitted text after 16 characters",
        ),
        ("A story", "Sure, here is the rest:\nof", "the continuation begins with words about itself"),
        ("A story", " I apologise for the break.\nof", "the continuation begins with words about itself"),
        ("A story", "Here's more: \nof", "the continuation begins with words about itself"),
        ("A story", "SORRY. \nof", "the continuation begins with words about itself"),
        ("A story", "Apologies:\nof", "the continuation begins with words about itself"),
    ],
)
def test_cannot_be_joined(emitted: str, text: str, message: str) -> None:
    """A restart with other words, and text about the continuation, raise an error that names the reason."""
    with pytest.raises(SpliceError) as caught:
        released(emitted, text)
    assert str(caught.value) == message


def test_chatter_that_is_all() -> None:
    """A line that only announces something is buffered to the end, and is then an error."""
    splicer = Splicer("A story", restart=False)
    assert splicer.feed("Sure, here is the rest:") == ""
    with pytest.raises(SpliceError, match=r"^the continuation begins with words about itself$"):
        splicer.finish()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (("one two three four five",), [" five", ""]),
        (("one", " two three", " four five", " six"), ["", "", " five", " six", ""]),
        (("one two three four",), ["", ""]),
    ],
)
def test_restart(pieces: tuple[str, ...], expected: list[str]) -> None:
    """With `restart` what was handed out already is skipped."""
    assert released("one two three four", *pieces, restart=True) == expected


def test_white_space_before_a_restart() -> None:
    """White space at the beginning of either text makes no difference."""
    assert released("  one two", "on", "e two three", restart=True) == ["", " three", ""]
    assert released("one two", "  one", " two three", restart=True) == ["", " three", ""]


@pytest.mark.parametrize(("text", "same"), [("one two five", 8), ("quite different", 0), ("three four", 0)])
def test_restart_in_other_words(text: str, same: int) -> None:
    """With `restart` any difference is an immediate error, also one that ordinary continuations may have."""
    with pytest.raises(
        SpliceError, match=rf"^the restarted answer differs from the emitted text after {same} characters$"
    ):
        released("one two three four", text, restart=True)


def test_restart_that_ends_early() -> None:
    """A restarted answer that ends inside the emitted text cannot be joined."""
    splicer = Splicer("one two three four", restart=True)
    assert splicer.feed("one two") == ""
    with pytest.raises(SpliceError, match="after 7 characters"):
        splicer.finish()


# --- what may be continued ----------------------------------------------------------------------------------------


def test_emitted_text() -> None:
    """Text adds up; only text stays plain."""
    emitted = EmittedText()
    for text in ("a", "", "b"):
        emitted.add(ChatChunk(text=text))
    assert (emitted.text, emitted.plain) == ("ab", True)
    for chunk in (
        ChatChunk(tool_calls=(ToolCallDelta(0),)), ChatChunk(reasoning="r"), ChatChunk(thinking=({},)), ChatChunk(refusal="n"),
    ):  # fmt: skip
        emitted = EmittedText()
        emitted.add(ChatChunk(text="a"))
        emitted.add(chunk)
        assert (emitted.text, emitted.plain) == ("a", False)


@pytest.mark.parametrize(
    ("on_break", "plain", "mode", "left", "may"),
    [
        ("resume", True, None, 1, True),
        ("restart", True, {"type": "text"}, 1, True),
        ("resume", True, {}, 1, True),
        ("raise", True, None, 1, False),
        ("resume", False, None, 1, False),
        ("resume", True, {"type": "json_object"}, 1, False),
        ("resume", True, None, 0, False),
    ],
)
def test_may_continue(on_break: Any, plain: bool, mode: Any, left: int, may: bool) -> None:
    """By the policy, for plain text without JSON mode, with an attempt left."""
    emitted = EmittedText()
    emitted.add(ChatChunk(text="a", reasoning="" if plain else "hm"))
    call = call_of(request=ChatRequest(messages=[], response_format=mode), max_attempts=left)
    assert may_continue(call, emitted, Policy(on_break=on_break)) is may


QUESTION = ChatRequest(messages=[{"role": "user", "content": "tell me"}], seed=3)


@pytest.mark.parametrize(("emitted", "on_break"), [(None, "resume"), ("said", "restart"), (" \n", "resume")])
def test_the_callers_own_request(emitted: str | None, on_break: Any) -> None:
    """Before a break, with `restart`, and when nothing but white space was said, the request is the caller's."""
    call = call_of(request=QUESTION, emitted=emitted)
    assert request_for(call, state_of(), Policy(on_break=on_break)) is QUESTION


def test_a_request_for_the_rest() -> None:
    """The text so far comes last as the assistant's own, or is followed by an instruction; the rest of it stays."""
    call = call_of(request=QUESTION, emitted=" said \n")
    partial = {"role": "assistant", "content": " said"}
    prefilled = request_for(call, state_of(backend=NoBackend(prefill=True)), Policy())
    assert (prefilled.messages, prefilled.seed) == ([QUESTION.messages[0], partial], 3)
    instructed = request_for(call, state_of(), Policy())
    assert instructed.messages == [QUESTION.messages[0], partial, {"role": "user", "content": INSTRUCTION}]
    own = request_for(call, state_of(), Policy(continue_instruction="go on"))
    assert own.messages[-1] == {"role": "user", "content": "go on"}
    assert len(QUESTION.messages) == 1


def test_estimated_usage() -> None:
    """A token for four characters of the prompt, rounded down, and one for each piece of the answer."""
    messages = [{"content": "x" * 9}, {"content": None}, {"role": "user"}, {"content": "y" * 10}]
    assert estimate_usage(call_of(request=ChatRequest(messages=messages)), 7) == Usage(4, 7)
