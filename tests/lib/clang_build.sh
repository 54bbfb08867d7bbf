#!/bin/bash
# Compiles every source with clang -Wall -Wextra -Werror (gcc builds the rest of the suite).
set -eu
cd "$(dirname "$0")/../.."
pg_config=${PG_CONFIG:-pg_config}
common="-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -Iprotocol -DHDMS_VERSION=\"0\""
compile() { xargs -P 2 -n 8 clang $common "$@"; }
git ls-files 'protocol/*.c' | compile
git ls-files 'server/*.c' | compile -Iserver -Ibuild/plain/server -isystem "$($pg_config --includedir)"
git ls-files 'node_agent/*.c' | compile -Inode_agent
# PostgreSQL's own macros leave arguments unused, and name a gcc attribute.
git ls-files 'extension/*.c' | compile -Iextension -isystem "$($pg_config --includedir-server)" -Wno-unused-parameter -Wno-ignored-attributes
echo "$(git ls-files 'protocol/*.c' 'server/*.c' 'node_agent/*.c' 'extension/*.c' | wc -l) passed, 0 failed"
