#!/bin/sh
# Rewrites the lock files from the *.in files: every platform, Python 3.11 and later, with hashes, without index addresses.
# Needs uv (pip install uv). Run it from anywhere; extra arguments (say --upgrade) go to uv.
set -eu
cd "$(dirname "$0")"
for name in lambda monitoring run dev embedded-aws; do
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate "$@" "$name.in" -o "$name.txt"
done
