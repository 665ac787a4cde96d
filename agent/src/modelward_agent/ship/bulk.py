"""One attempt at a time to talk to Elasticsearch's HTTP API, or to what speaks the same."""

from __future__ import annotations

import logging
import random
import re
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError

from modelward_agent import __version__
from modelward_agent.config import Compress, Elasticsearch
from modelward_agent.settings import read_secret
from modelward_agent.ship.documents import Item

_log = logging.getLogger(__name__)

# All that is read of an answer; without it the answer is as long as the request.
_FILTER = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"

_NDJSON = "application/x-ndjson"
_COMPRESSION = 1
_GZIP = 31
_ITEMS_JOINED = 128
"""Documents that are joined, and compressed or sent, at a time: the whole request is never in memory a second time."""

_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


class BulkError(Exception):
    """An attempt that failed as a whole. `reason` is short, for a metric; the message names the host."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnavailableError(BulkError):
    """Nobody answered, or said to come back later: try again."""


class RefusedError(BulkError):
    """401 or 403: nothing will be taken until a person has changed something. Try again, slowly."""


class TooLargeError(BulkError):
    """413: the request was too large; send less at a time."""


class BadRequestError(BulkError):
    """400 for the whole request: some item in it cannot even be read."""


class ItemResult(NamedTuple):
    """What became of one item: an HTTP status, and for an error its type and reason."""

    status: int
    error_type: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    host: str


class _Bulk:
    """The body of one `_bulk`, as often as it is to be sent."""

    def __init__(self, items: Sequence[Item], indices: Mapping[str, str]) -> None:
        self._items = items
        self._prefixes = {
            alias: f'{{"create":{{"_index":"{index}","_id":"'.encode() for alias, index in indices.items()
        }
        self._compressed: list[bytes] = []

    def plain(self) -> Iterator[bytes]:
        """Piece after piece."""
        prefixes = self._prefixes
        for start in range(0, len(self._items), _ITEMS_JOINED):
            parts: list[bytes] = []
            for alias, item_id, document in self._items[start : start + _ITEMS_JOINED]:
                parts += (prefixes[alias], item_id.encode(), b'"}}\n', document, b"\n")
            yield b"".join(parts)

    @property
    def size(self) -> int:
        """Bytes of all pieces."""
        around = {alias: len(prefix) + len(b'"}}\n\n') for alias, prefix in self._prefixes.items()}
        return sum([around[alias] + len(item_id.encode()) + len(body) for alias, item_id, body in self._items])

    def compressed(self) -> list[bytes]:
        """As gzip, in pieces."""
        if not self._compressed:
            compressor = zlib.compressobj(_COMPRESSION, wbits=_GZIP)
            self._compressed = [*map(compressor.compress, self.plain()), compressor.flush()]
        return self._compressed


class BulkClient:
    """Connections to the configured hosts; when one fails the next is tried. One thread at a time."""

    def __init__(self, settings: Elasticsearch) -> None:
        self._settings = settings
        self._urls = [url.rstrip("/") for url in settings.urls]
        # Agents spread over the hosts; each stays with one until it fails.
        self._next = random.randrange(len(self._urls))  # noqa: S311
        self._compressed = [_compressed(url, settings.compress) for url in self._urls]
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        if settings.certificate is not None:
            context.load_cert_chain(str(settings.certificate), str(settings.key_file))
        self._pool = urllib3.PoolManager(
            num_pools=len(self._urls),
            maxsize=1,
            retries=False,
            ssl_context=context,
            timeout=urllib3.Timeout(
                connect=settings.connect_timeout.total_seconds(), read=settings.timeout.total_seconds()
            ),
        )
        self._authorization = self._read_authorization()

    def _read_authorization(self) -> dict[str, str]:
        settings = self._settings
        if settings.api_key_file is not None:
            return {"authorization": f"ApiKey {read_secret(settings.api_key_file)}"}
        if settings.username is not None and settings.password_file is not None:
            return urllib3.make_headers(basic_auth=f"{settings.username}:{read_secret(settings.password_file)}")
        return {}

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def create(self, items: Sequence[Item], indices: dict[str, str]) -> list[ItemResult]:
        """One `POST /_bulk` that creates each item in the index that `indices` gives for its alias.

        Answers in the items' order; raises a `BulkError` when the request failed as a whole.
        """
        answer = self._request("POST", f"/_bulk?filter_path={_FILTER}", _Bulk(items, indices))
        if answer.status != 200:
            raise _failure(answer)
        return _results(answer, len(items))

    def write_index(self, alias: str) -> tuple[str, frozenset[str]]:
        """The index that the alias writes to, and all that are behind it; raises a `BulkError`."""
        answer = self._request("GET", f"/_alias/{alias}", None)
        if answer.status == 404:
            raise UnavailableError(
                "no_alias", f"{answer.host}: there is no alias {alias}; start the collector, which creates it"
            )
        if answer.status != 200:
            raise _failure(answer)
        behind = _json(answer)
        writing = [
            index
            for index, entry in behind.items()
            if entry.get("aliases", {}).get(alias, {}).get("is_write_index") or len(behind) == 1
        ]
        if len(writing) != 1:
            raise UnavailableError(
                "no_write_index",
                f"{answer.host}: none of the {len(behind)} indices behind {alias} is its write index; name one",
            )
        return writing[0], frozenset(behind)

    def _request(self, method: str, target: str, bulk: _Bulk | None) -> _Answer:
        headers = {"user-agent": f"modelward-agent/{__version__}", "accept": "application/json"}
        headers |= self._authorization
        failure: BulkError | None = None
        for _ in self._urls:
            at = self._next % len(self._urls)
            url = self._urls[at]
            self._next += 1
            body: Iterable[bytes] | None = None
            of_body: dict[str, str] = {}
            if bulk is not None:
                body, size, of_body = bulk.plain(), bulk.size, {"content-type": _NDJSON}
                if self._compressed[at]:
                    pieces = bulk.compressed()
                    body, size = pieces, sum(map(len, pieces))
                    of_body["content-encoding"] = "gzip"
                # Without the length the pieces would be sent as chunks, which not every proxy takes.
                of_body["content-length"] = str(size)
            try:
                response = self._pool.request(
                    method, url + target, body=body, headers=headers | of_body, redirect=False
                )
            except HTTPError as error:
                failure = UnavailableError(_kind(error), f"{url}: {_plain(error)}")
                continue
            if response.status in (401, 403) and self._authorization:
                # The file may have been given a new secret since.
                self._authorization = self._read_again()
            if response.status in (502, 503, 504) and len(self._urls) > 1:
                failure = _failure(_Answer(response.status, response.data, url))
                continue
            self._next -= 1
            return _Answer(response.status, response.data, url)
        assert failure is not None
        raise failure

    def _read_again(self) -> dict[str, str]:
        try:
            return self._read_authorization()
        except OSError as error:
            _log.error("%s: the secret cannot be read again (%s)", error.filename, error.strerror)
            return self._authorization


def _compressed(url: str, compress: Compress) -> bool:
    """Whether requests to the host are compressed: on the way to this host itself it would only cost time."""
    if compress is Compress.AUTO:
        return not _LOOPBACK.fullmatch(urlsplit(url).hostname or "")
    return compress is Compress.ALWAYS


def _kind(error: HTTPError) -> str:
    if isinstance(error, urllib3.exceptions.SSLError):
        return "tls"
    # A refused connection is one of urllib3's time-outs too.
    if isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(error, NewConnectionError):
        return "timeout"
    return "connection"


def _plain(error: HTTPError) -> str:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"its certificate is not trusted ({text}); set elasticsearch.ca_file to the authority that signed it"
    return text


def _failure(answer: _Answer) -> BulkError:
    said = _error_text(answer.body)
    message = f"{answer.host}: HTTP {answer.status}{': ' if said else ''}{said}"
    if answer.status in (401, 403):
        return RefusedError(f"http_{answer.status}", f"{message}; check the agent's user, its secret file and its role")
    if answer.status == 413:
        return TooLargeError("http_413", message)
    if answer.status == 400 and _is_elasticsearch_error(answer.body):
        return BadRequestError("http_400", message)
    return UnavailableError(f"http_{answer.status}", message)


def _is_elasticsearch_error(body: bytes) -> bool:
    """Whether the error is about what was sent: a proxy's page says nothing about it."""
    try:
        return bool(orjson.loads(body)["error"]["type"])
    except (ValueError, KeyError, TypeError):
        return False


def _error_text(body: bytes) -> str:
    try:
        error = orjson.loads(body)["error"]
        return str(error if isinstance(error, str) else error.get("reason") or error.get("type"))[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        return body[:200].decode("utf-8", "replace").strip()


def _json(answer: _Answer) -> dict[str, Any]:
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise UnavailableError("bad_answer", f"{answer.host}: its answer is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise UnavailableError("bad_answer", f"{answer.host}: its answer is not a JSON object")
    return content


def _results(answer: _Answer, count: int) -> list[ItemResult]:
    content = _json(answer)
    if content.get("errors") is False and len(content.get("items", ())) == count:
        return [ItemResult(201)] * count
    results = []
    try:
        for item in content["items"]:
            (outcome,) = item.values()
            error = outcome.get("error") or {}
            if isinstance(error, str):
                error = {"reason": error}
            reason = str(error.get("reason", ""))
            if cause := (error.get("caused_by") or {}).get("reason"):
                reason = f"{reason}: {cause}"
            results.append(ItemResult(int(outcome["status"]), str(error.get("type", "")), reason))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnavailableError(
            "bad_answer", f"{answer.host}: its answer to _bulk cannot be read ({error!r})"
        ) from error
    if len(results) != count:
        raise UnavailableError("bad_answer", f"{answer.host}: it answered {len(results)} of {count} items")
    return results
