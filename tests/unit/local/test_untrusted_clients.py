"""A page in a browser and another user of the machine get nothing; without the gate they get everything."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import shutil
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest
from botocore.exceptions import ClientError

from dropsort.contract.resources import DEFAULT_MODEL
from dropsort.local.embedded import EmbeddedAws
from dropsort.local.endpoint_config import EndpointConfig
from dropsort.local.endpoint_process import EmbeddedEndpoint
from dropsort.local.errors import StartError
from dropsort.local.folder import ServiceFolder
from tests import needs
from tests.unit.local.untrusted_clients import Ungated, as_another_user, open_page, read_page

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
ALLOW = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
)


class Target:
    """An embedded AWS with a bucket and a function."""

    def __init__(self, aws: EmbeddedAws, folder: Path) -> None:
        self.aws, self.folder, self.trace = aws, folder, folder / "has-run"
        session = aws.session()
        self.s3, self.functions = session.client("s3"), session.client("lambda")
        self.s3.create_bucket(Bucket="pictures")
        self.s3.put_object(Bucket="pictures", Key="secret", Body=b"a secret picture")
        iam = session.client("iam")
        self.role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.put_role_policy(RoleName="worker", PolicyName="all", PolicyDocument=ALLOW)
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as content:
            content.writestr("index.py", f"def handler(*_):\n    open({str(self.trace)!r}, 'w').close()\n")
        self.function = self.functions.create_function(
            FunctionName="worker",
            Runtime="python3.11",
            Handler="index.handler",
            Role=self.role,
            Code={"ZipFile": code.getvalue()},
        )["FunctionArn"]

    def untouched(self) -> bool:
        """Whether everything is as it was, and nothing was run."""
        try:
            listing = self.s3.list_objects_v2(Bucket="pictures").get("Contents", [])
            body = self.s3.get_object(Bucket="pictures", Key="secret")["Body"].read()
            names = [item["FunctionName"] for item in self.functions.list_functions()["Functions"]]
            queues = self.aws.session().client("sqs").list_queues().get("QueueUrls", [])
        except ClientError:
            return False
        return (
            [item["Key"] for item in listing] == ["secret"]
            and body == b"a secret picture"
            and names == ["worker"]
            and not queues
            and not self.trace.exists()
        )


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every user of the machine can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def gated(embedded_python: Path) -> Iterator[Target]:
    """A target in the folder of a service, as the service starts it; each test leaves it untouched."""
    with public_folder() as public:
        folder = ServiceFolder(public / "data")
        folder.prepare()
        aws = EmbeddedAws(embedded_python, folder.aws, secrets=folder.credentials)
        aws.start()
        yield Target(aws, folder.path)
        aws.stop()
        folder.release()


@pytest.fixture(scope="module")
def open_aws(embedded_python: Path) -> Iterator[EmbeddedAws]:
    """An embedded AWS without the gate."""
    with public_folder() as public:
        aws = Ungated(embedded_python, public)
        aws.start()
        yield aws
        aws.stop()


@pytest.fixture
def ungated(open_aws: EmbeddedAws) -> Iterator[Target]:
    """A target without the gate, for one test, after which everything is reset."""
    with public_folder() as folder:
        yield Target(open_aws, folder)
        urllib.request.urlopen(urllib.request.Request(f"{open_aws.url}/_ministack/reset", method="POST"))


# A page of this machine, and one of the public internet, as far as the browser knows.
PAGES = [
    pytest.param("127.0.0.1", (), id="local-address-space"),
    pytest.param(
        "public.test", ("--ip-address-space-overrides=127.0.0.1:{port}=public",), id="public-address-space"
    ),
]


@pytest.mark.parametrize(("host", "flags"), PAGES)
def test_a_page_in_a_browser_gets_nothing(gated: Target, host: str, flags: tuple[str, ...]) -> None:
    # WHEN a page does what it can
    found = open_page(gated.aws.url, host, *flags)
    # THEN it reads nothing, and nothing has happened
    assert found
    assert {
        name: seen for name, seen in found.items() if seen != "blocked" and not seen.startswith("0 opaque")
    } == {}
    assert gated.untouched()


@pytest.mark.parametrize(("host", "flags"), PAGES)
def test_without_the_gate_a_page_reads_runs_and_resets(
    ungated: Target, host: str, flags: tuple[str, ...]
) -> None:
    found = open_page(ungated.aws.url, host, *flags, until=lambda: not ungated.s3.list_buckets()["Buckets"])
    if not flags:  # some browsers keep public pages from reading, none keeps them from sending a form
        assert found["functions"].startswith("200 cors")
        assert found["run"].startswith("200 cors")
        assert ungated.trace.exists()
    assert not ungated.s3.list_buckets()["Buckets"]  # the form has reset everything


def test_a_name_that_was_rebound_to_this_machine_is_not_served(gated: Target) -> None:
    # WHEN a browser is made to take this machine for a page's own server
    page = read_page(f"http://rebound.test:{gated.aws.port}/_ministack/ready")
    # THEN it sees nothing
    assert "Host is not this service's address" in page
    assert "completed" not in page


def test_without_the_gate_a_rebound_name_is_served(ungated: Target) -> None:
    assert "completed" in read_page(f"http://rebound.test:{ungated.aws.port}/_ministack/ready")


OTHER_USER = """
folder, port, key = sys.argv[1], int(sys.argv[2]), sys.argv[3]
found = {}

def read(name, path):
    try:
        found[name] = repr(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(40))
    except OSError as error:
        found[name] = type(error).__name__

def call(name, method, path, service="", body=b""):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    signature = f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    connection.request(method, path, body, {"Authorization": signature} if service else {})
    found[name] = connection.getresponse().status

read("folder", folder)
for name in ("credentials.json", "aws", "aws/s3", "aws/embedded-aws.log", "lock"):
    read(name, os.path.join(folder, name))
for path in glob.glob("/proc/[0-9]*"):
    try:
        if os.stat(path).st_uid != os.getuid():
            open(path + "/environ", "rb").read()
            found["environ " + path] = "read"
    except OSError:
        pass
call("list", "GET", "/pictures", "s3")
call("read", "GET", "/pictures/secret")
call("write", "PUT", "/pictures/planted", "s3", b"x")
call("functions", "GET", "/2015-03-31/functions", "lambda")
call("run", "POST", "/2015-03-31/functions/worker/invocations", "lambda", b"{}")
call("reset", "POST", "/_ministack/reset")
call("code", "GET", "/_ministack/lambda-code/000000000000/us-east-1/worker")
call("state", "GET", "/_ministack/health")
print(json.dumps(found))
"""


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        needs.lacking("other-user", f"this is user {os.geteuid()}")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("key", ["test", "000000000000", ""])
def test_another_user_of_the_machine_gets_nothing(gated: Target, key: str) -> None:
    # WHEN another user reads the folder and sends requests
    found = as_another_user(OTHER_USER, str(gated.folder), str(gated.aws.port), key)
    # THEN no file is read, and no request served
    files = {found.pop(name) for name in list(found) if not isinstance(found[name], int)}
    assert files == {"PermissionError"}
    assert set(found.values()) <= {400, 403}
    assert gated.untouched()


@pytest.mark.usefixtures("root")
def test_without_the_gate_another_user_reads_runs_and_resets(ungated: Target) -> None:
    found = as_another_user(OTHER_USER, str(ungated.folder), str(ungated.aws.port), "test")
    assert found["list"] == found["functions"] == found["run"] == found["reset"] == 200
    assert ungated.trace.exists()
    assert not ungated.untouched()


def derived(target: Target) -> Any:
    """A client with the credentials that ministack itself derives from the names of function and role."""
    digest = hashlib.sha256(f"{target.function}:{target.role}".encode()).hexdigest()
    return boto3.client(
        "s3",
        endpoint_url=target.aws.url,
        region_name="us-east-1",
        aws_access_key_id=f"ASIA{digest[:16].upper()}",
        aws_secret_access_key=hashlib.sha256(f"secret:{digest}".encode()).hexdigest(),
        aws_session_token=hashlib.sha256(f"token:{digest}".encode()).hexdigest(),
    )


def invoked(target: Target) -> None:
    """Have the function run once."""
    target.functions.get_waiter("function_active_v2").wait(FunctionName="worker")
    target.functions.invoke(FunctionName="worker")
    deadline = time.monotonic() + 120
    while not target.trace.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    target.trace.unlink()


def test_credentials_of_a_function_cannot_be_worked_out(gated: Target) -> None:
    invoked(gated)
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        derived(gated).get_object(Bucket="pictures", Key="secret")


def test_without_the_gate_they_can(ungated: Target) -> None:
    invoked(ungated)
    assert derived(ungated).get_object(Bucket="pictures", Key="secret")["Body"].read() == b"a secret picture"


def test_administration_of_the_emulator_is_not_served_to_owners_either(gated: Target) -> None:
    # GIVEN the right credentials
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    secrets = gated.aws.credentials
    for method, path in (
        ("POST", "/_ministack/reset"),
        ("POST", "/%5Fministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_ministack/health"),
        ("GET", "/_localstack/health"),
        ("GET", "/health"),
        ("POST", "/_ministack/ready"),
    ):
        request = AWSRequest(method, gated.aws.url + path)
        key = Credentials(secrets.access_key_id, secrets.secret_access_key)
        SigV4Auth(key, "lambda", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", gated.aws.port, timeout=20)
        # WHEN it is called
        connection.request(method, path, headers=dict(request.headers))
        response = connection.getresponse()
        # THEN it is not there
        assert (response.status, b"is not served" in response.read()) == (403, True), path
    assert gated.untouched()


class Impostor(BaseHTTPRequestHandler):
    """The server of another user, who was faster to listen on the port: it responds 200 to everything."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(200)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("part", ["embedded AWS", "embedded endpoint"])
def test_who_was_faster_to_listen_on_the_port_is_not_taken_for_the_service(
    embedded_python: Path, tmp_path: Path, part: str
) -> None:
    # GIVEN a port that is taken between its choice and the start
    started: EmbeddedAws | EmbeddedEndpoint
    if part == "embedded AWS":
        started = EmbeddedAws(embedded_python, tmp_path)
    else:
        started = EmbeddedEndpoint(DEFAULT_MODEL, tmp_path, "dropsort", EndpointConfig("AllTraffic", None))
    server = ThreadingHTTPServer(("127.0.0.1", started.port), Impostor)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        # WHEN the service is started THEN that is an error
        with pytest.raises(StartError, match="ended while starting"):
            started.start()
    finally:
        started.stop()
        server.shutdown()
        server.server_close()
    # AND nothing was sent there but requests whether it is ready
    assert set(Impostor.seen) <= {"/_ministack/ready", "/ping"}
