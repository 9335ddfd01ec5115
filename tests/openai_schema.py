"""The parts of OpenAI's API that this project needs, as JSON schemas written by hand from knowledge of it.

Required members and types are those of chat completions as known in 2025, not copied from the published
file; members that neither side uses are left out of requests, and
allowed in responses.
"""

from __future__ import annotations

from typing import Any


def strict(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """An object with these members and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def open_(properties: dict[str, Any]) -> dict[str, Any]:
    """An object with all of these members, and perhaps others."""
    return {"type": "object", "properties": properties, "required": list(properties)}


TEXT: dict[str, Any] = {"type": "string"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}

JSON_SCHEMA_FORMAT = strict(
    {
        "type": {"const": "json_schema"},
        "json_schema": strict(
            {
                "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
                "strict": {"type": ["boolean", "null"]},
                "schema": {"type": "object"},
                "description": TEXT,
            },
            ["name"],
        ),
    },
    ["type", "json_schema"],
)

REQUEST = strict(
    {
        "model": TEXT,
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": strict(
                {"role": {"enum": ["developer", "system", "user", "assistant"]}, "content": TEXT},
                ["role", "content"],
            ),
        },
        "seed": {"type": ["integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1},
        "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
        "max_tokens": {"type": ["integer", "null"]},
        "max_completion_tokens": {"type": ["integer", "null"]},
        "response_format": {
            "oneOf": [
                JSON_SCHEMA_FORMAT,
                strict({"type": {"const": "json_object"}}, ["type"]),
                strict({"type": {"const": "text"}}, ["type"]),
            ]
        },
    },
    ["model", "messages"],
)

RESPONSE = open_(
    {
        "id": TEXT,
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": TEXT,
        "choices": {
            "type": "array",
            "items": open_(
                {
                    "index": {"type": "integer"},
                    "finish_reason": {
                        "enum": ["stop", "length", "tool_calls", "content_filter", "function_call"]
                    },
                    "logprobs": {"type": ["object", "null"]},
                    "message": open_(
                        {
                            "role": {"const": "assistant"},
                            "content": {"type": ["string", "null"]},
                            "refusal": {"type": ["string", "null"]},
                        }
                    ),
                }
            ),
        },
        "usage": open_(
            {
                "prompt_tokens": COUNT,
                "completion_tokens": COUNT,
                "total_tokens": COUNT,
                "prompt_tokens_details": open_({"cached_tokens": COUNT}),
            }
        ),
    }
)

ERROR = open_(
    {
        "error": open_(
            {
                "message": TEXT,
                "type": TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            }
        )
    }
)

MODELS = open_(
    {
        "object": {"const": "list"},
        "data": {
            "type": "array",
            "items": open_(
                {"id": TEXT, "object": {"const": "model"}, "created": {"type": "integer"}, "owned_by": TEXT}
            ),
        },
    }
)
