"""What goes in and out, as the OpenAPI document describes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gpenvid.server.service.problems import ProblemDetail
from gpenvid.server.service.runner import Live, result_name
from gpenvid.server.service.store import Job
from gpenvid.settings import Mask

JobState = Literal["queued", "running", "paused", "done", "failed", "cancelled"]


def _numbers(value: object) -> object:
    # Fields of a form are texts: 1,3.
    return [v for v in value.split(",") if v.strip()] if isinstance(value, str) else value


People = Annotated[list[Annotated[int, Field(ge=0, le=1_000_000)]], BeforeValidator(_numbers), Field(max_length=1000)]


class PictureOptions(BaseModel):
    """How faces are restored. All are optional."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str | None = Field(None, max_length=100, description="A name of `GET /v1/models`; by default the first of them.")
    strength: float = Field(1.0, ge=0, le=1, description="Share of the change that is applied.")
    color: Literal["source", "restored"] = Field("source", description="Whose low frequencies to keep; `source` prevents tint.")
    grain: float = Field(0.0, ge=0, le=1, description="Share of the source's own fine noise that is put back on restored faces.")
    mask: Mask = Field("ellipse", description="What of a face is changed: `ellipse`, hairline to under the chin, or `hull`, brows to chin.")


class JobOptions(PictureOptions):
    """How a file is restored and encoded. All are optional; the encoder's are for videos only."""

    deflicker: bool = Field(True, description="Average the change over neighbouring frames where the face looks the same.")
    only: People = Field(default_factory=list, description="Restore these people only, by track number. In a form: `1,3`.")
    exclude: People = Field(default_factory=list, description="Leave these people as they are, by track number. In a form: `2`.")
    codec: str | None = Field(None, pattern="^[a-z0-9_]{1,20}$", description="`h264`, `h265`, `av1`, `vp9`, `ffv1`, `prores`, `dnxhr`.")
    crf: float | None = Field(None, ge=0, le=63, description="Quality of the encoder, lower is better.")
    preset: str | None = Field(None, pattern="^[a-z0-9]{1,20}$", description="Speed of the encoder, such as `medium`.")
    start: float | None = Field(None, ge=0, le=1e7, description="Begin here, in seconds from the first frame.")
    end: float | None = Field(None, gt=0, le=1e7, description="End here, in seconds from the first frame.")
    deinterlace: bool = Field(False, description="Make interlaced frames progressive.")
    strict: bool = Field(False, description="Fail where something of the source cannot be kept.")


class PathJob(JobOptions):
    """A job for a file that is already on the server."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"path": "reels/interview.mp4", "strength": 0.8}]})

    path: str = Field(min_length=1, max_length=4096, description="Path under the media root, with `/`.")


class Progress(BaseModel):
    """How far a running job is."""

    stage: str = Field(description="`starting`, `analyse`, `render`, `restore` (pictures) or `assemble`.")
    done: int = Field(description="Frames of the stage that are done.")
    total: int = Field(description="Frames of the stage; 0 where unknown.")
    faces: int = Field(description="Faces restored in this stage.")
    notes: list[str] = Field(description="Sentences for people, the last 20.")


class JobAnswer(BaseModel):
    """A job."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "3f8b1a60c1d94c5e9f5f6a7c02b4d11e",
                    "name": "interview.mp4",
                    "kind": "video",
                    "frames": 150,
                    "state": "running",
                    "media": None,
                    "options": {"strength": 0.8},
                    "created": "2026-01-05T10:00:00Z",
                    "started": "2026-01-05T10:00:01Z",
                    "finished": None,
                    "progress": {"stage": "render", "done": 48, "total": 150, "faces": 48, "notes": []},
                    "report": None,
                    "result": None,
                    "error": None,
                }
            ]
        }
    )

    id: str
    name: str = Field(description="What the client called the source.")
    kind: Literal["video", "still"]
    frames: int = Field(description="As its container says, 0 where it does not.")
    state: JobState
    media: str | None = Field(description="Path under the media root; null for uploads.")
    options: dict[str, Any]
    created: datetime
    started: datetime | None
    finished: datetime | None
    progress: Progress | None = Field(description="While it runs.")
    report: dict[str, Any] | None = Field(
        description="Once it is done: what `--report` writes. Null if the server was killed in the moment it was finished."
    )
    result: ResultAnswer | None = Field(description="Once it is done.")
    error: ProblemDetail | None = Field(description="Once it failed.")


class ResultAnswer(BaseModel):
    """The file that a job made."""

    name: str
    bytes: int
    href: str = Field(description="Where it is downloaded from.")


class JobList(BaseModel):
    """Jobs, newest first, without their reports."""

    jobs: list[JobAnswer]
    queued: int = Field(description="Jobs that wait, in all.")


class ModelList(BaseModel):
    """Restorers that clients may choose."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"models": ["gpen-lite-256"], "default": "gpen-lite-256"}]})

    models: list[str]
    default: str


class Health(BaseModel):
    """Whether the service does its work."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok", "version": "0.1.0"}]})

    status: Literal["ok", "stopping", "broken"]
    version: str


def job_answer(job: Job, live: Live | None) -> JobAnswer:
    """A job as clients see it."""
    done = job.state == "done"
    return JobAnswer(
        id=job.id,
        name=job.name,
        kind="still" if job.kind == "still" else "video",
        frames=job.frames,
        state="cancelled" if job.state == "deleting" else job.state,
        media=job.media or None,
        options=job.settings,
        created=_time(job.created),
        started=None if job.started is None else _time(job.started),
        finished=None if job.finished is None else _time(job.finished),
        progress=None
        if live is None or job.state != "running"
        else Progress(stage=live.stage, done=live.done, total=live.total, faces=live.faces, notes=list(live.notes)),
        report=job.report,
        result=ResultAnswer(name=result_name(job), bytes=job.bytes, href=f"/v1/jobs/{job.id}/result") if done else None,
        error=None if job.error is None else ProblemDetail(**job.error),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
