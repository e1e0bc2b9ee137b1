#!/bin/bash
# Finds Python 3.11 or 3.12 and makes the virtual environments with it.
#   include/local_stack/setup.sh airflow ml stack
#   PYTHON=/opt/python3.12/bin/python3 include/local_stack/setup.sh ml
# Runs on the bash 3.2 and the BSD tools of macOS.
set -u
cd "$(dirname "$0")/../.." || exit 1

suits() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    if ! suits "$PYTHON"; then
        echo "error: PYTHON=$PYTHON is $("$PYTHON" --version 2>&1 || true); expected Python 3.11 or 3.12" >&2
        exit 1
    fi
    python=$PYTHON
else
    python=
    for candidate in python3.11 python3.12 python3 python; do
        if suits "$candidate"; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "error: neither Python 3.11 nor 3.12 was found in PATH (python3 is $(python3 --version 2>&1 | head -n 1))." >&2
        echo "       Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2
        exit 1
    fi
fi
exec "$python" include/local_stack/environments.py "$@"
