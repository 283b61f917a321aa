"""The process of the embedded endpoint: ``python -m dropsort.local.serve CONFIG``, ended by SIGTERM.

CONFIG is a JSON file that :class:`dropsort.local.endpoint_process.EmbeddedEndpoint` writes. Everything that was served is
captured before the process ends.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from dropsort.local import credentials
from dropsort.local.capture import CaptureWriter, PutObject
from dropsort.local.container import container
from dropsort.local.endpoint import Endpoint
from dropsort.local.endpoint_config import DataCaptureConfig
from dropsort.local.gate import Gate


def main(config: dict[str, Any]) -> None:
    """Serve until SIGTERM."""
    import uvicorn

    from dropsort.local.protocol import SERVER_OPTIONS

    secrets, port = credentials.read(Path(config["credentials"])), int(config["port"])
    writer = None
    if config["capture"]:
        capture = DataCaptureConfig(**config["capture"])
        put = bucket_put(capture.bucket, config["aws_url"], config["region"], secrets)
        writer = CaptureWriter(capture, config["name"], config["variant"], put)
    endpoint = Endpoint(
        config["name"],
        config["variant"],
        container(Path(config["model"])),
        account=config["account"],
        log=config["log"],
        capture=writer,
        percentage=config["capture"]["percentage"] if config["capture"] else 0,
        threads=config["threads"],
    )
    # uvicorn ends in order at SIGTERM and then raises it once more: that one must find us still here.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        Gate(endpoint, port, secrets.secret_of, "/ping", lambda nonce: secrets.proof(port, nonce)),
        host=config["host"],
        port=port,
        timeout_keep_alive=75,
        **SERVER_OPTIONS,
    )
    if writer:
        writer.close()
        if writer.lost:
            print(f"{writer.lost} captured requests were lost. {writer.trouble}", file=sys.stderr)


def bucket_put(bucket: str, url: str, region: str, secrets: credentials.Credentials) -> PutObject:
    """A function that writes objects into a bucket."""
    from obstore.store import S3Store

    store = S3Store(
        bucket,
        endpoint=url,
        access_key_id=secrets.access_key_id,
        secret_access_key=secrets.secret_access_key,
        region=region,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=10)},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=5)},
    )
    return store.put


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
