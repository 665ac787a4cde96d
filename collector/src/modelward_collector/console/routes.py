"""The console's addresses, and what each answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from modelward_collector.accepting import NotAcceptedError, accept, proposed
from modelward_collector.auth.current import who_asks
from modelward_collector.checks.result import CheckKind
from modelward_collector.console.forms import form_of
from modelward_collector.console.links import part_name
from modelward_collector.console.pages.accept import accept_page, asked_of, back, seen
from modelward_collector.console.pages.agents import agents_page
from modelward_collector.console.pages.checks import checks_page
from modelward_collector.console.pages.feature import feature_page
from modelward_collector.console.pages.logs import logs_page
from modelward_collector.console.pages.missing import missing, refused, unavailable
from modelward_collector.console.pages.model import model_page
from modelward_collector.console.pages.overview import overview
from modelward_collector.console.pages.result import result_page
from modelward_collector.console.pages.runbook import runbook_page
from modelward_collector.console.site import PageView, Site
from modelward_collector.context import Context
from modelward_collector.store.acceptances import AcceptanceRefusedError
from modelward_collector.store.protocol import StoreUnavailableError


def console_router(context: Context, site: Site | None = None) -> APIRouter:
    """All pages and their files; include it in the application at its root. `site` is one that is already made.

    It loads nothing from elsewhere and needs no inline script or style: `default-src 'self'` holds for every page.
    """
    site = site or Site(context)
    site.warm()
    router = APIRouter(include_in_schema=False)

    def answer(page: Callable[[], PageView]) -> HTMLResponse:
        try:
            view = page()
        except StoreUnavailableError as error:
            view = unavailable(site, str(error))
        return HTMLResponse(site.draw(view), view.status, headers={"Cache-Control": "no-store"})

    @router.get("/")
    def models(request: Request) -> HTMLResponse:
        return answer(lambda: overview(site, request.query_params))

    @router.get("/models")
    def models_again() -> RedirectResponse:
        return RedirectResponse(site.links.to("/"))

    @router.get("/models/{model}")
    def model(model: str, request: Request) -> HTMLResponse:
        return answer(lambda: model_page(site, part_name(model), request.query_params))

    @router.get("/models/{model}/features/{feature}")
    def feature(model: str, feature: str, request: Request) -> HTMLResponse:
        return answer(lambda: feature_page(site, part_name(model), part_name(feature), request.query_params))

    @router.get("/models/{model}/accept")
    def before_accepting(model: str, request: Request) -> HTMLResponse:
        return answer(lambda: accept_page(site, part_name(model), request.query_params))

    @router.post("/models/{model}/accept")
    async def accept_drift(model: str, request: Request) -> Response:
        if not _same_origin(request.headers):
            return answer(
                lambda: refused(
                    "A drift is accepted only from this console's own pages. "
                    "From a script, POST to the API under /api/v1 instead."
                )
            )
        form = await form_of(request)
        return await run_in_threadpool(_accept, site, answer, part_name(model), form, who_asks(request.scope))

    @router.get("/models/{rest:path}")
    def no_such_model(rest: str) -> HTMLResponse:
        return answer(lambda: missing(site, f"There is no page at /models/{rest}."))

    @router.get("/results/{result_id:path}")
    def result(result_id: str) -> HTMLResponse:
        return answer(lambda: result_page(site, result_id))

    @router.get("/checks")
    def checks(request: Request) -> HTMLResponse:
        return answer(lambda: checks_page(site, request.query_params))

    @router.post("/checks/run")
    async def run(request: Request) -> Response:
        if not _same_origin(request.headers):
            return answer(
                lambda: refused(
                    "A check is run only from this console's own pages. "
                    "From a script, POST to the API under /api/v1 instead."
                )
            )
        form = await form_of(request)
        return await run_in_threadpool(_run, site, answer, form)

    @router.get("/agents")
    def agents() -> HTMLResponse:
        return answer(lambda: agents_page(site))

    @router.get("/logs")
    def logs(request: Request) -> HTMLResponse:
        return answer(lambda: logs_page(site, request.query_params))

    @router.get("/runbooks")
    @router.get("/runbooks/")
    def runbooks() -> HTMLResponse:
        return answer(lambda: runbook_page(site))

    @router.get("/runbooks/{name}")
    def runbook(name: str) -> HTMLResponse:
        return answer(lambda: runbook_page(site, name))

    @router.get("/static/{name}")
    def static(name: str, request: Request) -> Response:
        asset = site.assets.get(name)
        if asset is None:
            return answer(lambda: missing(site, f"There is no file /static/{name}."))
        current = request.query_params.get("v") == asset.digest
        keep = "public, max-age=31536000, immutable" if current else "no-cache"
        headers = {"Cache-Control": keep, "ETag": f'"{asset.digest}"', "X-Content-Type-Options": "nosniff"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    @router.get("/favicon.ico")
    def favicon() -> RedirectResponse:
        return RedirectResponse(site.asset("icon.svg"))

    return router


def not_found(context: Context, path: str) -> HTMLResponse:
    """The console's page for an address that no route knows; for the application's handler of 404."""
    site = Site(context)
    view = missing(site, f"There is no page at {path}.")
    return HTMLResponse(site.draw(view), view.status)


def _run(site: Site, answer: Callable[[Callable[[], PageView]], HTMLResponse], form: Mapping[str, str]) -> Response:
    model, check = form.get("model", ""), form.get("check", "")
    if check not in list(CheckKind):
        return answer(lambda: missing(site, f"There is no check called “{check}”."))
    try:
        results = site.context.engine.run(model, CheckKind(check), on_demand=True)
    except KeyError:
        return answer(lambda: missing(site, f"There is no model called “{model}”."))
    except StoreUnavailableError as error:
        why = str(error)
        return answer(lambda: unavailable(site, why))
    if not results:
        return answer(
            lambda: checks_page(site, {}, problem=f"{check} of {model} gave no result: there was no traffic.")
        )
    worst = max(results, key=lambda result: result.status.rank)
    return RedirectResponse(site.links.result(worst.id), status_code=303)


def _accept(
    site: Site, answer: Callable[[Callable[[], PageView]], HTMLResponse], model: str, form: Mapping[str, str], by: str
) -> Response:
    fields = {name: form.get(name) or None for name in ("feature", "version", "reason", "put_back")}
    again = site.links.accept(model, **fields)
    try:
        said = proposed(site.context, asked_of(model, form, by))
        if form.get("seen") != seen(said):
            return RedirectResponse(f"{again}{'&' if '?' in again else '?'}changed=1", status_code=303)
        accepted = accept(site.context, said)
    except (NotAcceptedError, AcceptanceRefusedError):
        # That page says why.
        return RedirectResponse(again, status_code=303)
    except StoreUnavailableError as error:
        why = str(error)
        return answer(lambda: unavailable(site, why))
    unchecked = "1" if accepted.problem else None
    to = back(site, model, fields["feature"], form.get("put_back", ""), unchecked=unchecked)
    return RedirectResponse(to, status_code=303)


def _same_origin(headers: Mapping[str, str]) -> bool:
    """A browser names where a POST comes from; what names nothing is no form of this console."""
    fetched = headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched == "same-origin"
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")
