#!/bin/sh
# Writes C that holds the numbered migrations given as arguments, so that the program can bring up a database without any file beside it.
set -eu
echo '#include "migrate.h"'
echo 'const Migration migrations[] = {'
for file in "$@"; do
	base=$(basename "$file" .sql)
	number=${base%%_*}
	name=${base#*_}
	printf '\t{%d, "%s",\n' "$(printf '%s' "$number" | sed 's/^0*//')" "$name"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t\t"/' -e 's/$/\\n"/' "$file"
	printf '\t},\n'
done
echo '	{0, NULL, NULL}'
echo '};'
