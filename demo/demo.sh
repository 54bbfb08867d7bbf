#!/bin/bash
# make demo: the storing flow on real FHIR data. DATA=DIR takes a folder of FHIR bundles (*.json) or NDJSON files,
# one patient a file; KEEP=1 leaves everything running and says how to look around.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
data=${DATA:-$top/tests/data/fhir}
[ -d "$data" ] || { echo "demo: $data is no folder" >&2; exit 2; }
exec perl -I "$top/tests/lib" "$top/demo/demo.pl" "$(cd "$data" && pwd)"
