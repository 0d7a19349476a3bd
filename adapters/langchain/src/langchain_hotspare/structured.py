"""`with_structured_output`: a bound model, and the parser of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal, get_args

from hotspare import Problem, RequestError
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_hotspare.binding import Binding
from langchain_hotspare.request import BINDING_KEY
from langchain_hotspare.tools import openai_response_format

Method = Literal["function_calling", "json_schema", "json_mode"]


def structured(
    model: BaseChatModel, schema: Any, method: Method, *, strict: bool | None, include_raw: bool, **kwargs: Any
) -> Runnable[Any, Any]:
    """A chain of the bound model and the parser of its answers. Raises RequestError for an unknown method."""
    if method not in get_args(Method):
        raise RequestError(Problem.at("method", method, f"must be one of {', '.join(get_args(Method))}"))
    traced = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
    if method == "function_calling":
        bound: Runnable[Any, Any] = model.bind_tools(
            [schema], tool_choice="any", strict=strict, ls_structured_output_format=traced, **kwargs
        )
        parser = _tools_parser(schema)
    else:
        plain = convert_to_json_schema(schema)
        format_ = {"type": "json_object"} if method == "json_mode" else openai_response_format(plain, strict)
        bound = model.bind(
            response_format=format_,
            ls_structured_output_format=traced,
            **{BINDING_KEY: Binding(response_format=format_, schema=plain)},
            **kwargs,
        )
        parser = PydanticOutputParser(pydantic_object=schema) if _is_pydantic(schema) else JsonOutputParser()
    return _with_raw(bound, parser) if include_raw else bound | parser


def _tools_parser(schema: Any) -> Runnable[Any, Any]:
    if _is_pydantic(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    name = convert_to_openai_tool(schema)["function"]["name"]
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _is_pydantic(schema: Any) -> bool:
    return not isinstance(schema, Mapping) and isinstance(schema, type) and is_basemodel_subclass(schema)


def _with_raw(bound: Runnable[Any, Any], parser: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """A dict of the message, the parsed value, and the parser's error instead of an exception."""
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")
