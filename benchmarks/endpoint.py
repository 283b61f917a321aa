"""The embedded endpoint against a bare ONNX Runtime loop and against eager torch: ``python -m benchmarks.endpoint``.

Three ways to the same predictions for the same images, in one run, taking turns; the median round of each counts:

- `loop`: one process, one thread, nothing but decode and run;
- `endpoint`: the embedded endpoint as a process of its own, called over HTTP by a few clients with persistent connections;
- `torch`: the same two networks in eager torch, one thread, batches of one. Left out where torch is not installed.

Without `--images` it draws images. The last line has the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from dropsort.local.clients import signed_request
from dropsort.local.endpoint_config import EndpointConfig
from dropsort.local.endpoint_process import EmbeddedEndpoint
from training import inference
from training.dataset import samples
from training.evaluation import held_out

NAME = "bench"
TARGETS = {"endpoint/loop": 0.7, "endpoint/torch": 4.0}
EndpointArm = Callable[[list[bytes]], None]


def loop(model: Path) -> EndpointArm:
    """Decode and run, one image after another."""
    loaded = inference.load(model)

    def run(images: list[bytes]) -> None:
        for data in images:
            loaded.session.run(None, {"images": inference.decode(data)[None]})

    return run


@contextlib.contextmanager
def endpoint(model: Path, clients: int) -> Iterator[EndpointArm]:
    """Ask the embedded endpoint, `clients` at a time."""

    def request(images: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        headers = {"Content-Type": "application/x-image", "Accept": inference.VERBOSE}
        for data in images:
            path = f"/endpoints/{NAME}/invocations"
            signed = signed_request(served.credentials, "POST", served.url + path, data, headers)
            connection.request("POST", path, data, dict(signed.header_items()))
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"the endpoint returned {response.status}: {body[:200]!r}")
        connection.close()

    def run(images: list[bytes]) -> None:
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(request, [images[i::clients] for i in range(clients)]))

    with tempfile.TemporaryDirectory() as folder:
        served = EmbeddedEndpoint(
            model, Path(folder), NAME, EndpointConfig(variant="AllTraffic", capture=None)
        )
        served.start()
        try:
            yield run
        finally:
            served.stop()


def eager(classes: int) -> EndpointArm | None:
    """The same in torch: image and mirror image through the network, the image through the reference network, shared
    blocks once. None without torch."""
    try:
        import torch

        from training.model.network import Network
    except ImportError:
        return None
    torch.set_num_threads(1)
    network, reference = (Network("efficientnet-lite0", classes).eval() for _ in range(2))
    side, shared = network.spec.side, network.spec.frozen

    def late(body: torch.nn.Module, maps: torch.Tensor) -> torch.Tensor:
        for block in body._blocks[shared:]:  # type: ignore[index,union-attr,unused-ignore]
            maps = block(maps)
        return body._swish(body._bn1(body._conv_head(maps))).mean((2, 3))  # type: ignore[operator,unused-ignore]

    @torch.no_grad()
    def run(images: list[bytes]) -> None:
        for data in images:
            image = Image.fromarray(inference.decode(data)).resize((side, side), Image.Resampling.BICUBIC)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
            pixels = torch.cat([pixels, pixels.flip(3)])
            body = network.body
            maps = body._swish(body._bn0(body._conv_stem(network.normalise(pixels))))  # type: ignore[operator,unused-ignore]
            for block in body._blocks[:shared]:  # type: ignore[index,union-attr,unused-ignore]
                maps = block(maps)
            network.head(late(body, maps).mean(0, keepdim=True)).softmax(1)
            late(reference.body, maps[:1])

    return run


def measure(arms: dict[str, EndpointArm], images: list[bytes], rounds: int) -> dict[str, float]:
    """Images per second of each arm: the median of `rounds`, the arms taking turns."""
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for run in arms.values():
        run(images[:20])
    for number in range(rounds):
        for name, run in arms.items():
            part = images[: max(20, len(images) // 4)] if name == "torch" else images
            started = time.perf_counter()
            run(part)
            rates[name].append(len(part) / (time.perf_counter() - started))
        print(f"round {number + 1}: " + ", ".join(f"{n} {r[-1]:.0f}/s" for n, r in rates.items()), flush=True)
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--model", type=Path, default=Path("models/bikes"))
    options.add_argument("--images", type=Path, help="folder of images; drawn ones without it")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--clients", type=int, default=4)
    options.add_argument("--json", type=Path)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.images:
            paths = [p.path for p in held_out.unlabelled(arguments.images)]
        else:
            paths = samples.drawn(Path(folder), 200).images
        images = [path.read_bytes() for path in paths]
    with endpoint(arguments.model, arguments.clients) as client:
        arms = {"loop": loop(arguments.model), "endpoint": client}
        torch_arm = eager(len(inference.load(arguments.model).labels))
        if torch_arm is None:
            print("torch is not installed: without it (pip install '.[train]')")
        else:
            arms["torch"] = torch_arm
        rates = measure(arms, images, arguments.rounds)
    ratios = {
        name: rates["endpoint"] / rates[name.split("/")[1]] for name in TARGETS if name.split("/")[1] in rates
    }
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"images": len(images), "per_second": rates, "ratios": ratios}, indent=2)
        )
    print("images per second: " + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()))
    print(
        "ratios: "
        + ", ".join(f"{name} {ratio:.2f} (target {TARGETS[name]})" for name, ratio in ratios.items())
    )


if __name__ == "__main__":
    main()
