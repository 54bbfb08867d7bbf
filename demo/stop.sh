#!/bin/bash
# Stops what make demo KEEP=1 left running, and removes its folder: stop.sh FOLDER
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:?usage: stop.sh FOLDER}
[ -f "$folder/pids" ] || { echo "stop: $folder is no folder of a kept demo" >&2; exit 2; }
xargs kill <"$folder/pids" 2>/dev/null
bin=$("$top/tests/lib/pgtree.sh")
run=()
[ "$(id -u)" -ne 0 ] || run=(setpriv --reuid postgres --regid postgres --init-groups)
cd /
"${run[@]}" "$bin/pg_ctl" -D "$folder/data" -m fast -s stop
rm -rf "$folder"
