"""Dropsort compared with a plain three-function workflow, on one embedded AWS and one endpoint: ``python -m benchmarks.pipeline``.

Arms take turns, chunk by chunk, so that whatever else the machine does hits all of them. docs/performance.md says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import pipeline_alone, pipeline_arms, pipeline_report, pipeline_rounds
from benchmarks.pipeline_arms import Arm, Baseline, Ours
from benchmarks.pipeline_rounds import Round
from dropsort.contract.keys import INCOMING
from dropsort.contract.progress import OnStep
from dropsort.deployment import package
from dropsort.local.service import LocalService
from handlers import imaging
from handlers.rejections import Rejection
from training.dataset import samples

CHUNK = 25
CLIENTS = (1, 16)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument(
        "--images",
        default="200",
        metavar="N|DIR",
        help="drawn samples, or the first 200 images below a folder",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    try:
        images = load(options.images)
    except (OSError, ValueError) as error:
        print(f"benchmarks.pipeline: {error}", file=sys.stderr)
        return 2
    figures = measure(images, lambda text: print(text, file=sys.stderr, flush=True))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print(pipeline_report.text(figures))
    return 0


def load(where: str) -> list[bytes]:
    """Images: so many drawn ones, or up to 200 files of a folder, spread evenly over it.

    Raises
    ------
    ValueError
        The folder has no files, or the number is none.
    """
    if where.isdigit() and int(where):
        with tempfile.TemporaryDirectory() as folder:
            found = samples.drawn(Path(folder), int(where), seed=1).images
            return [Path(path).read_bytes() for path in sorted(found)]
    if not Path(where).is_dir():
        raise ValueError(f"{where} is neither a number of images nor a folder")
    files = sorted(path for path in Path(where).rglob("*") if path.is_file())
    if not files:
        raise ValueError(f"{where}: no files below it")
    step = max(1, len(files) // 200)
    return [path.read_bytes() for path in files[::step][:200]]


def measure(images: Sequence[bytes], on_step: OnStep) -> dict[str, Any]:
    """All figures of the bench, for JSON and for `pipeline_report.text`."""
    numbered = list(enumerate(images))
    rounds: dict[str, dict[str, Round]] = {}
    with LocalService() as service:
        arms: list[Arm] = [Ours(service), Baseline(service), Baseline(service, adapted=True)]
        for clients in CLIENTS:
            for arm in arms:
                pipeline_arms.make_cold(service, arm)
            # The first chunk of an arm is cold, and after it comes one that is not counted.
            for number, chunk in enumerate([numbered[:CHUNK], numbered[-CHUNK:], *chunks(numbered)]):
                temperature = ("cold", "settling")[number] if number < 2 else "warm"
                for arm in arms[number % 3 :] + arms[: number % 3]:
                    tag = f"bench-{clients}-{number}"
                    result = pipeline_rounds.run(service, arm, chunk, clients, tag)
                    key = f"{temperature} {clients}"
                    if temperature != "settling":
                        rounds.setdefault(arm.name, {}).setdefault(key, Round()).__iadd__(result)
                    on_step(f"{tag} {arm.name}: {result.rate:.1f} images/s")
        expected = {arm.name: [_prediction(service, _sent(arm, image)) for image in images] for arm in arms}
        figures: dict[str, Any] = {"images": len(images), "arms": {}}
        for arm in arms:
            figures["arms"][arm.name] = {
                key: _figures(result) | _judged(service, arm, result, expected[arm.name])
                for key, result in rounds[arm.name].items()
            }
        on_step("functions alone")
        figures["alone"] = _alone(service, arms[0], arms[1], images)
    on_step("imports")
    packages = package.build("host", package.CACHE)
    figures["imports"] = {
        arm: {part: vars(value) for part, value in parts.items()}
        for arm, parts in pipeline_alone.imports(packages, pipeline_arms.boto3_whole()).items()
    }
    return figures


def chunks(images: Sequence[tuple[int, bytes]]) -> list[Sequence[tuple[int, bytes]]]:
    """In parts of `CHUNK`."""
    return [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]


def _figures(result: Round) -> dict[str, Any]:
    return {
        "images": result.images,
        "images_per_second": result.rate,
        "p50_seconds": result.latency(0.5),
        "p95_seconds": result.latency(0.95),
        "cpu_milliseconds": result.cpu_seconds * 1000 / max(1, result.images),
        "endpoint_cpu_milliseconds": result.endpoint_cpu_seconds * 1000 / max(1, result.images),
    }


def _sent(arm: Arm, image: bytes) -> bytes:
    """What an arm sends to the endpoint for an image."""
    if not isinstance(arm, Ours):
        return image
    try:
        return imaging.prepare(image, side=256, max_pixels=100_000_000).data
    except Rejection:
        return b""


def _prediction(service: LocalService, image: bytes) -> list[float] | None:
    """The endpoint's own prediction for an image; None if it has none."""
    client = service.session().client("sagemaker-runtime")
    if not image:
        return None
    try:
        response = client.invoke_endpoint(
            EndpointName=service.outputs["EndpointName"], Body=image, ContentType="application/x-image"
        )
        return list(json.loads(response["Body"].read()))
    except client.exceptions.ModelError:
        return None


def _judged(
    service: LocalService, arm: Arm, result: Round, expected: Sequence[list[float] | None]
) -> dict[str, int]:
    """Counts: executions that failed and why, results written, images with the prediction of another one."""
    counts = {
        "below_threshold": 0,
        "lost": result.images - len(result.done),
        "written": 0,
        "other_prediction": 0,
        "other_class": 0,
    }
    s3 = service.session().client("s3")
    for done in result.done:
        if "THRESHOLD_CONFIDENCE_NOT_MET" in done.error:
            counts["below_threshold"] += 1
            continue
        if done.status != "SUCCEEDED":
            counts["lost"] += 1
            continue
        if isinstance(arm, Ours):
            document = json.loads(
                s3.get_object(Bucket=arm.bucket, Key=done.output["result_key"])["Body"].read()
            )
            counts["written"] += 1
            probabilities = list((document["probabilities"] or {}).values()) or None
        else:
            probabilities = json.loads(json.loads(done.output["body"])["inferences"])
        wanted = expected[done.index]
        if wanted is None or probabilities is None:
            counts["other_class"] += (wanted is None) != (probabilities is None)
            continue
        counts["other_prediction"] += any(
            abs(a - b) > 1e-4 for a, b in zip(wanted, probabilities, strict=True)
        )
        counts["other_class"] += _top(wanted) != _top(probabilities)
    return counts


def _top(probabilities: Sequence[float]) -> int:
    return max(range(len(probabilities)), key=probabilities.__getitem__)


def _alone(service: LocalService, ours: Arm, baseline: Arm, images: Sequence[bytes]) -> dict[str, float]:
    """Processor milliseconds per image of the functions alone, by arm: the median of three turns."""
    session = service.session()
    s3, functions = session.client("s3"), session.client("lambda")
    inputs: dict[str, list[dict[str, Any]]] = {ours.name: [], baseline.name: []}
    for index, image in enumerate(images):
        # Into a bucket that starts nothing.
        key = f"{INCOMING}alone/{index:05d}.png"
        put = s3.put_object(Bucket=baseline.bucket, Key=key, Body=image)
        s3_object = {
            "key": key,
            "size": len(image),
            "etag": put["ETag"].strip('"'),
            "sequencer": f"{index:016X}",
        }
        detail = {"bucket": {"name": baseline.bucket}, "object": s3_object}
        inputs[ours.name].append(
            {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "detail": detail}
        )
        inputs[baseline.name].append({"s3_bucket": baseline.bucket, "s3_key": key})
    taken: dict[str, list[float]] = {ours.name: [], baseline.name: []}
    for _ in range(3):
        for arm in (ours, baseline):
            environment = dict(service.environment)
            for name in arm.functions:
                environment |= functions.get_function_configuration(FunctionName=name)["Environment"][
                    "Variables"
                ]
            taken[arm.name].append(
                pipeline_alone.processor_milliseconds(arm.name, inputs[arm.name], environment)
            )
    return {name: sorted(values)[1] for name, values in taken.items()}


if __name__ == "__main__":
    sys.exit(main())
