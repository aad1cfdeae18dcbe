#!/usr/bin/env bash
# Runs the functions on Spin (4.1 or later), with the launch flags that belong to spin.toml and runtime-config.toml.
# Build them first: `spin build`, or `cargo xtask build --functions`. Arguments are passed on to `spin up`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! command -v spin >/dev/null; then
    echo "error: spin is not on the PATH; this script runs the functions on it. Install Spin 4.1 or later (spinframework.dev), or use \`cargo xtask up\`, which needs none" >&2
    exit 1
fi

# The tokens that functions and bridge show each other, drawn once; `cargo xtask up` and docker/compose.yaml use the same.
secrets=.wiber/secrets.env
mkdir -p .wiber
if [[ ! -e $secrets ]]; then
    token() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
    outbox=$(token) query=$(token)
    (umask 077 && cat >"$secrets.part") <<END
WIBER_OUTBOX_TOKEN=$outbox
WIBER_QUERY_TOKEN=$query
SPIN_VARIABLE_OUTBOX_TOKEN=$outbox
SPIN_VARIABLE_QUERY_TOKEN=$query
END
    mv "$secrets.part" "$secrets"
fi
# A variable that is set already wins over the file.
while IFS='=' read -r name value; do
    if [[ $name == SPIN_VARIABLE_* && ! -v $name ]]; then export "$name=$value"; fi
done <"$secrets"

listen=(--listen 127.0.0.1:8000)
# Spin makes an instance whenever none at work can take a request at that moment, and keeps each for a second. Each would
# commit alone then; few that soon end share their commits (guides/performance.md).
idle=(--idle-instance-timeout 1ms)
for argument in "$@"; do
    case $argument in
    --listen | --listen=*) listen=() ;;
    --idle-instance-timeout | --idle-instance-timeout=*) idle=() ;;
    esac
done
exec spin up "${listen[@]}" "${idle[@]}" --runtime-config-file runtime-config.toml "$@"
