"""Broken streams: the caller gets the exact text once, or the exact prefix and an honest error."""

import pytest
from hotspare import AllTargetsFailed, Pool, StreamInterrupted, Target, Timeouts
from hotspare._engine.continuation import SpliceError, Splicer
from hotspare.drill.answers import answer, tokenize
from hotspare.drill.provider import Provider
from hypothesis import given
from hypothesis import strategies as st

WIRES = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
TEXT = answer("a long one", 60)
PIECES = tokenize(TEXT)


def joined(shown: str, continuation: str, size: int, *, restart: bool = False) -> str:
    """`shown`, and what the seam lets through of a continuation that comes in pieces."""
    seam = Splicer(shown, restart=restart)
    pieces = [continuation[i : i + size] for i in range(0, len(continuation), size)]
    return shown + "".join(map(seam.feed, pieces)) + seam.finish()


@given(cut=st.integers(1, len(TEXT) - 1), size=st.integers(1, 9))
def test_an_exact_continuation_is_joined_anywhere(cut: int, size: int) -> None:
    """Inside words, fences, emoji and Korean: the rest of the text, as a target that dropped closing blanks sends it."""
    shown = TEXT[:cut]
    rest = TEXT[len(shown.rstrip()) :]
    assert joined(shown, rest, size) == TEXT


@given(cut=st.integers(16, len(TEXT) - 1), size=st.integers(1, 9))
def test_a_restart_is_skipped(cut: int, size: int) -> None:
    """A target that starts over repeats nothing to the caller."""
    assert joined(TEXT[:cut], TEXT, size) == TEXT
    assert joined(TEXT[:cut], TEXT, size, restart=True) == TEXT


@given(cut=st.integers(80, len(TEXT) - 1), back=st.integers(24, 60), size=st.integers(1, 9))
def test_an_overlap_is_taken_off(cut: int, back: int, size: int) -> None:
    """A target that repeats the last words does not double them."""
    shown = TEXT[:cut]
    assert joined(shown, TEXT[max(0, len(shown.rstrip()) - back) :], size) == TEXT


def test_what_cannot_be_joined_is_an_error() -> None:
    """A restart in other words, and chatter around the continuation, are seen."""
    with pytest.raises(SpliceError):
        joined("The quick brown fox jumps over", "The quick brown cat sleeps", 4)
    with pytest.raises(SpliceError):
        joined("The quick brown fox", "Sure, here is the rest of the answer:\n\njumps", 4)
    with pytest.raises(SpliceError):
        joined("abc", "something else", 4, restart=True)


def pool_of(provider: Provider, *wires: str, **policy: object) -> Pool:
    """One target an endpoint."""
    return Pool(
        [
            Target(f"{w}/{WIRES[w]}", region=e, base_url=provider.base_url(e, w), api_key="test-1", name=e)
            for e, w in zip("abc", wires, strict=False)
        ],
        **policy,  # type: ignore[arg-type]
    )


async def text_of(pool: Pool, face: str, prompt: str) -> tuple[str, object]:
    """A streamed answer and its receipt."""
    chunks = list(pool.stream(prompt)) if face == "stream" else [c async for c in pool.astream(prompt)]
    return "".join(chunk.text for chunk in chunks), chunks[-1].summary


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["stream", "astream"])
@pytest.mark.parametrize("fault", ["cut", "eof", "error_event"])
@pytest.mark.parametrize("first", WIRES)
@pytest.mark.parametrize("second", WIRES)
async def test_the_next_target_continues(face: str, fault: str, first: str, second: str, provider: Provider) -> None:
    """The caller sees one whole text; the receipt says who spoke and where the seam is."""
    provider.fault("a", fault, at=20)
    with pool_of(provider, first, second) as pool:
        text, receipt = await text_of(pool, face, "a long one")
        assert text == TEXT
        assert receipt.targets == ("a", "b")  # type: ignore[attr-defined]
        assert receipt.splice_points[0] <= len("".join(PIECES[:21]))  # type: ignore[attr-defined]
        await pool.aclose()


def test_a_refused_prefill_is_asked_again_with_words(provider: Provider) -> None:
    """A 400 to a prefill is learnt: the same target gets the continue instruction."""
    provider.configure("b", prefill="refuse")
    provider.fault("a", "cut", at=20)
    with pool_of(provider, "openai", "anthropic") as pool:
        chunks = list(pool.stream("a long one"))
        assert "".join(chunk.text for chunk in chunks) == TEXT
        assert [a.target for a in chunks[-1].summary.attempts] == ["a", "b", "b"]  # type: ignore[union-attr]


def test_prose_around_the_continuation_is_not_passed_on(provider: Provider) -> None:
    """Chatter is detected: the caller gets the exact prefix."""
    provider.configure("b", prefill="prose", continuation="prose")
    provider.fault("a", "cut", at=20)
    with pool_of(provider, "openai", "gemini") as pool, pytest.raises(StreamInterrupted) as caught:
        list(pool.stream("a long one"))
    assert TEXT.startswith(caught.value.text)


def test_a_recovery_is_recovered(provider: Provider) -> None:
    """The second target breaks too, and the third ends the text."""
    provider.fault("a", "cut", at=10)
    provider.fault("b", "cut", at=10)
    with pool_of(provider, "openai", "anthropic", "gemini") as pool:
        chunks = list(pool.stream("a long one"))
        assert "".join(chunk.text for chunk in chunks) == TEXT
        assert chunks[-1].summary.targets == ("a", "b", "c")  # type: ignore[union-attr]


@pytest.mark.parametrize("more", [{"on_break": "raise"}, {"response_format": {"type": "json_object"}}])
def test_the_ladder_raises_where_nothing_may_be_joined(more: dict[str, object], provider: Provider) -> None:
    """By policy, and in JSON mode, a break is raised with the prefix."""
    provider.fault("a", "cut", at=6)
    policy = {k: v for k, v in more.items() if k == "on_break"}
    request = {k: v for k, v in more.items() if k != "on_break"}
    with pool_of(provider, "openai", "openai", **policy) as pool, pytest.raises(StreamInterrupted) as caught:
        list(pool.stream("a long one, in json", **request))
    assert caught.value.text


def test_a_handed_out_tool_call_is_never_continued(provider: Provider) -> None:
    """A second target must not write the rest of another's arguments."""
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    provider.fault("a", "cut", at=2)
    with pool_of(provider, "openai", "anthropic") as pool, pytest.raises(StreamInterrupted):
        list(pool.stream("call weather", tools=[tool]))


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["stream", "astream"])
async def test_a_drip_is_left(face: str, provider: Provider) -> None:
    """Tokens that come too slowly are continued by a target that is free."""
    provider.fault("a", "drip", gap=0.1)
    policy = {"timeouts": Timeouts(throughput_window=0.3, min_throughput=500)}
    with pool_of(provider, "openai", "anthropic", **policy) as pool:
        text, receipt = await text_of(pool, face, "a long one")
        assert text == TEXT
        assert receipt.targets == ("a", "b")  # type: ignore[attr-defined]
        await pool.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["chat", "achat"])
async def test_a_whole_answer_may_be_streamed_underneath(face: str, provider: Provider) -> None:
    """`whole="stream"` gives the same reply, and a break or a refusal to stream does not show."""
    provider.fault("a", "cut", at=20)
    provider.configure("b", streaming=False)
    with pool_of(provider, "openai", "openai", "anthropic", completion="stream") as pool:
        reply = pool.chat("a long one") if face == "chat" else await pool.achat("a long one")
        assert reply.text == TEXT
        assert reply.usage.output_tokens
        assert not pool._scheduler.members[1].streams
        await pool.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["chat", "achat"])
@pytest.mark.parametrize("more", [{}, {"on_break": "raise"}, {"response_format": {"type": "json_object"}}])
async def test_a_whole_answer_is_begun_anew(face: str, more: dict[str, object], provider: Provider) -> None:
    """Nobody has seen anything of it: whatever it is and however the next one goes on, a break is a failed attempt."""
    policy = {k: v for k, v in more.items() if k == "on_break"}
    request = {k: v for k, v in more.items() if k != "on_break"}
    with pool_of(provider, "openai", "openai") as pool:
        calm = pool.chat("a long one, in json", **request).text
    provider.fault("a", "cut", at=6)
    provider.configure("b", continuation="prose")
    with pool_of(provider, "openai", "openai", completion="stream", **policy) as pool:
        ask = {"chat": pool.chat, "achat": pool.achat}[face]
        reply = ask("a long one, in json", **request)
        reply = await reply if face == "achat" else reply  # type: ignore[misc]
        assert reply.text == calm
        assert [(a.target, a.kind) for a in reply.attempts] == [("a", "transport"), ("b", "ok")]
        await pool.aclose()


def test_a_whole_answer_keeps_its_deadline(provider: Provider) -> None:
    """A stall underneath ends with the call's own deadline, as the failure that it is."""
    provider.fault("a", "stall", at=6)
    with pool_of(provider, "openai", completion="stream") as pool, pytest.raises(AllTargetsFailed) as caught:
        pool.chat("a long one", deadline=0.4)
    assert [(a.target, a.kind) for a in caught.value.attempts] == [("a", "timeout")]


def test_who_streams_underneath_is_for_the_call_the_target_and_the_policy(provider: Provider) -> None:
    """The caller's word wins over the target's, and that over the policy's."""

    def asked(**options: object) -> list[bool]:
        pool.chat("q tokens=3", **options)
        pool.chat("q tokens=3", model="b", **options)
        bodies = [provider.recorded_requests(endpoint)[-1]["body"] for endpoint in "ab"]
        return [body.get("stream", False) for body in bodies]

    targets = [
        Target("openai/m", name=e, base_url=provider.base_url(e), api_key="test-1", completion=how)
        for e, how in (("a", "stream"), ("b", None))
    ]
    with Pool(targets) as pool:
        assert asked() == [True, False]
        assert asked(completion="wait") == [False, False]
        assert asked(completion="stream") == [True, True]
    with Pool(targets, completion="stream") as pool:
        assert asked() == [True, True]
        assert pool.chat("q tokens=3").usage.output_tokens == 3


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["stream", "astream"])
async def test_a_drip_is_known_by_the_targets_own_rate(face: str, provider: Provider) -> None:
    """A tenth of its usual rate is a drip, though it is above the fixed bound."""
    provider.fault("a", "drip", gap=0.05)
    with pool_of(provider, "openai", "anthropic", timeouts=Timeouts(throughput_window=0.3)) as pool:
        for _ in range(8):
            pool._scheduler.members[0].rates.add(20_000.0)
        text, receipt = await text_of(pool, face, "a long one")
        assert text == TEXT
        assert receipt.targets == ("a", "b")  # type: ignore[attr-defined]
        await pool.aclose()
    with pool_of(provider, "openai", "anthropic", timeouts=Timeouts(throughput_window=0.3)) as pool:
        text, receipt = await text_of(pool, face, "a long one tokens=12")
        assert receipt.targets == ("a",)  # type: ignore[attr-defined]
        assert len(pool._scheduler.members[0].rates) == 1
        await pool.aclose()


def test_an_empty_rest_ends_the_answer(provider: Provider) -> None:
    """Everything was said but the proof: whoever is asked for the rest has nothing to add, and that is the proof."""
    for second in WIRES:
        provider.reset()
        provider.fault("a", "eof", at=60)
        with pool_of(provider, "openai", second) as pool:
            chunks = list(pool.stream("a long one"))
            assert "".join(chunk.text for chunk in chunks) == TEXT
            assert chunks[-1].summary.targets == ("a", "b")  # type: ignore[union-attr]
            assert [a.kind for a in chunks[-1].summary.attempts] == ["ok", "ok"]  # type: ignore[union-attr]
