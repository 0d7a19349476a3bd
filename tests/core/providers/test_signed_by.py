"""Signed and encrypted reasoning goes back to the model and the account that wrote it, and to no other one."""

from typing import Any

import pytest
from hotspare import ChatReply, ConfigError, Pool, Target, portable_history
from hotspare._engine.folding import reply_of
from hotspare.drill.provider import KEY, Provider
from hotspare.messages import SEVERAL

from tests.support.methods import EACH_METHOD, run

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": "c2ln"}}}
BLOCKS: dict[str, dict[str, Any]] = {
    "openai/gpt-5.6": {"type": "reasoning", "summary": [], "encrypted_content": "seal", "dialect": "responses"},
    "anthropic/claude-sonnet-4-5": {"type": "thinking", "thinking": "hm", "signature": "seal", "dialect": "anthropic"},
    "gemini/gemini-3-pro": {"type": "thinking", "thinking": "hm", "signature": "seal", "dialect": "gemini"},
    "mistral/magistral-medium": {"type": "thinking", "thinking": "hm seal", "dialect": "mistral"},
}


def body(target: Target, signed_by: str) -> str:
    """What the target is sent of a tool loop whose call this one signed."""
    from hotspare.messages import ChatRequest
    from hotspare.providers.presets import preset_of

    turn = {"role": "assistant", "content": None, "tool_calls": [SIGNED], "thinking_blocks": [BLOCKS[target.id]]}
    messages = [{"role": "user", "content": "q"}, {**turn, "signed_by": signed_by}]
    result = {"role": "tool", "tool_call_id": "call_1", "content": "done"}
    request = ChatRequest(messages=[*messages, result], reasoning_effort="low")
    return str(preset_of(target).wire(target).write(request, target, stream=False))


@pytest.mark.parametrize("model", BLOCKS)
def test_what_another_model_or_account_signed_is_left_out(model: str) -> None:
    """The same dialect is not enough. Gemini 3 gets the placeholder, and Claude thinks in its own turns only."""
    api: Any = {"api": "responses"} if model.startswith("openai/") else {}
    target = Target(model, api_key="k", account="one", **api)
    own = body(target, f"{model}#one")
    assert "seal" in own and ("c2ln" in own) == ("gemini" in model)
    for other in (f"{model}-2#one", f"{model}#two", SEVERAL):
        foreign = body(target, other)
        assert "seal" not in foreign and "c2ln" not in foreign and "signed_by" not in foreign
        assert ("skip_thought_signature_validator" in foreign) == ("gemini" in model)
        assert "budget_tokens" not in foreign, "Claude refuses to think in a turn that it did not begin by thinking"
    assert ("budget_tokens" in own) == ("claude" in model)


def test_where_the_signer_is_not_known_the_dialect_decides() -> None:
    """Histories of other libraries have no mark; a refusal is then answered without the signatures."""
    message = {"role": "assistant", "content": "hi", "thinking_blocks": [BLOCKS["gemini/gemini-3-pro"]]}
    target = Target("gemini/gemini-3-pro", api_key="k")
    assert portable_history([message], "gemini", target=target) == [message]
    marked = {**message, "signed_by": "gemini/gemini-2.5-pro#default"}
    assert portable_history([marked], "gemini", target=target) == [{"role": "assistant", "content": "hi"}]
    assert portable_history([marked], "gemini") == [message], "without a target nothing can be told apart"


def test_a_key_that_rotates_stays_the_same_signer(provider: Provider) -> None:
    """A function that gives the key stands for one account; two keys are two, and neither is shown."""
    base: Any = {"id": "anthropic/claude-sonnet-4-5", "base_url": provider.base_url("a", "anthropic")}
    marks = []
    for key in (lambda: KEY, lambda: KEY, KEY):
        with Pool(Target(**base, api_key=key)) as pool:
            reply = pool.chat("q", reasoning_effort="low")
        assert KEY not in reply.signed_by and reply.message["signed_by"] == reply.signed_by
        marks.append(reply.signed_by)
    assert marks[0] == marks[1] != marks[2]


@EACH_METHOD
def test_two_models_of_a_dialect_in_one_pool(method: str, provider: Provider) -> None:
    """Each reads what it wrote itself, and is not sent what only the other one can read: nothing is refused."""
    targets = [
        Target(
            f"openai/{model}", name=model, base_url=provider.base_url(end, "responses"), api_key=KEY, api="responses"
        )
        for model, end in (("gpt-5.6", "a"), ("gpt-5.4", "b"))
    ]
    history: list[Any] = []

    async def ask(pool: Pool, name: str, model: str) -> ChatReply:
        options: Any = {"model": model, "reasoning_effort": "low", "only": {model}}
        if name == "chat":
            return pool.chat(history, **options)
        if name == "achat":
            return await pool.achat(history, **options)
        if name == "stream":
            chunks = list(pool.stream(history, **options))
        else:
            chunks = [chunk async for chunk in pool.astream(history, **options)]
        summary = chunks[-1].summary
        assert summary is not None
        found = reply_of(chunks)
        return ChatReply(text=found.text, thinking=found.thinking, signed_by=summary.signed_by)

    async def conversation(pool: Pool, name: str) -> None:
        for model in ("gpt-5.6", "gpt-5.4", "gpt-5.6", "gpt-5.4"):
            history.append({"role": "user", "content": "q"})
            history.append((await ask(pool, name, model)).message)

    run(method, Pool(targets), conversation)
    sent = [[item for item in provider.recorded_requests(e)[-1]["body"]["input"] if "summary" in item] for e in "ab"]
    assert [len(items) for items in sent] == [1, 1], "of its own earlier turn"
    assert provider.stats("a").outcomes == provider.stats("b").outcomes == {"ok": 2}


def test_a_continued_answer_is_signed_by_none(provider: Provider) -> None:
    """The summary of a stream that two targets wrote has `several`."""
    provider.fault("a", "cut", at=4)
    targets = [Target("openai/gpt-4.1", name=e, region=e, base_url=provider.base_url(e), api_key=KEY) for e in "ab"]
    with Pool(targets, retry_same_target="never") as pool:
        summary = list(pool.stream("q"))[-1].summary
    assert summary is not None and summary.signed_by == SEVERAL


@pytest.mark.parametrize("preset", ["openai-compatible", "vllm", "deepseek"])
def test_reasoning_is_replayed_where_the_target_says(preset: str) -> None:
    """In the field of the server's own; details only to the model that sent them; `off` switches a preset's own off."""
    from hotspare.messages import ChatRequest
    from hotspare.providers.presets import preset_of

    details = {"type": "reasoning.text", "text": "hm", "index": 0}

    def sent(replay: Any) -> dict[str, Any]:
        url = "http://localhost:1/v1"
        target = Target(f"{preset}/m", base_url=url, api_key="k", account="me", replay_reasoning=replay)
        wire = preset_of(target).wire(target)
        message = {"content": "a", "reasoning": "hm", "reasoning_details": [details]}
        answer = {"choices": [{"message": message, "finish_reason": "stop"}]}
        reply = wire.read(answer, ChatRequest(messages=[{"role": "user", "content": "q"}]))
        turn = {**reply.message, "signed_by": f"{preset}/m#me"}
        request = ChatRequest(messages=[{"role": "user", "content": "q"}, turn, {"role": "user", "content": "r"}])
        found: dict[str, Any] = wire.write(request, target, stream=False)["messages"][1]
        return {name: value for name, value in found.items() if name not in ("role", "content")}

    assert sent("off") == {}
    assert sent("reasoning") == {"reasoning": "hm"} and sent("reasoning_content") == {"reasoning_content": "hm"}
    assert sent("reasoning_details") == {"reasoning_details": [details]}
    assert (
        sent(None)
        == {"openai-compatible": {}, "vllm": {"reasoning": "hm"}, "deepseek": {"reasoning_content": "hm"}}[preset]
    )


@pytest.mark.parametrize("fields", [{"id": "anthropic/c"}, {"id": "openai/gpt-5.6", "api": "responses"}])
def test_apis_with_reasoning_of_their_own_refuse_the_setting(fields: dict[str, Any]) -> None:
    """Named with the target, the field and the reason."""
    with pytest.raises(ConfigError, match=r"replay_reasoning.*cannot be set"):
        Pool(Target(**fields, api_key="k", replay_reasoning="reasoning"))


@EACH_METHOD
def test_thinking_parts_of_mistral_are_carried(method: str, provider: Provider) -> None:
    """A history with such parts goes to every family: to Mistral as parts, to the others without them."""
    turn = {"role": "assistant", "content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "so it is"}], "closed": True},
        {"type": "text", "text": "four"},
    ]}  # fmt: skip
    history: Any = [{"role": "user", "content": "q"}, turn, {"role": "user", "content": "again"}]
    families = {
        "mistral": ("mistral/magistral-medium", "openai"),
        "gpt": ("openai/gpt-4.1", "openai"),
        "responses": ("openai/gpt-5.6-pro", "responses"),
        "claude": ("anthropic/claude-sonnet-4-5", "anthropic"),
        "gemini": ("gemini/gemini-2.5-flash", "gemini"),
    }
    ends = dict(zip(families, "abcde", strict=True))
    targets = [
        Target(
            model,
            name=name,
            base_url=provider.base_url(ends[name], wire),
            api_key=KEY,
            api="responses" if wire == "responses" else None,
        )
        for name, (model, wire) in families.items()
    ]

    async def all_of_them(pool: Pool, name: str) -> None:
        for family in families:
            options: Any = {"only": {family}}
            if name in ("chat", "achat"):
                await pool.achat(history, **options) if name == "achat" else pool.chat(history, **options)
            elif name == "stream":
                list(pool.stream(history, **options))
            else:
                [chunk async for chunk in pool.astream(history, **options)]

    run(method, Pool(targets), all_of_them)
    for name, end in ends.items():
        (recorded,) = provider.recorded_requests(end)
        assert ("so it is" in str(recorded["body"])) == (name == "mistral"), name
        assert "four" in str(recorded["body"])


def test_thinking_of_mistral_comes_back_as_it_streams() -> None:
    """Pieces of a stream become one block, which the same model is sent again as a part."""
    from hotspare.messages import ChatRequest
    from hotspare.providers.presets import preset_of

    target = Target("mistral/magistral-medium", api_key="k", account="me")
    wire = preset_of(target).wire(target)
    request = ChatRequest(messages=[{"role": "user", "content": "q"}])
    reader = wire.reader(request)
    for piece in ('[{"type": "thinking", "thinking": [{"type": "text", "text": "so "}]}]',
                  '[{"type": "thinking", "thinking": [{"type": "text", "text": "it is"}]}]', '"four"'):  # fmt: skip
        reader.event("", f'{{"choices": [{{"index": 0, "delta": {{"content": {piece}}}}}]}}')
    reader.event("", '{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}')
    (block,) = reader.finish().thinking
    assert block == {"type": "thinking", "thinking": "so it is", "dialect": "mistral"}
    turn = {"role": "assistant", "content": "four", "thinking_blocks": [block], "signed_by": f"{target.id}#me"}
    sent = wire.write(ChatRequest(messages=[*request.messages, turn]), target, stream=False)["messages"][1]["content"]
    assert sent == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "so it is"}], "closed": True},
        {"type": "text", "text": "four"},
    ]
