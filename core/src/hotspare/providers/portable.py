"""Makes a history valid for a named provider, for callers without a wire format."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from hotspare.messages import Dialect, Message
from hotspare.providers.history import IdRule, valid_history
from hotspare.providers.presets import wire_named
from hotspare.target import Target

IdRuleName = Dialect | Literal["mistral", "any"]
_ANY = IdRule(re.compile(r"[A-Za-z0-9_-]{1,40}"))
"""Ids that every provider but Mistral accepts."""


def portable_history(
    messages: Iterable[Message],
    dialect: Dialect,
    *,
    id_rule: IdRuleName | None = None,
    target: Target | None = None,
) -> list[dict[str, Any]]:
    """The history, still in OpenAI's shape, made valid for a provider of this dialect.

    Args:
        messages: any history, written by any provider; it is not changed.
        dialect: the wire format of the provider that gets it.
        id_rule: the dialect or provider whose rule tool-call ids must follow; `any`: ids that every provider but Mistral accepts.
            Default: the dialect's.
        target: the target that gets it. Reasoning signed by another model or account (`signed_by`) is left out. Default: any target
            of the dialect.
    """
    rules = wire_named(dialect).history
    if id_rule is not None:
        rules = replace(rules, ids=_ANY if id_rule == "any" else wire_named(id_rule).history.ids)
    return valid_history(messages, rules, target)
