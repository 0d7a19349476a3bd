"""The table of docs/recordings.md: every setting of the policy changes a decision."""

from dataclasses import is_dataclass

from hotspare import Brownout, policy

from tests.support.decisions import GROUPS, NO_DECISION, PAGE, names, updated


def test_each_setting_changes_a_decision() -> None:
    """`python -m tests.support.decisions` has been run since a setting or the engine was last changed. A setting without a row, and
    one whose other value changes nothing, is an error. (Slow: each setting is recorded with its values, and replayed.)"""
    text = PAGE.read_text(encoding="utf-8")
    assert updated(text) == text


def test_the_table_has_every_class_of_settings() -> None:
    """A new dataclass in policy.py needs a group of rows; of all settings two decide nothing."""
    classes = {one for one in vars(policy).values() if is_dataclass(one) and one.__module__ == policy.__name__}
    assert classes | {Brownout} == {effects.config for effects in GROUPS.values()}
    found = {f"{group}.{name}" if group else name for group, name in names()}
    assert set(NO_DECISION) == {"continue_instruction", "check_jitter"} <= found
