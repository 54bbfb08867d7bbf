#!/bin/bash
# make demo: an act of the demo on real FHIR data; ACT=store, the storing flow, unless said otherwise. DATA=DIR takes a folder of FHIR
# bundles (*.json) or NDJSON files, one patient a file; KEEP=1 leaves everything running and
# says how to look around.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
act=${ACT:-store}
data=${DATA:-$top/tests/data/fhir}
[ -f "$top/demo/$act.pl" ] || { echo "demo: there is no act \"$act\"" >&2; exit 2; }
[ -d "$data" ] || { echo "demo: $data is no folder" >&2; exit 2; }
exec perl -I "$top/tests/lib" -I "$top/demo" "$top/demo/$act.pl" "$(cd "$data" && pwd)"
