"""Bodies of the actions ``lock`` and ``unlock``."""

from evacuator.api.validation import Schema

V2_1 = Schema({"type": "object", "properties": {"lock": {}}, "required": ["lock"], "additionalProperties": False})

V2_73 = Schema(
    {
        "type": "object",
        "properties": {
            "lock": {
                "type": ["object", "null"],
                "properties": {"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}},
                "additionalProperties": False,
            },
        },
        "required": ["lock"],
        "additionalProperties": False,
    }
)

UNLOCK_2_1 = Schema(
    {"type": "object", "properties": {"unlock": {}}, "required": ["unlock"], "additionalProperties": False}
)
