"""Every recording is tested, or listed with the reason why not."""

from pathlib import Path

from tests.conformance.traffic import ALL, NOT_SUPPORTED, PRESET_OF, WIRE, needs_recordings

pytestmark = needs_recordings


def test_every_recording_is_tested_or_has_a_reason() -> None:
    """Each directory has a preset or a reason, and each file of the former has exchanges that are tested."""
    directories = {path.parent.name for path in Path(WIRE).glob("*/*.yaml")}
    assert directories <= PRESET_OF.keys() | NOT_SUPPORTED.keys()
    files = {f"{path.parent.name}/{path.name}" for name in PRESET_OF for path in Path(WIRE, name).glob("*.yaml")}
    assert {item.name for item in ALL} == files
