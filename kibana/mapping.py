"""The fields of each data view, and their types, from the templates that the store makes its indices of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelward_collector.store.protocol import Alias
from modelward_collector.store.templates import COMMON_COMPONENT, component_templates, index_template

NUMERIC: Final = frozenset({"long", "double"})
DATES: Final = frozenset({"date", "date_nanos"})
CHOOSABLE: Final = frozenset({"keyword", "ip", "boolean", "long"})
"""Types whose values can be listed and grouped by."""


@dataclass(frozen=True, slots=True)
class FieldTypes:
    """Dotted field names to types; below a flattened field every name is a field."""

    name: str
    types: Mapping[str, str]

    def type_of(self, field: str) -> str | None:
        """The field's type, `flattened` for what is below such a field, None when the index has no such field."""
        if field in self.types:
            return self.types[field]
        parent = field
        while "." in parent:
            parent = parent.rpartition(".")[0]
            if self.types.get(parent) == "flattened":
                return "flattened"
        return None


def field_types(view: str) -> FieldTypes:
    """Those of a data view, which is named as its alias."""
    common = component_templates()[COMMON_COMPONENT]["mappings"]["properties"]
    own = index_template(Alias(view))["template"]["mappings"]["properties"]
    return FieldTypes(view, dict(_flat({**common, **own})))


def _flat(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in properties.items():
        if field["type"] == "object":
            if field.get("enabled", True):
                yield from _flat(field.get("properties", {}), f"{prefix}{name}.")
            continue
        yield f"{prefix}{name}", field["type"]
        for inner, multi in field.get("fields", {}).items():
            yield f"{prefix}{name}.{inner}", multi["type"]
