#!/bin/bash
# Runs the TAP tests of a folder against what is built: prove.sh FOLDER [PROVE-ARGUMENT...]
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
folder=$1
shift
"$top/tests/lib/pgtree.sh" >/dev/null
make -s -C "$top/tests/flow"
make -s -C "$top/tests/flow" VARIANT="${VARIANT:-plain}"
exec prove --timer -I "$top/tests/lib" "$@" "$top/$folder"/*.pl
