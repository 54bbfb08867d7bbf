#!/bin/bash
# A copy of the installed PostgreSQL in build/pg with this extension in it, so that tests and the demo
# never touch the system's installation. Prints the folder of its programs.
#
# PostgreSQL finds its files relative to its programs, so the copy keeps the layout, and "make install"
# with DESTDIR puts the extension there.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
pg_config=${PG_CONFIG:-$(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -V | tail -n 1)}
pg_config=${pg_config:-pg_config}
tree=$top/build/pg
# Below a folder that only root may enter (root's home, say) the user postgres could not run it: then it goes to /var/tmp.
if [ "$(id -u)" -eq 0 ] && ! setpriv --reuid postgres --regid postgres --init-groups test -x "$top/tests/lib/pgtree.sh"; then
	tree=/var/tmp/hdms-pg-$(printf %s "$top" | cksum | cut -d' ' -f1)
fi
bin=$($pg_config --bindir)
share=$($pg_config --sharedir)
lib=$($pg_config --pkglibdir)

mkdir -p "$top/build"
exec 9>"$top/build/pg.lock"
flock 9

version=$($pg_config --version)
if [ "$(cat "$tree/version" 2>/dev/null)" != "$version" ]; then
	rm -rf "$tree"
	for folder in "$bin" "$share" "$lib"; do
		mkdir -p "$tree$folder"
		cp -a "$folder/." "$tree$folder/"
	done
	echo "$version" >"$tree/version"
fi
make -f "$top/extension/pgxs.mk" -C "$top" install PG_CONFIG="$pg_config" DESTDIR="$tree" >"$top/build/pg-install.log" 2>&1 || {
	tail -n 40 "$top/build/pg-install.log" >&2
	exit 1
}
echo "$tree$bin"
