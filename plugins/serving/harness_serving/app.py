"""The application: paths, and what stands behind them."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from harness.cli.output import printable
from harness.errors import describe
from harness.workers import WorkerFailed
from harness_serving import schema
from harness_serving.batcher import Batcher
from harness_serving.guard import Access, Guard
from harness_serving.limits import Limits, Refused
from harness_serving.log import say
from harness_serving.meters import CONTENT_TYPE, Meters
from harness_serving.reading import Bodies, answer_of, most_parts, parse, rows_of
from harness_serving.served import Answer, ModelProcess, Served
from harness_serving.windows import Key

__all__ = ["Service"]

BUSY = "the queue is full, the model is being replaced, or the server is being stopped; Retry-After says when to try again"
WHY = {
    400: "the body is no JSON, nests too deep, or comes in too many small chunks",
    401: "no valid token",
    403: "the Host header names no name of this machine",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "the body is not called application/json, or is compressed",
    422: "the request breaks the schema, or the model cannot do it",
    500: "the model failed, or gave no usable forecast",
    503: BUSY,
}


def said(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Those answers for the OpenAPI document."""
    return {status: {"model": schema.Error, "description": WHY[status]} for status in statuses}


class Service:
    """A served model with all that belongs to its server. `app` is the ASGI application; while its lifespan lasts, batches are forecast.

    Args:
        process: the model, loaded.
        thread: the one thread that speaks with the worker.
    """

    def __init__(self, process: ModelProcess, limits: Limits, access: Access, thread: ThreadPoolExecutor) -> None:
        self.process, self.limits, self.access, self.thread = process, limits, access, thread
        self.served: Served = process.served
        self.batcher: Batcher | None = None
        self.bodies = Bodies(limits)
        self.meters = Meters(lambda: self.batcher.depth if self.batcher else 0, lambda: process.alive)
        process.lost = self.meters.restarts.inc
        self.request = schema.request_model(limits, self.served.info)
        self.app = Guard(self._application(), access, self.meters, self._broken)
        self._complaints: set[str] = set()
        self._most = most_parts(limits, self.served.info)
        self.defect = ""
        self.give_up: Callable[[], None] = lambda: None

    @contextlib.asynccontextmanager
    async def _life(self, _: FastAPI) -> AsyncIterator[None]:
        self.batcher = Batcher(self.process, self.limits, self.thread, self._observe, self._failed)
        tasks = [asyncio.create_task(self.batcher.run()), asyncio.create_task(self.batcher.keep())]
        for task in tasks:
            task.add_done_callback(self._over)
        try:
            yield
        finally:
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self, task: asyncio.Task[None]) -> None:
        """One of the tasks that all depends on has ended. Uncancelled: nothing is forecast any more, and no one must wait."""
        if task.cancelled():
            return
        assert self.batcher is not None
        error = task.exception() or RuntimeError("it ended")
        self.defect = f"forecasting has ended: {describe(error)}"
        self.batcher.abandon()
        self._log(f"a defect of the server: {self.defect}; the server stops", "".join(traceback.format_exception(error)))
        self.give_up()

    def close(self) -> None:
        """Take no more requests."""
        if self.batcher is not None:
            self.batcher.closing = True

    def _application(self) -> FastAPI:
        # Without /docs: the page that FastAPI makes asks a server on the web for its scripts.
        app = FastAPI(
            title="harness serve-model",
            version=self.served.version or "0",
            docs_url=None,
            redoc_url=None,
            lifespan=self._life,
            openapi_url=None,
            redirect_slashes=False,
        )
        plain: dict[str, Any] = {"response_model_exclude_none": True}
        app.add_api_route("/health", self.health, response_model=schema.Health, responses=self._health_answers(), **plain)
        app.add_api_route("/v1/models", self.models, response_model=schema.Models, responses=said(401, 403))
        app.add_api_route(
            "/v1/forecast", self.forecast, methods=["POST"], response_model=schema.Forecasts, responses=said(*WHY), openapi_extra=BODY
        )
        app.add_api_route(
            "/metrics", self.metrics, response_class=Response, responses={200: {"content": {"text/plain": {}}}, **said(401, 403)}
        )
        app.add_api_route("/openapi.json", self.document, include_in_schema=False)
        app.add_exception_handler(Refused, _refused)
        app.add_exception_handler(HTTPException, _http)
        app.add_exception_handler(Exception, _defect)
        return app

    @staticmethod
    def _health_answers() -> dict[int | str, dict[str, Any]]:
        return {**said(403), 503: {"model": schema.Health, "description": "no forecasts can be made now"}}

    async def health(self, request: Request) -> Response:
        """Whether forecasts are made: 200, or 503 while the worker is being replaced or the server stopped."""
        assert self.batcher is not None
        alive = self.process.alive
        status = "stopping" if self.batcher.closing else "ok" if alive else "loading"
        found: dict[str, Any] = {"status": status}
        if self.access.trusted(request.scope["headers"]):
            found |= {"model": self.served.name, "version": self.served.version, "loaded": self.process.loaded, "alive": alive}
            found["queue"] = self.batcher.depth
        return JSONResponse(found, 200 if status == "ok" else 503)

    async def models(self) -> Response:
        """The model that is served, and its limits."""
        info, limits = self.served.info, self.limits
        horizon = min(limits.max_horizon, info.max_horizon or limits.max_horizon)
        one = {
            name: getattr(info, name) for name in ("name", "summary", "license", "weights_license", "output", "parameters", "max_context")
        }
        one |= {"version": self.served.version, "covariates": list(info.covariates), "max_horizon": horizon}
        one |= {"max_series": limits.max_series, "max_values": limits.max_context}
        return JSONResponse({"models": [one]})

    async def metrics(self) -> Response:
        """Counters for Prometheus."""
        return Response(self.meters.text(), headers={"content-type": CONTENT_TYPE})

    async def document(self, request: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(self.openapi(request.app))

    async def forecast(self, request: Request) -> Response:
        """Forecast series, all with the same frequency, horizon and levels; what others ask at the same time changes nothing."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "wanted the header Content-Type: application/json")
        if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise Refused(415, "wanted a body that is not compressed")
        with self.bodies.room() as mine:
            body = await self.bodies.read(dict(request.headers), request.receive, mine)
            asked = parse(body, self.request, self.served.info, self._most)
            del body
            key, rows, ends = rows_of(asked, self.served.info)
            answer = await self._or_gone(request, key, rows, asked.seed)
        found = {"model": self.served.name, "version": self.served.version, "freq": key.freq, "season_length": key.season_length}
        return Response(to_json({**found, "forecasts": answer_of(asked, key, ends, answer)}), media_type="application/json")

    async def _or_gone(self, request: Request, key: Key, rows: Any, seed: int) -> Answer:
        """The forecasts; a client that goes away meanwhile frees its place."""
        assert self.batcher is not None
        work = asyncio.ensure_future(self.batcher.forecast(key, rows, seed))
        gone = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Refused(499, "the client has gone")
            return work.result()
        finally:
            for task in (work, gone):
                task.cancel()

    def openapi(self, app: FastAPI) -> dict[str, Any]:
        """The OpenAPI document, with the schema of the request, which is checked here and not by FastAPI."""
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        whole = self.request.model_json_schema(ref_template="#/components/schemas/{model}")
        parts = whole.pop("$defs", {})
        made.setdefault("components", {}).setdefault("schemas", {}).update({**parts, "ForecastRequest": whole})
        if self.access.needs_token:
            made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, operations in made["paths"].items():
                if path not in self.access.open:
                    for operation in operations.values():
                        operation["security"] = [{"token": []}]
        return made

    def _observe(self, windows: int, answer: Answer) -> None:
        self.meters.batch(windows, answer.seconds, answer.peak_rss_mb)

    def _failed(self, error: WorkerFailed) -> None:
        if error.kind == "unsupported" or self.process.ended:
            return
        self._log(f"{error.kind}: {error.reason}", error.log)

    def _broken(self, error: Exception) -> None:
        self._log(f"a defect of the server: {describe(error)}", "".join(traceback.format_exception(error)))

    def _log(self, line: str, more: str) -> None:
        """A line on stderr, and what belongs to it the first time that it is said. A stranger's text must not steer the terminal."""
        lines = [f"harness: {printable(line, 1000)}"]
        if line not in self._complaints and len(self._complaints) < 1000:
            self._complaints.add(line)
            lines += [f"  {printable(each, 400)}" for each in more.strip().splitlines()[-60:]]
        say(*lines)


BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ForecastRequest"}}}}}


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # of status 499 nobody hears: the client has gone, and the server sends nothing
    headers = {"retry-after": str(error.retry)} if error.retry else None
    return JSONResponse({"error": error.reason}, error.status, headers)


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)


def _defect(_: Request, error: Exception) -> Response:
    del error  # the guard has it, too, and writes it into the log
    return JSONResponse({"error": "a defect of the server; what happened is in its log"}, 500)
