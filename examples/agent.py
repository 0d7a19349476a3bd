"""A LangChain agent whose provider goes down while its tool runs; offline.

    python examples/agent.py

The failover is written to the agent's stream as it happens, and the run ends with its answer. With real keys: export
OPENAI_API_KEY and ANTHROPIC_API_KEY, leave `base_url` and `api_key` out of the targets, and drop the provider.
"""

from typing import Any

from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider
from langchain.agents import create_agent  # pyright: ignore[reportUnknownVariableType]
from langchain_hotspare import ChatHotspare, HotspareMiddleware

QUESTION = "Please call get_weather"


def targets(provider: Provider) -> list[Target]:
    """OpenAI first, Claude as the spare."""
    return [
        Target("openai/gpt-4.1", name="gpt", base_url=provider.base_url("a"), api_key=KEY),
        Target(
            "anthropic/claude-sonnet-4-5", name="claude", tier=1, base_url=provider.base_url("b", "anthropic"), api_key=KEY
        ),
    ]  # fmt: skip


def main() -> None:
    """Run the agent once, and print its failovers and its answer."""
    with Provider(["a", "b"]) as provider, Pool(targets(provider)) as pool:

        def get_weather() -> str:
            """The weather in Seoul."""
            provider.fault("a", "refused")  # the outage: between the tool call and the model's next step
            return "21 degrees in Seoul"

        agent: Any = create_agent(
            ChatHotspare(pool=pool), tools=[get_weather], middleware=[HotspareMiddleware(pool=pool)]
        )
        question = {"messages": [{"role": "user", "content": QUESTION}]}
        for mode, part in agent.stream(question, stream_mode=["custom", "updates"]):
            if mode == "custom":
                print(f"failover: {part['source']} -> {part['target']} ({part['attempt']['kind']})")
            elif "tools" in part:
                print("tool:", part["tools"]["messages"][-1].text)
            else:
                message = part["model"]["messages"][-1]
                calls = [call["name"] for call in message.tool_calls]
                target = message.response_metadata["hotspare"]["target"]
                print(f"{target}: {'calls ' + ', '.join(calls) if calls else message.text}")


if __name__ == "__main__":
    main()
