"""Answer what is no part of the page itself: health, metrics, the Hub's webhook, pictures and packages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from forge_batch.asset_view import NAME, PICTURE, find_package, find_picture, find_preview, stage_folder
from forge_batch.content.webhook import LARGEST, PATH, Webhook
from forge_batch.errors import ForgeError
from forge_batch.header_view import header
from forge_batch.previews import Previews, picture
from forge_batch.queue_view import STATES, Row
from forge_batch.standing import Standing
from forge_batch.ui.site import Site
from forge_batch.ui.views import Views, wish_of

PUBLISHED = re.compile(r"((export|rejected)_[A-Za-z0-9_.-]{1,120}\.zip|report\.(html|json)|(rejected_)?preview\.png)")
BUILD = re.compile(r"build-(\d{8}T\d{6}Z)\.webp")
SMALL = re.compile(r"(thumbnail|preview|input-(?:front|right|back|left)|texture-(?:base_color|normal|orm))\.webp")
SAFE = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
"""What a served file may do in a browser: nothing."""


def routes(site: Site, views: Views, webhook: Webhook | None) -> list[Route]:
    """Give the routes of a page, for Gradio's server to answer before its own."""
    return [
        Route("/healthz", _health(site)),
        Route("/live", _live(views), middleware=[Middleware(GZipMiddleware, minimum_size=1000)]),
        Route("/metrics", _metrics(site)),
        Route("/files/{asset}/{name}", _file(site)),
        Route(PATH, _webhook(webhook), methods=["POST"]),
    ]


def _health(site: Site) -> Callable[[Request], Response]:
    def health(_: Request) -> Response:
        survey, now = site.survey, datetime.now(UTC)
        top = header(survey.queue, survey.rows, now)
        document = {
            "alive": top.alive == "alive",
            "runner": top.alive,
            "doing": top.doing,
            "heartbeat_age_seconds": None if top.age is None else round(top.age, 1),
            "sha": {"seen": top.seen, "processed": top.processed},
            "queue": dict(top.counts),
            "loaded": survey.queue.loaded,
        }
        return JSONResponse(document, headers={"Cache-Control": "no-store"})

    return health


def _live(views: Views) -> Callable[[Request], Response]:
    def live(request: Request) -> Response:
        query = request.query_params
        page = query.get("page", "1")
        wish = wish_of(query.get("text"), query.get("state"), query.get("sort"), int(page) if page.isdecimal() else 1)
        marks = {name.removeprefix("mark-"): value for name, value in query.items() if name.startswith("mark-")}
        return JSONResponse(views.live(wish, query.get("asset", ""), marks), headers={"Cache-Control": "no-store"})

    return live


def _metrics(site: Site) -> Callable[[Request], Response]:
    registry = CollectorRegistry()
    assets = Gauge("forge_batch_assets", "Assets by state", ["state"], registry=registry)
    age = Gauge("forge_batch_heartbeat_age_seconds", "Seconds since the runner's last sign of life", registry=registry)
    alive = Gauge("forge_batch_runner_alive", "1 while the runner gives signs of life", registry=registry)
    seconds = Gauge("forge_batch_allowance_seconds", "GPU seconds of the allowance", ["part"], registry=registry)
    spent = Gauge("forge_batch_spent_seconds", "Seconds that the stages of all assets took", ["device"], registry=registry)

    def metrics(_: Request) -> Response:
        survey, now = site.survey, datetime.now(UTC)
        found = survey.rows
        top = header(survey.queue, found, now)
        for state in STATES:
            assets.labels(state).set(top.counts[state])
        age.set(top.age if top.age is not None else float("nan"))
        alive.set(top.alive in {"alive", "paused"})
        for part, value in {"used": top.bar.used, "reserved": top.bar.reserved, "left": top.bar.left}.items():
            seconds.labels(part).set(value if top.bar.whole is not None else float("nan"))
        spent.labels("gpu").set(sum(row.facts.gpu_spent for row in found))
        spent.labels("all").set(sum(row.facts.spent for row in found))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return metrics


def _webhook(webhook: Webhook | None) -> Callable[[Request], object]:
    async def receive(request: Request) -> Response:
        if webhook is None:
            return PlainTextResponse("no webhook is set up here", 404)
        length = request.headers.get("content-length", "")
        if not length.isdecimal():
            return PlainTextResponse("say the length", 411)
        if int(length) > LARGEST:
            return PlainTextResponse("too large", 413)
        answer = webhook.receive(dict(request.headers), await request.body())
        return PlainTextResponse(answer.text, answer.status)

    return receive


def _file(site: Site) -> Callable[[Request], object]:
    async def serve(request: Request) -> Response:
        asset, name = request.path_params["asset"], request.path_params["name"]
        try:
            path = await run_in_threadpool(find_file, site, asset, name)
        except (OSError, ForgeError):
            path = None
        if path is None:
            return PlainTextResponse("there is no such file", 404)
        headers = {**SAFE, "Cache-Control": "no-cache" if PUBLISHED.fullmatch(name) else "max-age=600"}
        if name.endswith(".zip"):
            return FileResponse(path, headers=headers, filename=name)
        return FileResponse(path, headers=headers)

    return serve


def find_file(site: Site, asset: str, name: str) -> Path | None:
    """Find what may be looked at of an asset by its public name; None if there is no such thing.

    Only names of known forms are looked for, and only what lies in the asset's own folder, links not followed.
    """
    row = site.survey.row(asset) if NAME.fullmatch(asset) else None
    if row is None:
        return None
    exports = site.content.home / "exports" / asset
    entry = site.survey.standings.get(asset)
    if PUBLISHED.fullmatch(name):
        site.content.bring(f"exports/{asset}/{name}")
        return _plain(exports / name, exports)
    if PICTURE.fullmatch(name):
        return find_picture(site.content, entry, name)
    if found := BUILD.fullmatch(name):
        return _plain(exports / "builds" / f"{found[1]}.webp", exports)
    return _small(site, row, entry, name) if SMALL.fullmatch(name) and entry is not None else None


def _small(site: Site, row: Row, entry: Standing, name: str) -> Path | None:
    """Find a picture that is made to be looked at: of an input, or of a texture of the package."""
    stem, images, home = name.removesuffix(".webp"), entry.order.images, site.content.home
    if stem == "preview":
        found = find_preview(site.content, row.asset)
        return picture(home, found, 640) if found else None
    if stem.startswith("texture-"):
        package = find_package(site.content, row)
        made = Previews(home, package, stage_folder(site.content, entry.job, "build_lods")) if package else None
        return made.texture(stem.removeprefix("texture-")) if made else None
    view = stem.removeprefix("input-") if stem != "thumbnail" else next((v for v in ("front", *images) if v in images), "")
    if view not in images:
        return None
    small = stem == "thumbnail"
    return picture(home, images[view].path, 96 if small else 720, close=small)


def _plain(path: Path, folder: Path) -> Path | None:
    """Give a path if it is a plain file of that folder."""
    inside = path.resolve().is_relative_to(folder.resolve())
    return path if inside and path.is_file() and not path.is_symlink() else None
