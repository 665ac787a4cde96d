"""Forms of the console's own pages."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

FORM_LIMIT: Final = 8_192


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a posted form, the first value of each; {} of one that is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_LIMIT:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}
