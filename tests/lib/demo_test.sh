#!/bin/bash
# The demo, as a person would run it: its last line counts what the data has, and nothing is left running or lying about.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

check() {
	if eval "$2"; then
		passed=$((passed + 1))
		echo "ok - $1"
	else
		failed=$((failed + 1))
		echo "not ok - $1"
	fi
}

mkdir "$work/tmp"
chmod 711 "$work" "$work/tmp"
status=0
TMPDIR=$work/tmp DATA= KEEP= "$top/demo/demo.sh" >"$work/out" 2>&1 || status=$?
cat "$work/out"
last=$(tail -n 1 "$work/out")
check 'the demo ends with success' '[ $status -eq 0 ]'
check 'its last line says that all was verified' '[[ $last =~ ^demo:\ [1-9][0-9]*\ records\ committed\ and\ verified\ on\ both\ sides,\ 1\ rejected,\ 1\ amended,\ 0\ failed$ ]]'
check 'its folder is gone' '[ -z "$(ls -A "$work/tmp")" ]'
check 'no process of it is left' '! pgrep -f "$work/tmp" >/dev/null'
check 'a folder that is not there is refused' '! DATA=$work/none "$top/demo/demo.sh" 2>/dev/null'
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
