#!/bin/bash
# Installs the Debian packages that building, testing and the demo need. Says nothing when all are there.
set -eu

# The names of these packages contain a version, and each release has another.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
case $codename in
	bookworm) postgresql=15 clang=14 ;;
	trixie) postgresql=17 clang=19 ;;
	*) echo "deps: knows the packages of Debian bookworm and trixie, not of $codename" >&2; exit 1 ;;
esac
packages=(
	build-essential clang clang-tidy cppcheck pkg-config libclang-rt-$clang-dev
	postgresql-$postgresql postgresql-server-dev-$postgresql libpq-dev
	libssl-dev libjansson-dev libcurl4-openssl-dev libmicrohttpd-dev libsqlite3-dev libzstd-dev libqrencode-dev
	libcmocka-dev libipc-run-perl jose libjose-dev openssl curl git
)
command -v node >/dev/null && command -v npm >/dev/null || packages+=(nodejs npm)

missing=()
for package in "${packages[@]}"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
mkdir -p "$(dirname "$0")/../build"
[ ${#missing[@]} -eq 0 ] && exit 0

echo "installing: ${missing[*]}"
sudo=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || { echo "deps: not root and no sudo: install these yourself: ${missing[*]}" >&2; exit 1; }
	sudo=sudo
fi
# A fresh postgresql package would create and start a cluster of its own: it is not wanted here.
if ! dpkg-query -W postgresql-common >/dev/null 2>&1; then
	$sudo mkdir -p /etc/postgresql-common
	[ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -20 "$log" >&2
	echo "deps: installing failed" >&2
	exit 1
fi
