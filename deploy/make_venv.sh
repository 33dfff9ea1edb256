#!/bin/sh
# Makes the Python environment from requirements.lock. `make setup` calls it; so may whoever deploys without make.
#   PYTHON=/path/to/python  VENV=.venv  deploy/make_venv.sh
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for name in python3 python3.13 python3.12 python3.11; do
        if new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
}

python=${PYTHON:-$(find_python)}
if [ -z "$python" ] || ! new_enough "$python"; then
    echo "herald needs Python 3.11 or newer; found: ${python:-none}." >&2
    echo 'On Debian: sudo apt install python3 python3-venv   (or choose one: make setup PYTHON=/path/to/python3)' >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$python cannot make environments, because its venv module is missing. This brings it:" >&2
    echo '    sudo apt install python3-venv' >&2
    exit 1
fi

echo "Making $venv with $("$python" --version): $(grep -c '^[a-zA-Z0-9].*==' requirements.lock) packages, once (a minute or two) …"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes -r requirements.lock
# Last, and in one step: an environment without this mark is made again.
cp requirements.lock "$venv/installed.lock.new"
mv "$venv/installed.lock.new" "$venv/installed.lock"
echo "$venv is ready."
