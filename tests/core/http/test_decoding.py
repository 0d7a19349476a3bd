"""Content codings: every split, every coding that is installed, and a bound on what comes out."""

import gzip
import zlib

import pytest
from hotspare._http.decoding import Decoder
from hotspare.errors import BodyTooLarge, MalformedAnswer

zstandard = pytest.importorskip("zstandard")
TEXT = b"".join(b"%d bottles, " % n for n in range(5_000))
RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
CODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    "deflate": zlib.compress(TEXT),
    "Deflate": RAW.compress(TEXT) + RAW.flush(),
    "zstd": zstandard.compress(TEXT),
    "gzip, deflate": zlib.compress(gzip.compress(TEXT)),
    "identity": TEXT,
}


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("coding", CODED)
def test_bodies_are_decoded_piece_by_piece(coding: str, size: int) -> None:
    """However they are split; several codings on top of each other; gzip in several members; deflate without its header."""
    data = CODED[coding]
    decoder = Decoder(coding, limit=len(TEXT))
    assert b"".join(decoder.feed(data[at : at + size]) for at in range(0, len(data), size)) == TEXT


def bomb(coding: str, size: int) -> bytes:
    """Zeros of this size, in a few KB."""
    if coding == "zstd":
        return zstandard.compress(bytes(size))
    return gzip.compress(bytes(size)) if coding == "gzip" else zlib.compress(bytes(size))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br"])
def test_a_small_body_cannot_become_a_large_one(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding stops at the limit: at most a few of 64 MB are decoded."""
    import tracemalloc

    if coding == "br":
        pytest.importorskip("brotli")
    data = bomb(coding, 64 * 1024 * 1024)
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        Decoder(coding, limit=1_000_000).feed(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 1024 * 1024


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "sliced"])
def test_a_body_that_cannot_be_decoded(coding: str) -> None:
    """Malformed: the server's fault."""
    with pytest.raises(MalformedAnswer):
        Decoder(coding, limit=1000).feed(b"this is no coding")
