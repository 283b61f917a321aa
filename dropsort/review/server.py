"""The review page's HTTP server: the page, its files, and the requests of its script."""

from __future__ import annotations

import functools
import json
import secrets
import socket
import sys
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import uvicorn
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dropsort.contract import keys, reviews
from dropsort.contract.reasons import REASONS
from dropsort.local.protocol import SERVER_OPTIONS
from dropsort.review import ORDERS
from dropsort.review.access import MAX_BODY, AccessControl
from dropsort.review.decisions import DecisionRequest
from dropsort.review.errors import ReviewError
from dropsort.review.listing import GroupPosition, ListedImage, one_by_one
from dropsort.review.session import Session, action_of
from dropsort.review.thumbnails import SIDES

MOST_ITEMS = 500  # of a page of a listing
PAGE_ITEMS = 200  # of a page that the script requests
# Whose thumbnails are made ahead: more would take the time of the browser that reads the page.
SCREEN_ITEMS = 6
SEED = 1
SWITCH_SECONDS = 0.0005  # between threads: those that read results would hold up each step of a request for ten times as long
MOST_DECISIONS = 2000  # of one request
STATIC = {
    "style.css": ("dropsort.pages", "templates/style.css", "text/css"),
    "review.css": ("dropsort.review", "static/review.css", "text/css"),
    "review.js": ("dropsort.review", "static/review.js", "text/javascript"),
    "grid.js": ("dropsort.review", "static/grid.js", "text/javascript"),
}


def application(session: Session, order: str = ORDERS[0]) -> Starlette:
    """The ASGI application, without `AccessControl`."""
    requests = _Requests(session, order)
    get = functools.partial(Route, methods=["GET"])
    post = functools.partial(Route, methods=["POST"])
    return Starlette(
        routes=[
            get("/", requests.page),
            get("/favicon.ico", lambda _: Response(status_code=204)),
            get("/static/{name}", requests.static),
            get("/api/state", requests.state),
            get("/api/view", requests.view),
            get("/api/items", requests.items),
            get("/api/details/{image}", requests.details),
            *(get(f"/{size}/{{image}}", functools.partial(requests.image, size)) for size in SIDES),
            post("/api/decide", requests.decide),
            post("/api/claim", requests.claim),
        ],
        exception_handlers={HTTPException: _failed, ReviewError: _rejected},
        middleware=[Middleware(_WhileServing, session)],
    )


class _Requests:
    """The responses to the requests of the page and its script."""

    def __init__(self, session: Session, order: str) -> None:
        self._session, self._order = session, order
        environment = Environment(
            loader=PackageLoader("dropsort.review"), autoescape=True, undefined=StrictUndefined
        )
        self._template = environment.get_template("review.html")

    def page(self, _: Request) -> Response:
        """The page itself, with what it shows first."""
        # What it shows first comes with it, and the thumbnails are made while the browser reads it.
        number, length, found = 0, 0, []
        if self._order != "similar":  # which compares all images
            number, length = self._session.listing.view(keys.LOW_CONFIDENCE, "", "", self._order, SEED)
            found = self._session.listing.page(number, 0, PAGE_ITEMS) or []
            self._session.thumbnails.prepare(item for item, _ in found[:SCREEN_ITEMS] if item)
        first = {
            "bin": {"group": keys.LOW_CONFIDENCE, "kind": "", "value": ""},
            "order": self._order,
            "seed": SEED,
            "view": number,
            "length": length,
            "items": _placed(found),
        }
        text = self._template.render(
            bucket=self._session.bucket, reviewer=self._session.reviewer, first=first
        )
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    def state(self, _: Request) -> Response:
        """What the page shows above the images."""
        return _json(
            {
                "loading": self._session.listing.loading,
                "bins": self._session.listing.bins(),
                "labels": self._session.listing.labels(),
                "comparing": self._session.similar.pending,
                "trouble": self._session.trouble,
                "unreadable": len(self._session.listing.problems),
                "per_minute": round(self._session.per_minute(), 1),
            }
        )

    def view(self, request: Request) -> Response:
        """An order of a group of images, as a numbered view."""
        query = request.query_params
        chosen = query.get("order", self._order)
        if chosen not in ORDERS:
            raise HTTPException(400, f"There is no order {chosen!r:.50}.")
        number, length = self._session.listing.view(
            query.get("group", ""),
            query.get("kind", ""),
            query.get("value", ""),
            chosen,
            _number(request, "seed", 0),
            self._session.similar.groups if chosen == "similar" else one_by_one,
        )
        comparing = self._session.similar.pending if chosen == "similar" else 0
        at = self._session.listing.index(number, query.get("image", ""))
        return _json({"view": number, "length": length, "comparing": comparing, "at": at})

    def items(self, request: Request) -> Response:
        """A part of a view."""
        found = self._session.listing.page(
            _number(request, "view", 0),
            _number(request, "offset", 0),
            min(_number(request, "limit", 100), MOST_ITEMS),
        )
        if found is None:
            raise HTTPException(410, "The view is not there any more.")
        return _json({"items": _placed(found)})

    def image(self, size: str, request: Request) -> Response:
        """An image in a size."""
        shown = self._session.thumbnails.get(self._item(request), size)
        if shown.reason is not None:
            return Response(shown.reason, 422, media_type="text/plain; charset=utf-8")
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(shown.data, media_type=shown.content_type, headers=headers)

    def details(self, request: Request) -> Response:
        """The result document of an image, and its decisions."""
        found = self._session.details(self._item(request))
        reason = (found["result"] or {}).get("reason") or {}
        known = REASONS.get(reason.get("code", ""))
        return _json(found | {"why": known.sentence if known else reason.get("message")})

    def _item(self, request: Request) -> ListedImage:
        item = self._session.listing.find(request.path_params["image"])
        if item is None:
            raise HTTPException(404, "There is no such image any more.")
        return item

    async def decide(self, request: Request) -> Response:
        """Make decisions."""
        document = await _body(request)
        sent = document.get("decisions")
        if not isinstance(sent, list) or not 0 < len(sent) <= MOST_DECISIONS:
            raise HTTPException(400, f"decisions is not a list of 1 to {MOST_DECISIONS}.")
        found = [_wanted(self._session, one) for one in sent]
        made = await run_in_threadpool(self._session.submit, found)
        return _json(
            {"decisions": [asdict(one) | {"item": _listed(one.item) if one.item else None} for one in made]}
        )

    async def claim(self, request: Request) -> Response:
        """Claim images for this reviewer; the claims of others."""
        document = await _body(request)
        sent = document.get("images")
        if not isinstance(sent, list) or len(sent) > MOST_ITEMS:
            raise HTTPException(400, f"images is not a list of at most {MOST_ITEMS}.")
        found = [item for one in sent if isinstance(one, str) and (item := self._session.listing.find(one))]

        def work() -> dict[str, str]:
            self._session.claims.hold([item.path for item in found])
            return self._session.claims.others()

        others = await run_in_threadpool(work)
        return _json(
            {"others": {item.inference_id: others[item.path] for item in found if item.path in others}}
        )

    def static(self, request: Request) -> Response:
        """A file of the page."""
        found = STATIC.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        package, name, kind = found
        return Response(files(package).joinpath(name).read_bytes(), media_type=f"{kind}; charset=utf-8")


class _WhileServing:
    """Marks the time in which the page waits for a response."""

    def __init__(self, application: ASGIApp, session: Session) -> None:
        self._application, self._session = application, session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._session.serving():
            await self._application(scope, receive, send)


def _wanted(session: Session, sent: Any) -> DecisionRequest:
    """A decision as the page sends it; HTTPException if it is none."""
    if not isinstance(sent, dict) or not isinstance(sent.get("image"), str):
        raise HTTPException(400, "A decision names no image.")
    seen, label = sent.get("seen"), sent.get("label")
    if not isinstance(sent.get("id"), str) or not isinstance(seen, str | None):
        raise HTTPException(400, "A decision has no id, or saw none.")
    if label is not None and not reviews.is_label(label):
        raise HTTPException(400, "A label has 1 to 256 visible characters on one line.")
    # The listing may not have reached an image that a page from before a restart decided on: its key comes along.
    item = session.listing.find(sent["image"])
    key = item.key if item else sent.get("key")
    if not isinstance(key, str) or not key.startswith(keys.INCOMING):
        raise HTTPException(400, "A decision is about an image that is not there.")
    return DecisionRequest(sent["id"], action_of(sent.get("action")), label, key, sent["image"], seen)


def _placed(found: list[tuple[ListedImage | None, GroupPosition]]) -> list[dict[str, Any] | None]:
    return [
        _listed(item) | {"begin": placed.begin, "size": placed.size} if item else None
        for item, placed in found
    ]


def _listed(item: ListedImage) -> dict[str, Any]:
    return {
        "id": item.inference_id,
        "key": item.key,
        "label": item.label,
        "confidence": item.confidence,
        "reason": item.reason,
        "decision": item.decision,
        "action": item.action,
        "by": item.by,
    }


async def _body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type") != "application/json":  # forms of other pages cannot send that
        raise HTTPException(415, "Send application/json.")
    try:
        document = json.loads(await request.body())
    except ClientDisconnect:  # what `AccessControl` makes of one that is too large
        raise HTTPException(413, f"It is larger than {MAX_BODY:,} bytes.") from None
    except (ValueError, RecursionError):
        raise HTTPException(400, "It is not JSON.") from None
    if not isinstance(document, dict):
        raise HTTPException(400, "It is not a JSON object.")
    return document


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise HTTPException(400, f"{name} is not a number.")
    return int(text)


def _json(document: Any) -> Response:
    # Keys may hold half a surrogate pair: escaped, they are JSON all the same.
    return Response(
        json.dumps(document, separators=(",", ":")),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _failed(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"message": getattr(error, "detail", "")}, status)


async def _rejected(_: Request, error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, 400)


class Server:
    """The page on a port of this machine; ``address`` opens it, once."""

    def __init__(self, session: Session, *, order: str = ORDERS[0]) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()  # who opens the address before `run` waits for it
        port = self._socket.getsockname()[1]
        token, base = secrets.token_urlsafe(32), f"/{secrets.token_urlsafe(16)}/"
        self.address = f"http://127.0.0.1:{port}{base}?token={token}"
        config = uvicorn.Config(
            AccessControl(application(session, order), port, token, base),
            **SERVER_OPTIONS,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM, or until `stop`."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End serving."""
        self._server.should_exit = True
