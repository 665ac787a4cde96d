"""Bodies as real clients and services write them: JSON that is Python's, other encodings, compressed, unread."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.tests.recorded import only
from agent.tests.served import client, watched
from modelward_agent import Recorder
from modelward_agent.recorder.asgi import RecorderMiddleware
from modelward_agent.recorder.asgi.body import Body, json_of


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


def record(recorder: Recorder, request: bytes, response: bytes = b'{"prediction": 1}', **options: Any) -> None:
    assert client(watched(recorder, answer=response)).post("/predict", content=request, **options).content == response


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_the_floats_that_python_s_json_writes_are_recorded(recorder: Recorder, tmp_path: Path, word: str) -> None:
    record(recorder, f'{{"a": {word}, "b": [1, {word}]}}'.encode(), f'{{"prediction": {word}}}'.encode())
    line = only(tmp_path)
    assert (line["features"], line["prediction"]) == ({"a": word, "b": [1, word]}, word)


def test_in_batches_too(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, b'[{"a": NaN}]', b'{"predictions": [{"fraud": NaN, "fine": 0.5}]}')
    line = only(tmp_path)
    assert (line["features"], line["prediction"]) == ({"a": "NaN"}, {"fraud": "NaN", "fine": 0.5})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_every_encoding_of_json_is_recorded(recorder: Recorder, tmp_path: Path, encoding: str) -> None:
    record(recorder, '{"city": "Köln"}'.encode(encoding), '{"prediction": "gut 👍"}'.encode(encoding))
    line = only(tmp_path)
    assert (line["features"], line["prediction"]) == ({"city": "Köln"}, "gut 👍")


def test_lone_surrogates_are_recorded(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, b'{"name": "a\\ud83d"}')
    assert only(tmp_path)["features"] == {"name": "a\\ud83d"}


@pytest.mark.parametrize(("digits", "stored"), [("9" * 20, float("9" * 20)), ("9" * 400, "Infinity")])
def test_whole_numbers_beyond_64_bits_are_recorded(
    recorder: Recorder, tmp_path: Path, digits: str, stored: float | str
) -> None:
    record(recorder, f'{{"account": {digits}, "x": NaN}}'.encode())
    assert only(tmp_path)["features"] == {"account": stored, "x": "NaN"}


def test_a_whole_number_of_more_digits_than_python_converts_is_infinite() -> None:
    assert json_of(b'{"x": ' + b"9" * 5000 + b"}") == {"x": float("inf")}


@pytest.mark.parametrize("content", [b"{", b'{"a": nan}', b"\xff\xfe", b"[" * 100_000, b"a=1", b"\x00", b"{'a': 1}"])
def test_what_is_no_json_reaches_nobody_but_the_counts(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    record(recorder, content)
    assert (recorder.stats.written, recorder.stats.failed) == (0, 1)
    assert "/predict: no features and prediction could be had" in caplog.text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_what_python_s_json_writes_is_read(value: Any, ascii_only: bool, encoding: str) -> None:
    content = json.dumps(value, ensure_ascii=ascii_only).encode(encoding, "surrogatepass")
    assert json.dumps(_floats(json_of(content))) == json.dumps(_floats(json.loads(content)))


def _floats(value: Any) -> Any:
    """A long integer may be read as the nearest float."""
    if isinstance(value, dict):
        return {name: _floats(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_floats(inner) for inner in value]
    return float(value) if isinstance(value, int) and abs(value) >= 1 << 63 else value


# -- compressed ------------------------------------------------------------------------------------------------------


def raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


@pytest.mark.parametrize("middleware_outside", [False, True])
def test_a_response_that_is_compressed_inside_is_recorded_all_the_same(
    recorder: Recorder, tmp_path: Path, middleware_outside: bool
) -> None:
    async def answer(request: Request) -> Response:
        return Response(json.dumps({"prediction": (await request.json())["x"], "why": "x" * 5000}))

    middleware = [Middleware(GZipMiddleware), Middleware(RecorderMiddleware, recorder=recorder)]
    app = Starlette(
        routes=[Route("/predict", answer, methods=["POST"])],
        middleware=middleware[::-1] if middleware_outside else middleware,
    )
    response = client(app).post("/predict", json={"x": 3})
    assert (response.headers["content-encoding"], response.json()["prediction"]) == ("gzip", 3)
    assert only(tmp_path)["prediction"] == 3


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)],
)
def test_a_compressed_request_is_recorded(recorder: Recorder, tmp_path: Path, encoding: str, compress: Any) -> None:
    record(recorder, compress(b'{"amount": 1}'), headers={"content-encoding": encoding})
    assert only(tmp_path)["features"] == {"amount": 1}


def test_a_body_that_was_decompressed_on_the_way_is_read_as_it_is(recorder: Recorder, tmp_path: Path) -> None:
    """A middleware outside has done it, and left the header."""
    record(recorder, b'{"amount": 1}', headers={"content-encoding": "gzip"})
    assert only(tmp_path)["features"] == {"amount": 1}


def test_decompressing_stops_at_the_bound(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    bomb = gzip.compress(b'{"x": "' + b"y" * 50_000_000 + b'"}')
    record(recorder, bomb, headers={"content-encoding": "gzip"})
    assert recorder.stats.failed == 1
    assert "decompressed" in caplog.text
    assert "max_body_bytes, 262,144" in caplog.text


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_another_encoding_is_named_as_the_reason(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    record(recorder, b"\x0b\x02\x80", headers={"content-encoding": encoding})
    assert f"the body is encoded ({encoding}): add this middleware inside" in caplog.text


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", ""]))
def test_any_bytes_are_json_or_a_reason(content: bytes, encoding: str) -> None:
    body = Body(200, encoding)
    body.add(content)
    with contextlib.suppress(ValueError, RecursionError):
        body.json()


def test_a_body_that_the_application_has_not_read_is_named_as_the_reason(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: Request) -> Response:
        return Response('{"prediction": 1}')

    app = RecorderMiddleware(Starlette(routes=[Route("/predict", answer, methods=["POST"])]), recorder)
    assert client(app).post("/predict", json={"x": 1}).status_code == 200
    assert "the application has not read it" in caplog.text


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("error", [KeyError("amount"), RecursionError(), UnspeakableError(), MemoryError()])
def test_no_exception_of_extract_or_segment_reaches_the_client(recorder: Recorder, error: Exception) -> None:
    def fail(*given: Any) -> Any:
        raise error

    for options in ({"extract": fail}, {"segment": fail}, {"extract": lambda *given: 3}):
        assert client(watched(recorder, **options)).post("/predict", json={"x": 1}).status_code == 200
    assert (recorder.stats.written, recorder.stats.failed) == (0, 3)
