"""A FastAPI endpoint that streams answers as server-sent events, and one that is cut in mid-sentence; offline.

    python examples/fastapi_chat.py           # serves itself on loopback, asks once through an outage, and ends
    python examples/fastapi_chat.py --serve   # serves until Ctrl-C:  curl -N 'http://127.0.0.1:8000/chat?question=hello'

With real keys: export OPENAI_API_KEY and ANTHROPIC_API_KEY, leave `base_url` and `api_key` out of the targets, and drop the
provider. One pool serves all requests: a pool per request would not know which target is down.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import httpx
import uvicorn
from fastapi import FastAPI, responses
from hotspare import CallError, Pool, Target
from hotspare.drill.provider import KEY, Provider, answer

QUESTION = "What's the weather in Seoul? tokens=12"


def make_app(pool: Pool) -> FastAPI:
    """`GET /chat?question=…`: events with `text`, then one with `targets` or `error`."""

    async def events(question: str) -> AsyncGenerator[str]:
        try:
            async with aclosing(pool.astream(question)) as chunks:  # a client that leaves ends the call
                async for chunk in chunks:
                    if chunk.text:
                        yield f"data: {json.dumps({'text': chunk.text})}\n\n"
                    if chunk.summary:
                        yield f"data: {json.dumps({'targets': list(chunk.summary.targets)})}\n\n"
        except CallError as error:
            yield f"data: {json.dumps({'error': type(error).__name__})}\n\n"

    async def chat(question: str) -> responses.StreamingResponse:
        return responses.StreamingResponse(events(question), media_type="text/event-stream")

    app = FastAPI()
    app.get("/chat")(chat)
    return app


async def ask_once(server: uvicorn.Server, provider: Provider) -> None:
    """Start the server, ask it while the first target cuts its answers, print the events, and stop it."""
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    provider.fault("a", "cut", at=5)
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"http://127.0.0.1:{port}/chat", params={"question": QUESTION})
    lines = [line for line in response.text.splitlines() if line]
    print(*lines, sep="\n")
    text = "".join(json.loads(line.removeprefix("data: ")).get("text", "") for line in lines)
    print("complete, word for word" if text == answer(QUESTION) else f"WRONG: {text}")
    server.should_exit = True
    await serving


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve, or ask once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true")
    serve = parser.parse_args(arguments).serve
    with Provider(["a", "b"]) as provider:
        first = Target("openai/gpt-4.1", name="gpt", base_url=provider.base_url("a"), api_key=KEY)
        claude = provider.base_url("b", "anthropic")
        spare = Target("anthropic/claude-sonnet-4-5", name="claude", tier=1, base_url=claude, api_key=KEY)
        with Pool([first, spare]) as pool:
            server = uvicorn.Server(uvicorn.Config(make_app(pool), port=8000 if serve else 0, log_level="warning"))
            asyncio.run(server.serve() if serve else ask_once(server, provider))


if __name__ == "__main__":
    main()
