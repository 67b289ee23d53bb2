"""Completes the generated OpenAPI document: the one shape of errors, which the views do not name one by one."""

from typing import Any

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "Stable; what programs compare.", "example": "not_found"},
                "message": {"type": "string", "description": "For people; may change."},
                "fields": {"type": "object", "description": "Texts per field of the input.", "additionalProperties": True},
            },
            "additionalProperties": True,
        }
    },
}
ANSWERS = {
    "400": "The input cannot be used as it is.",
    "403": "Not logged in, or the role does not allow this.",
    "404": "There is no such object, or it is not yours.",
    "409": "The object is in a state that does not allow this.",
    "422": "The input was understood and is refused.",
}


def add_errors(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for path in result["paths"].values():
        for method, operation in path.items():
            codes = ("403", "404") if method == "get" else tuple(ANSWERS)
            for code in codes:
                operation["responses"].setdefault(code, {"description": ANSWERS[code], "content": content})
    return result
