"""One request through each official SDK, with its retries off. Exceptions are not caught: they are what is tested.

Run as a program, for another version of an SDK than the installed one: `sdks.py NAME URL MODEL…` prints, as one JSON per
line, how hotspare classifies what the request to each model raises.
"""

import gc
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from hotspare._classify.rules import classify
from hotspare.drill.provider import KEY

from tests.support.refusals import NOW

MESSAGES: Any = [{"role": "user", "content": "q"}]


def openai(url: str, model: str, timeout: float = 10, *, stream: bool = False) -> None:
    """openai, versions 2 (on httpx) and 3 (on httpx2)."""
    import openai

    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=timeout) as client:
        list(client.chat.completions.create(model=model, messages=MESSAGES, stream=stream))


def anthropic(url: str, model: str, timeout: float = 10, *, stream: bool = False) -> None:
    """anthropic (on httpx2)."""
    import anthropic

    with anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=timeout) as client:
        list(client.messages.create(model=model, max_tokens=99, messages=MESSAGES, stream=stream))


def gemini(url: str, model: str, timeout: float = 10, *, stream: bool = False) -> None:
    """google-genai (on httpx)."""
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url, timeout=int(timeout * 1000)))
    try:
        if stream:
            list(client.models.generate_content_stream(model=model, contents="q"))
        else:
            client.models.generate_content(model=model, contents="q")
    finally:
        client.close()


def litellm(url: str, model: str, timeout: float = 10, *, stream: bool = False) -> None:
    """LiteLLM; `model` begins with LiteLLM's name of the provider."""
    import litellm

    # LiteLLM leaves a broken stream to the garbage collector. If that closes it while httpcore holds the lock of the same client, the
    # thread waits for itself without end: collect before the call.
    gc.collect()
    retries = {"num_retries": 0, "max_retries": 0}
    list(litellm.completion(model, MESSAGES, api_base=url, api_key=KEY, timeout=timeout, stream=stream, **retries))


SDKS: dict[str, Callable[..., None]] = {"openai": openai, "anthropic": anthropic, "gemini": gemini, "litellm": litellm}


def main(name: str, url: str, *models: str) -> None:
    """One request to each model."""
    for model in models:
        try:
            SDKS[name](url, model)
        except Exception as error:
            found = classify(error, now=NOW)
            print(json.dumps({"version": version(name), **asdict(found)}))
        else:
            print(json.dumps(None))


if __name__ == "__main__":
    main(*sys.argv[1:])
