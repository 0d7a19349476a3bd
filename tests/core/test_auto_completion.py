"""`completion = "auto"`: whole answers are streamed underneath until a target has a record of them."""

from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider


def test_streams_first_and_waits_once_there_is_a_record(provider: Provider) -> None:
    """The first eight answers come from streams, the next ones whole; after a failure the next one is streamed again."""
    target = Target("openai/gpt-4.1", base_url=provider.base_url("a"), api_key=KEY)
    with Pool([target], completion="auto", retry_same_target="never") as pool:

        def streamed() -> bool:
            reply = pool.chat("hello")
            assert reply.text
            streaming = bool(provider.recorded_requests("a")[-1]["body"].get("stream"))
            assert (reply.raw is None) is streaming
            return streaming

        assert [streamed() for _ in range(10)] == [True] * 8 + [False] * 2
        provider.fault("a", "status", status=500, count=1)
        assert streamed()
        assert not streamed()
