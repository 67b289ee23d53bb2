"""Videos of the demo upstream: jobs that run for some looks, scripted in the prompt or set from outside.

Hints: ``[[polls 3]]`` looks until it is over (1 unless said), ``[[delivers 7.5]]`` seconds delivered instead of those asked,
``[[no length]]`` the answer names none, ``[[fails content_policy]]``, ``[[state odd]]`` a state nobody knows instead of an end,
``[[expires 60]]`` seconds its file is kept. A model named demo-cut-before-output makes the job and hangs up; demo-500 and its
like fail as ever, demo-502 answers as a proxy that lost its server. ``POST /__videos {"id", ...}`` changes a job;
``GET /__videos`` lists them.
"""

import re
import time
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from aiohttp import web

from gateway.demo_upstream.script import error, failed_answer, hang_up, read

HINT = re.compile(r"\[\[(polls|delivers|fails|state|expires|no) ([\w.\-]{1,40})\]\]")
CONTENT = {
    "video": b"\x00\x00\x00\x18ftypmp42 demo video ",
    "thumbnail": b"RIFFdemo WEBP",
    "spritesheet": b"\xff\xd8demo sheet",
}
TYPES = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}


@dataclass
class Job:
    """One video. ``end``: the state it comes to after ``polls`` looks."""

    id: str
    model: str
    seconds: str
    size: str
    created_at: int
    polls: int = 1
    looks: int = 0
    end: str = "completed"
    code: str = ""
    kept: int = 3600
    fields: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        if self.looks >= self.polls:
            return self.end
        return "in_progress" if self.looks else "queued"

    def told(self) -> dict[str, Any]:
        is_done = self.status == "completed"
        body: dict[str, Any] = {
            "id": self.id,
            "object": "video",
            "model": self.model,
            "status": self.status,
            "progress": 100 if is_done else min(99, 100 * self.looks // max(self.polls, 1)),
            "created_at": self.created_at,
            "size": self.size,
        }
        if self.seconds:
            body["seconds"] = self.seconds
        if is_done:
            body |= {"completed_at": int(time.time()), "expires_at": self.created_at + self.kept}
        if self.status == "failed":
            body["error"] = {"code": self.code, "message": "The demo upstream made no video, as asked."}
        return body


JOBS: web.AppKey[dict[str, Job]] = web.AppKey("jobs", dict)


def add_to(app: web.Application) -> None:
    app[JOBS] = {}
    app.router.add_post("/v1/videos", create)
    app.router.add_get("/v1/videos/{id}", look)
    app.router.add_get("/v1/videos/{id}/content", content)
    app.router.add_delete("/v1/videos/{id}", delete)
    app.router.add_get("/__videos", jobs)
    app.router.add_post("/__videos", change)


async def create(request: web.Request) -> web.StreamResponse:
    _, body, script = await read(request)
    if script.model == "demo-502":
        return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")
    if (failed := await failed_answer(script, request)) is not None:
        return failed
    hints = dict(HINT.findall(str(body.get("prompt", ""))))
    job = Job(
        id=f"video_demo{len(request.app[JOBS]) + 1:06d}",
        model=script.served_as,
        seconds=hints.get("delivers") or ("" if "no" in hints else str(body.get("seconds") or body.get("duration") or "4")),
        size=str(body.get("size") or body.get("resolution") or "720x1280"),
        created_at=int(time.time()),
        polls=int(hints.get("polls", 1)),
        kept=int(hints.get("expires", 3600)),
        fields={name: value for name, value in body.items() if name != "prompt"},
    )
    if "fails" in hints:
        job.end, job.code = "failed", hints["fails"]
    job.end = hints.get("state", job.end)
    request.app[JOBS][job.id] = job
    if script.model == "demo-cut-before-output":
        hang_up(request)
    return _json(job.told())


async def look(request: web.Request) -> web.Response:
    job = _job(request)
    if job is None:
        return error(404, "The demo upstream has no such video.", "not_found")
    job.looks += 1
    return _json(job.told())


async def content(request: web.Request) -> web.Response:
    job, variant = _job(request), request.query.get("variant", "video")
    if job is None or job.status != "completed" or job.created_at + job.kept <= time.time():
        return error(404, "The demo upstream keeps no such file.", "not_found")
    return web.Response(body=CONTENT[variant] + job.id.encode(), content_type=TYPES[variant])


async def delete(request: web.Request) -> web.Response:
    job = request.app[JOBS].pop(request.match_info["id"], None)
    if job is None:
        return error(404, "The demo upstream has no such video.", "not_found")
    return _json({"id": job.id, "deleted": True, "object": "video.deleted"})


async def jobs(request: web.Request) -> web.Response:
    return _json([asdict(job) for job in request.app[JOBS].values()])


async def change(request: web.Request) -> web.Response:
    asked = await request.json()
    job = request.app[JOBS][str(asked.pop("id"))]
    for name, value in asked.items():
        setattr(job, name, value)
    return _json(asdict(job))


def _job(request: web.Request) -> Job | None:
    return request.app[JOBS].get(request.match_info["id"])


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
