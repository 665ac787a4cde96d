"""A path in `paths` means the same request, however the application is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from agent.tests.recorded import only, recorded
from agent.tests.served import client, listening, predicting, watched
from modelward_agent import Recorder
from modelward_agent.recorder.asgi import RecorderMiddleware
from modelward_agent.recorder.asgi.paths import Paths, names_of

ROW = {"amount": 50}


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fraud", "7", journal=tmp_path)


def mounting(app: Any) -> Starlette:
    return Starlette(routes=[Mount("/v1", app=app)])


@pytest.mark.parametrize(
    ("root_path", "asked"), [("", "/predict"), ("/api", "/api/predict"), ("/api", "/predict"), ("/a/b", "/a/b/predict")]
)
def test_behind_a_proxy_that_keeps_or_strips_its_prefix(
    recorder: Recorder, tmp_path: Path, root_path: str, asked: str
) -> None:
    assert client(watched(recorder), root_path).post(asked, json=ROW).status_code == 200
    assert only(tmp_path)["features"] == ROW


@pytest.mark.parametrize("asked", ["/api/predict", "/predict"])
@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
def test_with_the_prefix_as_fastapi_s_own_argument(
    recorder: Recorder, tmp_path: Path, asked: str, outside: bool
) -> None:
    """Around FastAPI, the middleware comes before it says its root_path."""
    app: Any = predicting(root_path="/api")
    if outside:
        app = RecorderMiddleware(app, recorder)
    else:
        app.add_middleware(RecorderMiddleware, recorder=recorder)
    assert client(app).post(asked, json=ROW).status_code == 200
    assert only(tmp_path)["features"] == ROW


@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize("paths", [["/predict"], ["/v1/predict"]])
def test_in_a_mounted_application_paths_are_its_own_or_whole(
    recorder: Recorder, tmp_path: Path, root_path: str, paths: list[str]
) -> None:
    app = mounting(watched(recorder, paths=paths))
    assert client(app, root_path).post(f"{root_path}/v1/predict", json=ROW).status_code == 200
    assert only(tmp_path)["features"] == ROW


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_around_a_mounted_application_paths_have_the_mount_s(
    recorder: Recorder, tmp_path: Path, root_path: str
) -> None:
    app = mounting(predicting())
    app.add_middleware(RecorderMiddleware, recorder=recorder, paths=["/v1/predict"])
    assert client(app, root_path).post(f"{root_path}/v1/predict", json=ROW).status_code == 200
    assert only(tmp_path)["features"] == ROW


@pytest.mark.parametrize("prefix", ["/api", "/api/"])
def test_through_uvicorn_with_a_root_path(recorder: Recorder, tmp_path: Path, prefix: str) -> None:
    """What `uvicorn --root-path` does: the proxy strips the prefix, and the server puts it in front of the path."""
    with listening(watched(recorder), root_path=prefix) as url:
        assert httpx.post(f"{url}/predict", json=ROW).status_code == 200
    assert only(tmp_path)["features"] == ROW


def test_through_uvicorn_in_a_mount_with_a_root_path(recorder: Recorder, tmp_path: Path) -> None:
    with listening(mounting(watched(recorder, "/models/{name}/predict", paths=["/models/{name}/predict"]))) as url:
        assert httpx.post(f"{url}/v1/models/fraud/predict?trace=1", json=ROW).status_code == 200
    assert only(tmp_path)["features"] == ROW


@pytest.mark.parametrize(("route", "path"), [("/predict", "/predict/"), ("/predict/", "/predict"), ("/", "/")])
def test_a_slash_at_the_end_makes_no_difference(recorder: Recorder, tmp_path: Path, route: str, path: str) -> None:
    app = watched(recorder, route, paths=[path])
    assert client(app).post(route, json=ROW).status_code == 200
    assert client(app).post(path, json=ROW).status_code == 200
    assert [line["features"] for line in recorded(tmp_path)] == [ROW, ROW]


def test_a_redirect_to_the_slash_is_recorded_once(recorder: Recorder, tmp_path: Path) -> None:
    response = client(watched(recorder, "/predict/")).post("/predict", json=ROW)
    assert [one.status_code for one in (*response.history, response)] == [307, 200]
    assert only(tmp_path)["features"] == ROW


def test_a_template_is_one_segment_and_the_segment_knows_its_parameters(recorder: Recorder, tmp_path: Path) -> None:
    app = watched(
        recorder,
        "/predict/{model}",
        "/predict/{model}/explain",
        paths=["/predict/{model}"],
        segment=lambda scope: {"model": scope["path_params"]["model"]},
    )
    for path in ("/predict/fraud", "/predict/fraud/explain"):
        assert client(app).post(path, json=ROW).status_code == 200
    assert only(tmp_path)["segment"] == {"model": "fraud"}


def test_an_error_in_a_mount_has_the_path_that_was_asked(recorder: Recorder, tmp_path: Path) -> None:
    async def fail(request: Any) -> JSONResponse:
        raise KeyError("no model")

    app = mounting(Starlette(routes=[Route("/predict", fail, methods=["POST"])]))
    app.add_middleware(RecorderMiddleware, recorder=recorder, paths=["/v1/predict"])
    assert client(app).post("/v1/predict", json=ROW).status_code == 500
    assert only(tmp_path)["url.path"] == "/v1/predict"


def test_other_kinds_of_scopes_pass(recorder: Recorder, tmp_path: Path) -> None:
    events: list[str] = []
    app = FastAPI(on_startup=[lambda: events.append("up")], on_shutdown=[lambda: events.append("down")])

    @app.websocket("/predict")
    async def talk(websocket: Any) -> None: ...

    app.add_middleware(RecorderMiddleware, recorder=recorder)
    with client(app) as served:
        assert served.head("/predict").status_code == 404
    assert events == ["up", "down"]
    assert recorded(tmp_path) == []


@pytest.mark.parametrize(
    ("pattern", "asked", "is_ours"),
    [
        ("/predict", "/predict", True),
        ("/predict", "/Predict", False),
        ("predict", "/predict", True),
        ("/predict", "/predictions", False),
        ("/predict", "/v1/predict", False),
        ("*/predict", "/v1/predict", True),
        ("/v?/predict", "/v1/predict", True),
        ("/v[12]/predict", "/v3/predict", False),
        ("/predict*", "/predict/a/b", True),
        ("/models/{name}:predict", "/models/fraud:predict", True),
        ("/models/{name}:predict", "/models/a/fraud:predict", False),
        ("/models/{id:int}", "/models/7", True),
        ("/models/{name}", "/models/", False),
        ("/files/{where:path}", "/files/a/b/c", True),
        ("/a.b", "/axb", False),
        ("/predict", "/predict\n", False),
        ("/", "/", True),
        ("", "/", True),
        ("/", "/predict", False),
    ],
)
def test_exact_paths_globs_and_templates(pattern: str, asked: str, is_ours: bool) -> None:
    assert Paths([pattern]).match([asked]) is is_ours
    assert Paths(["/other", pattern]).match([asked]) is is_ours


def test_one_path_may_be_given_alone() -> None:
    assert Paths("/predict").match(["/predict"])
    assert not Paths([]).match(["/", ""])


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ({"path": "/predict"}, ("/predict",)),
        ({"path": "/api/predict", "root_path": "/api"}, ("/predict", "/api/predict")),
        ({"path": "/predict", "root_path": "/api"}, ("/predict", "/api/predict")),
        ({"path": "/predict", "root_path": "/api/v1", "app_root_path": "/api"}, ("/predict", "/api/v1/predict")),
        ({"path": "/v1/predict", "root_path": "", "route_path": "/predict"}, ("/predict", "/v1/predict")),
        ({"path": "/api", "root_path": "/api"}, ("/", "/api")),
        ({"path": "/apis/predict", "root_path": "/api"}, ("/apis/predict", "/api/apis/predict")),
        ({"path": "/api//predict", "root_path": "/api/"}, ("/predict", "/api//predict")),
        ({"path": "/api/v1/predict", "root_path": "/api/v1", "app_root_path": "/api"}, ("/predict", "/api/v1/predict")),
    ],
)
def test_a_request_is_known_within_its_application_and_in_full(scope: dict[str, str], names: tuple[str, ...]) -> None:
    assert names_of(scope)[: len(names)] == names


@given(st.text(), st.text(), st.text())
def test_any_path_has_names_and_the_whole_is_one_of_them(path: str, root_path: str, pattern: str) -> None:
    names = names_of({"path": path, "root_path": root_path})
    assert path in names
    Paths([pattern]).match(names)
