"""The application put together: the parts over one configuration, and the pages and routes over the parts."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, HTTPException, Request
from starlette.middleware.gzip import GZipMiddleware

from modelward_agent.settings import SettingsError, read_secret
from modelward_collector import __version__
from modelward_collector.api import acceptances, agents, checks, documents, models, profiles, results, watch
from modelward_collector.api.alerts import alerts_router
from modelward_collector.api.bulk import bulk_router
from modelward_collector.api.guard import LOOPBACK_NAMES, Guard
from modelward_collector.api.problems import handle_problems
from modelward_collector.clock import Clock, ReplayClock, WallClock
from modelward_collector.config import ClockKind, CollectorConfig, ElasticsearchSettings, SqliteSettings
from modelward_collector.configured import ConfiguredSeries
from modelward_collector.console import console_router, not_found
from modelward_collector.console.site import Site
from modelward_collector.context import Context
from modelward_collector.engine import Engine
from modelward_collector.forecasts import Forecasts
from modelward_collector.maintenance import Maintenance, MaintenanceSettings
from modelward_collector.metrics import Metrics
from modelward_collector.probes import ProbeRunner
from modelward_collector.probing import Probing
from modelward_collector.registry import Registry
from modelward_collector.schedule import Scheduler, Upkeep
from modelward_collector.store.health import StoreHealth
from modelward_collector.store.protocol import Store
from modelward_collector.stores import open_store
from modelward_collector.workers import WorkerPool

if TYPE_CHECKING:
    from modelward_collector.auth.access import Access

COMPRESSED_FROM_BYTES = 1024
MAINTENANCE_EVERY = timedelta(minutes=2)
"""A reader of a long span merges what is not rolled up yet, so this is soon after each hour's end."""


FORECASTS_EVERY = timedelta(minutes=1)
"""How often it is asked whether a series has a new point."""

PROBES_EVERY = timedelta(seconds=5)
"""How often it is asked which probes are due."""


@dataclass(frozen=True, slots=True)
class Collector:
    """The parts of one collector; `start` and `stop` are the order that they need."""

    context: Context
    metrics: Metrics
    maintenance: Maintenance
    workers: WorkerPool | None
    store_health: StoreHealth
    access: Access | None = None

    def start(self) -> None:
        """Begin to schedule; the store is set up there, when it answers, and until then `/readyz` says 503."""
        self.store_health.start()
        self.context.scheduler.start()
        if self.access is not None:
            self.access.start()

    def stop(self) -> None:
        """End what runs, within seconds; idempotent."""
        self.store_health.stop()
        self.context.scheduler.stop()
        if self.access is not None:
            self.access.stop()
        if self.workers is not None:
            self.workers.close(wait=not self.context.scheduler.unfinished)
        self.context.engine.forget()
        self.context.store.close()


def build(config: CollectorConfig, store: Store | None = None) -> Collector:
    """Every part over the configuration; nothing is started, and the store is not asked."""
    store = store or open_store(config.store)
    clock: Clock = ReplayClock(store) if config.clock is ClockKind.REPLAY else WallClock()
    registry = Registry(config.models_folder, store, config.calendar)
    metrics = Metrics(config.metrics.max_features, config.metrics.max_versions)
    metrics.observe(ConfiguredSeries(registry))
    store_health = StoreHealth(store, cluster=isinstance(config.store, ElasticsearchSettings))
    metrics.observe(store_health)
    workers = WorkerPool(config.store, config.executor.workers) if config.executor.workers else None
    engine = Engine(
        store,
        registry,
        clock,
        metrics,
        agent_window=config.agents.window,
        delay=config.agents.delay,
        runner=workers,
    )
    maintenance = Maintenance(store, MaintenanceSettings.of(config), registry)
    delay = timedelta(0) if clock.replays else config.agents.delay
    forecasts = Forecasts(store, agent_window=config.agents.window, delay=delay)
    metrics.observe(forecasts)
    chores = [
        Upkeep("maintenance", MAINTENANCE_EVERY, maintenance.run),
        Upkeep("forecasts", FORECASTS_EVERY, forecasts.run),
    ]
    if config.probes:
        probing = Probing(ProbeRunner(config.probes), store)
        metrics.observe(probing.runner)
        chores.append(Upkeep("probes", PROBES_EVERY, lambda _: probing.run()))
    scheduler = Scheduler(
        store,
        registry,
        engine,
        clock,
        metrics,
        upkeep=chores,
        # Each thread waits for one process; a second keeps that process busy while the first stores results.
        threads=max(config.executor.threads, 2 * config.executor.workers),
        agent_window=config.agents.window,
        first_run_after=config.agents.window + config.agents.delay,
    )
    context = Context(config, store, registry, engine, scheduler, clock, forecasts)
    return Collector(context, metrics, maintenance, workers, store_health, _access(config, store, metrics))


def _access(config: CollectorConfig, store: Store, metrics: Metrics) -> Access | None:
    if config.auth is None:
        return None
    try:
        from modelward_collector.auth.access import Access
    except ModuleNotFoundError as error:
        if error.name not in ("ldap", "_ldap"):
            raise
        raise SettingsError(["modelward: auth needs python-ldap; run: pip install 'python-ldap>=3.4,<4'"]) from error
    return Access(config.auth, store, metrics.registry)


def create_app(collector: Collector) -> FastAPI:
    """The ASGI application; its lifespan starts and stops the collector."""
    context = collector.context
    config = context.config

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        collector.start()
        try:
            yield
        finally:
            collector.stop()

    app = FastAPI(
        title="Modelward",
        version=__version__,
        summary="Models in production: their state, results, profiles and checks.",
        openapi_url="/api/v1/openapi.json",
        # Their pages load scripts from the internet; the description alone is enough for any client.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.context = context
    app.state.metrics = collector.metrics
    handle_problems(app, lambda request: not_found(context, request.url.path))
    app.include_router(watch.router)
    app.include_router(_v1())
    if isinstance(config.store, SqliteSettings):
        app.include_router(bulk_router(context.store, _agents_only(config)))
    if config.api.alerts_key_file is not None:
        app.include_router(alerts_router(read_secret(config.api.alerts_key_file)))
    site = Site(context)
    app.include_router(console_router(context, site))
    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM_BYTES)
    listen = config.listen
    names = [*LOOPBACK_NAMES, listen.host, *listen.names] if listen.loopback or listen.names else []
    key = config.api.api_key_file
    if collector.access is not None:
        _guard_with_logins(app, collector.access, site, config)
    app.add_middleware(
        Guard,
        base_path=listen.base_path,
        host_names=names,
        api_key=None if key is None else read_secret(key),
        tls=listen.tls is not None,
    )
    return app


def _guard_with_logins(app: FastAPI, access: Access, site: Site, config: CollectorConfig) -> None:
    # Only with `auth`, since they need python-ldap.
    from modelward_collector.auth.gate import Gate
    from modelward_collector.auth.routes import auth_router, denied

    app.include_router(auth_router(access, site))
    app.add_middleware(
        Gate,
        access=access,
        denied_page=lambda session, needed: denied(site, session, needed),
        base_path=config.listen.base_path,
        api_key=None if config.api.api_key_file is None else read_secret(config.api.api_key_file),
        metrics_key=None if config.metrics.key_file is None else read_secret(config.metrics.key_file),
    )


def _v1() -> APIRouter:
    """The API; a model's name may hold slashes, so the route of the bare model comes after all that end otherwise."""
    router = APIRouter(prefix="/api/v1")
    for part in (agents, checks, acceptances, documents, results, profiles, models):
        router.include_router(part.router)
    router.add_api_route("/models/{model:path}", models.model, methods=["GET"], tags=["models"])
    return router


def _agents_only(config: CollectorConfig) -> Any:
    key = None if config.agents.api_key_file is None else read_secret(config.agents.api_key_file)

    def authorize(request: Request) -> None:
        if key is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "apikey" or not hmac.compare_digest(given.strip().encode(), key.encode()):
            raise HTTPException(401, "Send the agents' key: set elasticsearch.api_key_file in agent.yml.")

    return authorize
