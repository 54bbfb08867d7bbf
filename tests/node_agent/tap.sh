# tap.sh: what the TAP scripts here share. Source it after setting nothing but BUILD and VARIANT.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
BUILD=${BUILD:-$root/build/${VARIANT:-plain}}
OUT=$BUILD/tests/node_agent
work=$(mktemp -d /tmp/hdms-node-test-XXXXXX)
chmod 711 "$work"				# PostgreSQL runs as another user
tests=0
failed=0
mkfifo "$work/never"
exec 9<>"$work/never"

ok() { # status, sentence
	tests=$((tests + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tests - $2"
	else
		echo "not ok $tests - $2"
		failed=$((failed + 1))
	fi
}

# Tries a command until it succeeds, for at most 60 s.
eventually() {
	local deadline=$((SECONDS + 60))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		read -rt 0.1 <&9 || true
	done
}

done_testing() {
	echo "1..$tests"
	[ $failed = 0 ]
}

# --- the simulated institution over a real server ---

server_start() { # directory, file with further configuration
	VARIANT=${SERVER_VARIANT:-plain} sh "$root/tests/server/start_server.sh" start "$1" ${2:+"$2"} >"$work/server.env" 2>"$work/server.err" || {
		sed 's/^/# /' "$work/server.err"
		echo "Bail out! the server did not start"
		exit 1
	}
	. "$work/server.env"
}

institution_start() { # directory of the server, CA file
	mkfifo "$work/institution.in"
	"$OUT/fake_institution" "$HDMS_URL" "$1/network.jwk" ${2:+"$2"} <"$work/institution.in" >"$work/institution.out" 2>"$work/institution.err" &
	institution=$!
	exec 8>"$work/institution.in"
}

say() { echo "$*" >&8; }

# A line of the institution's output that begins so and was not seen before.
heard=0
hear() { # prefix
	hear_line=
	eventually heard_line "$1" || { echo "# institution: $(tail -3 "$work/institution.err")"; return 1; }
	hear_line=$(tail -n +$((heard + 1)) "$work/institution.out" | grep -m1 "^$1")
	heard=$(wc -l <"$work/institution.out")
}
heard_line() { tail -n +$((heard + 1)) "$work/institution.out" | grep -q "^$1"; }

invite() { say invite 1; hear uri && uri=${hear_line#uri }; }
