"""What the embedded provider says is a pure function of the prompt, and continuations fit at every cut."""

import subprocess
import sys

import pytest
from hotspare.drill.answers import answer, estimate, think, tokenize
from hotspare.drill.conversation import PROSE_AFTER, PROSE_BEFORE, after_tools, compose, with_images
from hotspare.drill.dialects.base import Ask, Turn
from hypothesis import given
from hypothesis import strategies as st


@given(st.text())
def test_an_answer_is_its_tokens(prompt: str) -> None:
    """Whatever the prompt, tokens concatenate to the answer, and there are sixty of them."""
    text = answer(prompt, 60) if "tokens=" not in prompt else answer("x")
    assert "".join(tokenize(text)) == text
    assert len(tokenize(text)) == 60
    assert text == text.strip()


@given(st.text())
def test_any_text_survives_tokenizing(text: str) -> None:
    """No character is lost or added by cutting any text into tokens."""
    assert "".join(tokenize(text)) == text


def test_answers_are_the_same_in_another_process() -> None:
    """No hash seed, clock or state has a part in an answer."""
    code = "from hotspare.drill.answers import answer; import sys; sys.stdout.buffer.write(answer('hello').encode())"
    env = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(p for p in sys.path if p)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env).stdout
    assert out.decode() == answer("hello")


def test_answers_differ_and_are_hard_to_cut() -> None:
    """Prompts get their own answers, and among them are Hangul, Han, emoji, code fences and paragraphs."""
    texts = [answer(f"prompt {i}") for i in range(200)]
    assert len(set(texts)) == 200
    everything = "".join(texts)
    for part in ("서울", "热备", "👩‍💻", "```python", "\n\n", '"', "—"):
        assert part in everything


@pytest.mark.parametrize("wanted", [1, 5, 500])
def test_the_prompt_names_the_length(wanted: int) -> None:
    """`tokens=N` inside the prompt overrules the default."""
    assert len(tokenize(answer(f"tokens={wanted} please"))) == wanted


def test_a_fixed_answer_is_pinned() -> None:
    """A change of the words is a change of every recorded expectation: it must be meant."""
    assert answer("hello", 8) == "keys,切换 indeed! Health i.e. twenty, & share"
    assert think("hello") != answer("hello")
    assert (estimate(""), estimate("four"), estimate("fives")) == (0, 1, 2)


def _ask(*turns: Turn) -> Ask:
    return Ask("model", list(turns))


@given(st.data())
def test_a_continuation_completes_the_answer(data: st.DataObject) -> None:
    """For any prompt and any cut, also inside a word or an emoji sequence, prefix and continuation make the answer, once."""
    prompt = f"p{data.draw(st.integers(0, 10_000))}"
    full = answer(prompt)
    cut = data.draw(st.integers(1, len(full) - 1))
    begun = Turn("assistant", full[:cut])
    prefilled = compose(_ask(Turn("user", prompt), begun))
    told = compose(_ask(Turn("user", prompt), begun, Turn("user", "Go on, please.")))
    assert full[:cut] + "".join(prefilled.text) == full
    assert prefilled.text == told.text


def test_each_manner_of_continuing() -> None:
    """Stripping, overlapping, restarting and prose do to the rest what they promise."""
    full = answer("hello")
    turns = (Turn("user", "hello"), Turn("assistant", full[:20]), Turn("user", "continue"))
    rest = full[20:]
    said = {m: "".join(compose(_ask(*turns), m).text) for m in ("continue", "strip", "overlap", "restart", "prose")}
    assert said["continue"] == rest
    assert said["strip"] == rest.lstrip()
    assert said["overlap"].endswith(rest)
    assert full[:20].endswith(said["overlap"].removesuffix(rest))
    assert len(said["overlap"]) > len(rest)
    assert said["restart"] == full
    assert said["prose"] == PROSE_BEFORE + rest.lstrip() + PROSE_AFTER


def test_a_continuation_can_be_continued() -> None:
    """Two breaks: the parts already given are joined before the rest is told."""
    full = answer("hello")
    turns = [
        Turn("user", "hello"),
        Turn("assistant", full[:9]),
        Turn("user", "continue"),
        Turn("assistant", full[9:30]),
    ]
    assert "".join(compose(_ask(*turns, Turn("user", "continue"))).text) == full[30:]


def test_a_finished_answer_is_not_continued() -> None:
    """After a whole answer, the next user message is a new question."""
    turns = [Turn("user", "hello"), Turn("assistant", answer("hello")), Turn("user", "and now?")]
    assert "".join(compose(_ask(*turns)).text) == answer("and now?")


def test_stop_sequences_and_limits_cut() -> None:
    """The earliest stop sequence ends the text before it; the token limit ends it with `length`."""
    full = answer("hello")
    word = tokenize(full)[10].strip()
    ask = _ask(Turn("user", "hello"))
    ask.stop = ("never there", word)
    said = compose(ask)
    assert (said.finish, said.stop_sequence) == ("stop_sequence", word)
    assert "".join(said.text) == full[: full.index(word)]
    ask = _ask(Turn("user", "hello"))
    ask.max_tokens = 7
    said = compose(ask)
    assert (said.finish, said.text, said.output_tokens) == ("length", tokenize(full)[:7], 7)


def test_tool_results_and_images_are_mentioned() -> None:
    """The answer after tools repeats their results; pictures are counted and weighed."""
    turns = [Turn("user", "hello"), Turn("assistant", called=("weather",)), Turn("tool", results=["21 °C", "rain"])]
    assert "".join(compose(_ask(*turns)).text) == after_tools("hello", ("21 °C", "rain"))
    assert "21 °C" in after_tools("hello", ("21 °C", "rain"))
    seen = compose(_ask(Turn("user", "look", images=[10, 0])))
    assert "".join(seen.text) == with_images("look", (10, 0))
    assert with_images("look", (10, 0)).startswith("[2 image(s), 10 bytes]")


def test_usage_is_deterministic() -> None:
    """Cached tokens: as asked, at most the prompt's, else in blocks of 128 from 1,024 on."""
    for text, prompt_tokens, cached in (("cached=50", 90, 50), ("cached=50", 9, 9), ("x", 1023, 0), ("x", 1300, 1280)):
        ask = _ask(Turn("user", text))
        ask.prompt_tokens = prompt_tokens
        assert compose(ask).cached_tokens == cached
