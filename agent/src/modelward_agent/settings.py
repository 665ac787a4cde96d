"""Settings from a YAML file and the environment, and errors that say what to do.

Every error is one line, `modelward: <file>: <key>: <value> <problem>; <fix>`, and all of a file's errors come at once.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import types
import typing
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from modelward_agent.yaml_errors import explained, unspaced

M = TypeVar("M", bound=BaseModel)

Location = tuple[str | int, ...]

_SHOWN_VALUE = 80
_LONGEST_TEXT = 2000
"""Characters of a line of errors; the longest list of known keys has a tenth of it."""


class SettingsError(Exception):
    """Settings that cannot be used; `lines` holds every error, each ready to be printed."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


# -- paths and secrets ---------------------------------------------------------------------------------------------


def _beside_the_file(value: Any, info: ValidationInfo) -> Any:
    folder = (info.context or {}).get("folder") if isinstance(info.context, dict) else None
    if isinstance(value, str) and folder is not None:
        try:
            return Path(folder) / Path(value).expanduser()
        except RuntimeError as error:
            raise ValueError(
                f'"{value}" begins with the home of a user that is not known; write the whole path'
            ) from error
    return value


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f'"{path}" is not a file; create it, or correct the path')
    if not os.access(path, os.R_OK):
        raise ValueError(f'"{path}" cannot be read by this user; give this user the right to read it')
    return path


def _secret(path: Path) -> Path:
    mode = path.stat().st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ValueError(f'"{path}" can be read by everyone on this host; run: chmod 600 {path}')
    try:
        if not read_secret(path).strip():
            raise ValueError(f'"{path}" is empty; write the secret into it')
    except UnicodeDecodeError as error:
        raise ValueError(f'"{path}" is no text; write the secret into it, in UTF-8') from error
    return path


SettingsPath = Annotated[Path, BeforeValidator(_beside_the_file)]
"""A path; a relative one is taken from the folder of the settings file."""

ReadableFile = Annotated[SettingsPath, AfterValidator(_existing)]
"""A file that is there and can be read."""

SecretFile = Annotated[ReadableFile, AfterValidator(_secret)]
"""A file that holds a secret: there, not empty, readable, and not by everyone."""


def read_secret(path: Path) -> str:
    """The secret in the file, without the line's end."""
    return path.read_text(encoding="utf-8").rstrip("\r\n")


# -- reading -------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, except that nobody's words change: a key given twice is an error instead of the last one
    winning in silence, keys are texts as they are written, and so are what only YAML 1.1 takes for booleans and numbers
    (`yes`, `NO`, `on`; `01067`, `12:30`, `1_000`). A text that loses its first word by beginning with `&` or `!` is an
    error.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":int"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._named: dict[str, yaml.Node] = {}
        self._referred: set[str] = set()

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        for name, named in self._named.items():
            if name not in self._referred:
                raise yaml.composer.ComposerError(None, None, f"nothing refers to &{name}", named.start_mark)
        return node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            self._referred.add(self.peek_event().anchor)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.tag == "!":
            raise yaml.composer.ComposerError(None, None, "a type has no name", event.start_mark)
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if anchor is not None:
            self._named[anchor] = node
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            found = super().construct_object(node, deep)
            if isinstance(found, str):
                found.encode()  # "\ud800" is half a character, which nothing can print or store
            return found
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            # What looks like a date and is none, a number of thousands of digits, a tag that does not fit.
            word = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
            kind = node.tag.rpartition(":")[2]
            problem = f'"{word[:_SHOWN_VALUE]}" cannot be read as {kind} ({error}); quote it if it is text'
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        # A tag may say of anything that it has keys; the base class refuses what has none.
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "a key is text, and this one is a list or has keys itself; quote what has brackets or braces"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            key_node.tag = "tag:yaml.org,2002:str"
            key = self.construct_object(key_node, deep=True)
            if key_node.style is None and key != key.strip():
                problem = f'"{key}" has around it what only looks like a blank'
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f'"{key}" is given twice', key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"(?:[-+]?(?:0|[1-9]\d*)|0x[0-9a-fA-F]+)\Z", re.ASCII), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file (empty for an empty file); `SettingsError` when it cannot be read as one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError([_line(path, "", "there is no such file; create it, or name another one")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([_line(path, "", f"cannot be read ({error}); make it a readable UTF-8 file")]) from error
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        where, problem = explained(text, error)
        raise SettingsError([_line(path, where, f"is not valid YAML: {problem}")]) from error
    except RecursionError as error:
        raise SettingsError([_line(path, "", "is nested too deep; close the brackets that are open")]) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        example = (isinstance(content, str) and unspaced(content)) or "key: value"
        raise SettingsError([_line(path, "", f"must hold keys and values; write for example {example}")])
    return content


def _override(
    content: dict[str, Any], prefix: str, environ: Mapping[str, str]
) -> tuple[dict[Location, str], list[str]]:
    """Set what `<PREFIX>__SECTION__KEY` variables say; the variable of each place set, and errors."""
    sources: dict[Location, str] = {}
    errors: list[str] = []
    for name in sorted(environ):
        if not name.startswith(f"{prefix}__"):
            continue
        keys = tuple(name[len(prefix) + 2 :].lower().split("__"))
        text = environ[name].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        try:
            value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
        except (yaml.YAMLError, RecursionError):
            value = text
        place: Any = content
        for depth, key in enumerate(keys[:-1]):
            if isinstance(place, list) and key.isdigit() and int(key) < len(place):
                place = place[int(key)]
                continue
            if isinstance(place, dict) and place.get(key) is None:
                place[key] = {}
            place = place.get(key) if isinstance(place, dict) else None
            if not isinstance(place, dict | list):
                errors.append(f"modelward: {name}: {'.'.join(keys[: depth + 1])} has no keys below it; unset {name}")
                break
        else:
            if isinstance(place, list):
                errors.append(f"modelward: {name}: an item of a list cannot be set; set the whole list instead")
            else:
                place[keys[-1]] = value
                sources[keys] = name
    return sources, errors


def load_yaml_settings(
    path: Path, model_class: type[M], env_prefix: str | None = None, environ: Mapping[str, str] | None = None
) -> M:
    """Read and validate one settings file.

    With `env_prefix` `MODELWARD_AGENT`, the variable `MODELWARD_AGENT__METRICS__LISTEN` sets `metrics.listen`; its
    value is read as YAML. Relative `SettingsPath`s start from the file's folder. Raises `SettingsError` with every
    error there is.
    """
    content = read_yaml(path)
    sources: dict[Location, str] = {}
    errors: list[str] = []
    if env_prefix is not None:
        sources, errors = _override(content, env_prefix, os.environ if environ is None else environ)
    try:
        settings = model_class.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        raise SettingsError([*errors, *explain(error, model_class, path, sources)]) from error
    if errors:
        raise SettingsError(errors)
    return settings


# -- explaining ----------------------------------------------------------------------------------------------------


def explain(
    error: ValidationError,
    model_class: type[BaseModel],
    path: Path | str,
    sources: Mapping[Location, str] | None = None,
) -> list[str]:
    """Pydantic's errors as lines for the person who must act; `sources` are the places that variables set."""
    lines = []
    for detail in error.errors(include_url=False):
        location = _without_tags(detail["loc"], model_class)
        origin: Path | str = path
        for place, variable in (sources or {}).items():
            if place == location[: len(place)] or location == place[: len(location)]:
                origin = variable
        lines.append(_line(origin, _dotted(location), _problem(detail, location, model_class)))
    return list(dict.fromkeys(lines))


def _line(origin: Path | str, key: str, problem: str) -> str:
    key, problem = _printable(key), _printable(problem)
    return f"modelward: {origin}: {key}: {problem}" if key else f"modelward: {origin}: {problem}"


def _printable(text: str) -> str:
    """One line of any text, of bounded length: what a value has of control characters is escaped."""
    if len(text) > _LONGEST_TEXT:
        text = f"{text[: _LONGEST_TEXT // 2]}…{text[-_LONGEST_TEXT // 2 :]}"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(value: Any) -> str:
    value = _beginning(value, iter(range(_SHOWN_VALUE)))
    try:
        text = orjson.dumps(value, default=str).decode()
    except TypeError:
        text = str(value)
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}…"


def _beginning(value: Any, left: Iterator[int]) -> Any:
    """As much of a value as is shown: YAML's aliases make values that are endless, or larger than any memory."""
    if isinstance(value, dict):
        return {key: _beginning(item, left) for key, item in value.items() if next(left, None) is not None}
    if isinstance(value, list):
        return [_beginning(item, left) for item in value if next(left, None) is not None]
    return value


_EXPECTED = {
    "bool_parsing": "is not true or false; write true or false",
    "bool_type": "is not true or false; write true or false",
    "int_parsing": "is not a whole number; write for example 10",
    "int_type": "is not a whole number; write for example 10",
    "int_from_float": "is not a whole number; write for example 10",
    "float_parsing": "is not a number; write for example 0.5",
    "float_type": "is not a number; write for example 0.5",
    "string_type": "is not text; put it in quotes",
    "list_type": "is not a list; write for example [a, b]",
    "tuple_type": "is not a list; write for example [a, b]",
    "dict_type": "does not hold keys and values; write them below it, indented",
    "model_type": "does not hold keys and values; write them below it, indented",
    "model_attributes_type": "does not hold keys and values; write them below it, indented",
    "path_type": "is not a path; write for example /var/lib/modelward",
    "datetime_from_date_parsing": "is not a moment; write for example 2026-03-01T00:00:00Z",
    "datetime_parsing": "is not a moment; write for example 2026-03-01T00:00:00Z",
    "datetime_type": "is not a moment; write for example 2026-03-01T00:00:00Z",
}


_OF_KEYS = ("dict_type", "model_type", "model_attributes_type")


def _problem(detail: ErrorDetails, location: Location, model_class: type[BaseModel]) -> str:
    kind, value, context = detail["type"], _shown(detail["input"]), detail.get("ctx", {})
    if kind in _OF_KEYS and isinstance(detail["input"], str) and (better := unspaced(detail["input"])) is not None:
        return f"{value} has no blank after the colon; write {better}"
    if kind == "extra_forbidden":
        known = sorted(_keys_at(model_class, location[:-1]))
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
        advice = f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(known)}"
        return f"is not a key here; {advice}"
    if kind == "missing":
        return "is missing; add it"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", detail["msg"]))
    if kind in _EXPECTED:
        return f"{value} {_EXPECTED[kind]}"
    if kind in ("literal_error", "enum"):
        return f"{value} is not known; write {context['expected']}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = context.get("expected_tags") or "its kind"
        return f"{value} is of no known kind; set {context['discriminator']} to {tags}"
    bounds = {
        "greater_than": ("is not above", "gt"),
        "greater_than_equal": ("is below", "ge"),
        "less_than": ("is not below", "lt"),
        "less_than_equal": ("is above", "le"),
    }
    if kind in bounds:
        words, name = bounds[kind]
        bound = context[name]
        relation = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}[name]
        return f"{value} {words} {bound}; write a value {relation} {bound}"
    return f"{value} cannot be used: {detail['msg'][:1].lower()}{detail['msg'][1:]}; correct it"


def _models_in(annotation: Any) -> list[Any]:
    """The types that an annotation allows, without Annotated, Union and NewType around them."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _models_in(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [inner for arm in typing.get_args(annotation) for inner in _models_in(arm)]
    return [annotation]


def _step(kinds: list[Any], part: str | int) -> list[Any]:
    found: list[Any] = []
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                if part in (name, field.alias):
                    found += _models_in(field.annotation)
        elif (arguments := typing.get_args(kind)) and typing.get_origin(kind) in (dict, Mapping):
            found += _models_in(arguments[1])
        elif arguments and isinstance(part, int):
            found += _models_in(arguments[0])
    return found


def _without_tags(location: Location, model_class: type[BaseModel]) -> Location:
    """The location as the file has it: without the names that pydantic adds for the arms of a union."""
    kept: list[str | int] = []
    kinds: list[Any] = [model_class]
    for index, part in enumerate(location):
        following = _step(kinds, part)
        if not following and index < len(location) - 1:
            continue
        if not following and len(kinds) > 1 and not _is_key(kinds, part):
            continue
        kept.append(part)
        kinds = following or kinds
    return tuple(kept)


def _is_key(kinds: list[Any], part: str | int) -> bool:
    """Whether the part can be a key or an index here, known or not, rather than the name of a union's arm."""
    names = {getattr(kind, "__name__", str(kind)) for kind in kinds} | {"str", "int", "float", "bool", "NoneType"}
    return part not in names


def _keys_at(model_class: type[BaseModel], location: Location) -> set[str]:
    kinds: list[Any] = [model_class]
    for part in location:
        kinds = _step(kinds, part) or kinds
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return {field.alias or name for model in models for name, field in model.model_fields.items()}
