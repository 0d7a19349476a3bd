"""Nothing that was recorded is passed over."""

from pathlib import Path

from tests.conformance.traffic import ALL, NOT_SPOKEN, SPOKEN, WIRE, needs_recordings

pytestmark = needs_recordings


def test_every_recording_is_read_or_there_is_a_reason() -> None:
    """Each directory is spoken to or listed with why not, and each file of the former holds exchanges that were tested."""
    directories = {path.parent.name for path in Path(WIRE).glob("*/*.yaml")}
    assert directories <= SPOKEN.keys() | NOT_SPOKEN.keys()
    files = {f"{path.parent.name}/{path.name}" for name in SPOKEN for path in Path(WIRE, name).glob("*.yaml")}
    assert {item.name for item in ALL} == files
