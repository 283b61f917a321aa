"""Every socket that the service listens on: on this machine only, and behind the gate."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from dropsort.local.service import LocalService
from tests.processes import children_of
from tests.stack.helpers import find_result, sample_image

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
LISTENING = "0A"


def inodes(processes: set[int]) -> set[str]:
    """Inodes of the sockets that processes have open."""
    found = set()
    for process in processes:
        for link in Path(f"/proc/{process}/fd").glob("*"):
            try:
                name = os.readlink(link)
            except OSError:
                continue
            if name.startswith("socket:["):
                found.add(name[8:-1])
    return found


def listening(processes: set[int]) -> list[tuple[str, str, int]]:
    """Kind, address and port of everything that processes listen on or receive datagrams at."""
    own, found = inodes(processes), []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in own and (fields[3] == LISTENING or kind.startswith("udp")):
                address, port = fields[1].split(":")
                size = socket.AF_INET6 if len(address) > 8 else socket.AF_INET
                raw = b"".join(bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8))
                found.append((kind, socket.inet_ntop(size, raw), int(port, 16)))
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[6] in own and int(fields[3], 16) & 0x10000:  # accepts connections
            found.append(("unix", fields[7] if len(fields) > 7 else "", 0))
    return found


def test_the_list_shows_what_listens() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        assert ("tcp", *one.getsockname()) in listening({os.getpid()})


def test_every_socket_is_on_this_machine_and_behind_the_gate(service: LocalService, s3: Any) -> None:
    # GIVEN a service with warm functions
    s3.put_object(Bucket=service.bucket, Key="incoming/sockets.png", Body=sample_image(5))
    find_result(s3, service.bucket, "incoming/sockets.png")
    # WHEN the sockets of all its processes are listed
    found = listening(set(children_of(os.getpid())))
    # THEN there are two, on this machine
    ports = {int(url.rpartition(":")[2]) for url in (service.endpoint_url, service.runtime_url)}
    assert {(kind, address) for kind, address, _ in found} == {("tcp", "127.0.0.1")}
    assert {port for _, _, port in found} == ports
    # AND neither serves what is not signed, or comes from elsewhere, or shows pages anything
    for port in ports:
        for method, path, headers in (
            ("GET", "/", {}),
            ("POST", "/_ministack/reset", {}),
            ("POST", "/flush", {}),
            ("POST", f"/endpoints/{service.outputs['EndpointName']}/invocations", {}),
            ("OPTIONS", "/", {"Origin": "http://elsewhere", "Access-Control-Request-Method": "PUT"}),
            ("GET", "/_ministack/ready", {"Origin": "http://elsewhere"}),
            ("GET", "/ping", {"Sec-Fetch-Site": "cross-site"}),
            ("GET", "/ping", {"Host": f"rebound.example:{port}"}),
            ("GET", "/ping", {"Host": "127.0.0.1:1"}),
            ("GET", "/", {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                          "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}),
        ):  # fmt: skip
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            assert response.status in (400, 403), (port, method, path, headers)
            assert not [
                name for name, _ in response.getheaders() if name.lower().startswith("access-control")
            ]
