#!/bin/sh
# Rewrites the lock files: every platform, Python 3.11 and later, with hashes, without index addresses.
# run.txt has the dependencies of pyproject.toml, dev.txt those and dev.in, the others what the *.in file of their name says.
# Needs uv (pip install uv). Run it from anywhere; extra arguments (say --upgrade) go to uv.
set -eu
cd "$(dirname "$0")"
lock() {
    output=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate -o "$output" "$@"
}
lock lambda.txt "$@" lambda.in
lock heic.txt --no-deps "$@" heic.in  # Pillow comes with lambda.txt
lock monitoring.txt "$@" monitoring.in
lock run.txt "$@" ../pyproject.toml
lock dev.txt "$@" ../pyproject.toml dev.in
lock embedded-aws.txt "$@" embedded-aws.in
