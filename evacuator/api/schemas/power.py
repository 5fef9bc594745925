"""Bodies of the actions that change the power or the recorded state of a server."""

from evacuator.api.validation import Schema

START_2_1 = Schema(
    {
        "type": "object",
        "properties": {"os-start": {}},
        "required": ["os-start"],
        "additionalProperties": False,
    }
)

STOP_2_1 = Schema(
    {
        "type": "object",
        "properties": {"os-stop": {}},
        "required": ["os-stop"],
        "additionalProperties": False,
    }
)

REBOOT_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "reboot": {
                "type": "object",
                "properties": {"type": {"type": "string", "enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}},
                "required": ["type"],
                "additionalProperties": False,
            },
        },
        "required": ["reboot"],
        "additionalProperties": False,
    }
)

RESET_STATE_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "os-resetState": {
                "type": "object",
                "properties": {"state": {"type": "string", "enum": ["active", "error"]}},
                "required": ["state"],
                "additionalProperties": False,
            },
        },
        "required": ["os-resetState"],
        "additionalProperties": False,
    }
)
