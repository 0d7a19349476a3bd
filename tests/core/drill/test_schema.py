"""Sampled values are valid for the schemas that frameworks and users send."""

from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hotspare.drill.schema import sample
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field


class Colour(Enum):
    """An enum behind a `$ref`."""

    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """Numbers with bounds."""

    x: Annotated[int, Field(ge=3, le=5)]
    y: Annotated[float, Field(gt=0.5, lt=0.75)]
    z: Annotated[int, Field(multiple_of=7, ge=20)]


class Tree(BaseModel):
    """A recursive type."""

    name: Annotated[str, Field(min_length=12, max_length=14)]
    children: list["Tree"]
    left: "Tree | None" = None


class Everything(BaseModel):
    """What pydantic users write."""

    point: Point
    tree: Tree
    colour: Colour
    kind: Literal["a", "b"]
    tags: Annotated[list[str], Field(min_length=3, max_length=4)]
    unique: set[int]
    pair: tuple[int, str]
    table: dict[str, int]
    either: int | str
    maybe: Point | None
    code: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$")]
    flag: bool
    anything: Any


@given(st.text())
def test_a_model_of_everything_validates(seed: str) -> None:
    """pydantic accepts what was sampled from its own schema, for any prompt."""
    Everything.model_validate(sample(Everything.model_json_schema(), seed))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["null", "string"], "minLength": 30},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "uuid"},
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"required": ["b"]},
            ]
        },
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2},
        {"oneOf": [{"type": "null"}, {"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 12}]},
        {"type": "number", "minimum": 0, "maximum": 0.5},
        {"type": "integer", "maximum": -4},
        {"type": "integer", "minimum": 200.5},
        {"type": "object", "additionalProperties": {"type": "boolean"}, "required": ["x"]},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": {"k": [None]}}}},
        {},
    ],
)
def test_single_schemas_validate(schema: dict[str, Any]) -> None:
    """An independent validator accepts the sample of each construct."""
    jsonschema.validate(sample(schema, "seed"), schema)


def test_upper_case_types_of_gemini() -> None:
    """Gemini spells types in upper case."""
    value = sample({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}, "s": {"type": "STRING"}}}, "seed")
    assert isinstance(value["n"], int)
    assert isinstance(value["s"], str)


def test_samples_are_pure() -> None:
    """The same schema and seed give the same value; another seed another one."""
    schema = {"type": "object", "properties": {f"p{i}": {"type": "integer"} for i in range(8)}}
    assert sample(schema, "one") == sample(schema, "one")
    assert sample(schema, "one") != sample(schema, "two")
