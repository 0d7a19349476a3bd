"""Answers depend on the prompt only, and continuations fit at every cut."""

import subprocess
import sys

import pytest
from hotspare.drill.answers import after_tools, answer, estimate_tokens, reasoning, tokenize, with_images
from hotspare.drill.conversation import PROSE_AFTER, PROSE_BEFORE, compose
from hotspare.drill.messages import Request, Turn
from hypothesis import given
from hypothesis import strategies as st


@given(st.text())
def test_an_answer_is_its_tokens(prompt: str) -> None:
    """Whatever the prompt, the answer has sixty tokens, and joined they are the answer."""
    text = answer(prompt, 60) if "tokens=" not in prompt else answer("x")
    assert "".join(tokenize(text)) == text
    assert len(tokenize(text)) == 60
    assert text == text.strip()


@given(st.text())
def test_any_text_survives_tokenizing(text: str) -> None:
    """No character of any text is lost or added."""
    assert "".join(tokenize(text)) == text


def test_answers_are_the_same_in_another_process() -> None:
    """An answer depends on no hash seed, clock or state."""
    code = "from hotspare.drill.answers import answer; import sys; sys.stdout.buffer.write(answer('hello').encode())"
    env = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(p for p in sys.path if p)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env).stdout
    assert out.decode() == answer("hello")


def test_answers_differ_and_contain_what_is_hard_to_cut() -> None:
    """Each prompt has its own answer; they contain Hangul, Han, emoji, code fences and paragraphs."""
    texts = [answer(f"prompt {i}") for i in range(200)]
    assert len(set(texts)) == 200
    everything = "".join(texts)
    for part in ("서울", "热备", "👩‍💻", "```python", "\n\n", '"', "—"):
        assert part in everything


@pytest.mark.parametrize("wanted", [1, 5, 500])
def test_the_prompt_sets_the_length(wanted: int) -> None:
    """`tokens=N` in the prompt takes precedence over the default."""
    assert len(tokenize(answer(f"tokens={wanted} please"))) == wanted


def test_a_fixed_answer_is_pinned() -> None:
    """A change of the texts breaks recorded answers, so it must be deliberate."""
    assert answer("hello", 8) == "keys,切换 indeed! Health i.e. twenty, & share"
    assert reasoning("hello") != answer("hello")
    assert (estimate_tokens(""), estimate_tokens("four"), estimate_tokens("fives")) == (0, 1, 2)


def request(*turns: Turn) -> Request:
    """A request with these turns."""
    return Request("model", list(turns))


@given(st.data())
def test_a_continuation_completes_the_answer(data: st.DataObject) -> None:
    """For any prompt and any cut, also inside a word or an emoji, the prefix and its continuation are exactly the answer."""
    prompt = f"p{data.draw(st.integers(0, 10_000))}"
    full = answer(prompt)
    cut = data.draw(st.integers(1, len(full) - 1))
    begun = Turn("assistant", full[:cut])
    prefilled = compose(request(Turn("user", prompt), begun))
    told = compose(request(Turn("user", prompt), begun, Turn("user", "Go on, please.")))
    assert full[:cut] + "".join(prefilled.text) == full
    assert prefilled.text == told.text


def test_each_continuation_mode() -> None:
    """`strip`, `overlap`, `restart` and `prose` change the rest as documented."""
    full = answer("hello")
    turns = (Turn("user", "hello"), Turn("assistant", full[:20]), Turn("user", "continue"))
    rest = full[20:]
    found = {m: "".join(compose(request(*turns), m).text) for m in ("continue", "strip", "overlap", "restart", "prose")}
    assert found["continue"] == rest
    assert found["strip"] == rest.lstrip()
    assert found["overlap"].endswith(rest)
    assert full[:20].endswith(found["overlap"].removesuffix(rest))
    assert len(found["overlap"]) > len(rest)
    assert found["restart"] == full
    assert found["prose"] == PROSE_BEFORE + rest.lstrip() + PROSE_AFTER


def test_a_continuation_can_be_continued() -> None:
    """After two breaks, the parts that were given are joined before the rest is computed."""
    full = answer("hello")
    turns = [
        Turn("user", "hello"),
        Turn("assistant", full[:9]),
        Turn("user", "continue"),
        Turn("assistant", full[9:30]),
    ]
    assert "".join(compose(request(*turns, Turn("user", "continue"))).text) == full[30:]


def test_a_finished_answer_is_not_continued() -> None:
    """After a complete answer, the next user message is a new prompt."""
    turns = [Turn("user", "hello"), Turn("assistant", answer("hello")), Turn("user", "and now?")]
    assert "".join(compose(request(*turns)).text) == answer("and now?")


def test_stop_sequences_and_limits_cut() -> None:
    """The text ends before the first stop sequence; the token limit ends it with the finish reason `length`."""
    full = answer("hello")
    word = tokenize(full)[10].strip()
    stopped = compose(Request("model", [Turn("user", "hello")], stop=("never there", word)))
    assert (stopped.finish_reason, stopped.stop_sequence) == ("stop_sequence", word)
    assert "".join(stopped.text) == full[: full.index(word)]
    cut = compose(Request("model", [Turn("user", "hello")], max_tokens=7))
    assert (cut.finish_reason, cut.text, cut.output_tokens) == ("length", tokenize(full)[:7], 7)


def test_tool_results_and_images_are_mentioned() -> None:
    """The answer after tool calls repeats their results; with images it states their number and size."""
    turns = [
        Turn("user", "hello"),
        Turn("assistant", tools_called=("weather",)),
        Turn("tool", results=["21 °C", "rain"]),
    ]
    assert "".join(compose(request(*turns)).text) == after_tools("hello", ("21 °C", "rain"))
    assert "21 °C" in after_tools("hello", ("21 °C", "rain"))
    seen = compose(request(Turn("user", "look", images=[10, 0])))
    assert "".join(seen.text) == with_images("look", (10, 0))
    assert with_images("look", (10, 0)).startswith("[2 image(s), 10 bytes]")


def test_usage_is_deterministic() -> None:
    """Cached tokens: as the prompt asks, at most all of it; else whole blocks of 128 from 1,024 tokens on."""
    for text, length, cached in (("cached=50", 348, 50), ("cached=50", 24, 9), ("x", 4080, 0), ("x", 5188, 1280)):
        assert compose(request(Turn("user", text.ljust(length)))).cached_tokens == cached
