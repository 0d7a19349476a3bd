"""`with_structured_output`: a bound model, and the parser of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal, get_args

from hotspare import Problem, RequestError
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_hotspare.backend_response import finish_reason_of
from langchain_hotspare.binding import Binding
from langchain_hotspare.request import BINDING_KEY
from langchain_hotspare.tools import openai_response_format

Method = Literal["function_calling", "json_schema", "json_mode"]


class _WholeAnswers(BaseOutputParser[Any]):
    """A parser that raises for an answer that was cut or refused.

    LangChain's parsers complete cut JSON, so that half a number would pass as a whole one, and they take an answer without
    a tool call for None.
    """

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        if not partial and isinstance(result[0], ChatGeneration):
            _raise_if_unfinished(result[0].message)
        return super().parse_result(result, partial=partial)


class _Pydantic(_WholeAnswers, PydanticOutputParser[Any]):
    """A JSON answer as a pydantic object."""


class _Json(_WholeAnswers, JsonOutputParser):
    """A JSON answer as a dict."""


class _PydanticTool(_WholeAnswers, PydanticToolsParser):
    """A tool call as a pydantic object."""


class _JsonTool(_WholeAnswers, JsonOutputKeyToolsParser):
    """A tool call's arguments as a dict."""


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
        parser = _Pydantic(pydantic_object=schema) if _is_pydantic(schema) else _Json()
    return _with_raw(bound, parser) if include_raw else bound | parser


def _tools_parser(schema: Any) -> Runnable[Any, Any]:
    if _is_pydantic(schema):
        return _PydanticTool(tools=[schema], first_tool_only=True)
    name = convert_to_openai_tool(schema)["function"]["name"]
    return _JsonTool(key_name=name, first_tool_only=True)


def _raise_if_unfinished(message: BaseMessage) -> None:
    if refusal := message.additional_kwargs.get("refusal"):
        raise OutputParserException(f"the model refused: {refusal}", llm_output=str(message.text))
    reason = finish_reason_of(message.response_metadata)
    if reason == "length":
        raise OutputParserException("the answer was cut: raise max_tokens", llm_output=str(message.text))
    if reason == "content_filter":
        raise OutputParserException("the answer was cut by a content filter", llm_output=str(message.text))


def _is_pydantic(schema: Any) -> bool:
    return not isinstance(schema, Mapping) and isinstance(schema, type) and is_basemodel_subclass(schema)


def _with_raw(bound: Runnable[Any, Any], parser: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """A dict of the message, the parsed value, and the parser's error instead of an exception."""
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")
