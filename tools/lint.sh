#!/bin/bash
# Warnings of both compilers as errors, cppcheck and clang-tidy over all C sources.
set -eu
cd "$(dirname "$0")/.."
includes="-Iprotocol -Iextension -Iserver -Inode_agent $(${PG_CONFIG:-pg_config} --includedir-server | sed 's/^/-isystem /')"
flags="-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-declaration-after-statement -fsyntax-only"
failed=0
sources=$(git ls-files 'protocol/*.c' 'extension/*.c' 'server/*.c' 'node_agent/*.c')
for compiler in gcc clang; do
	for file in $sources; do
		$compiler $flags $includes "$file" || { echo "lint: $compiler refuses $file"; failed=1; }
	done
done
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	--suppress=missingIncludeSystem --suppress=missingInclude -Iprotocol $(git ls-files 'protocol/*.c' 'server/*.c' 'node_agent/*.c') || failed=1
clang-tidy --quiet --checks='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*,bugprone-infinite-loop,bugprone-sizeof-expression' \
	--warnings-as-errors='*' $(git ls-files 'protocol/*.c') -- -std=gnu11 -D_GNU_SOURCE -Iprotocol 2>/dev/null || failed=1
[ $failed -eq 0 ] && echo "lint: clean"
exit $failed
