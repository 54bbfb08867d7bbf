#!/bin/bash
# Our JWK, JWS and JWE against Debian's `jose` (libjose): each reads what the other made. Prints TAP.
# It has neither RSA-OAEP-256 nor EdDSA: those are compared with the npm package in jose.mjs.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
tool=${HDMS_TOOL:-$root/build/plain/hdms-tool}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
if ! command -v jose >jose.path; then
	echo "skipped: jose is not installed"
	echo "1..0"
	exit 0
fi

number=0
failures=0
# ok NAME COMMAND ...: one test, which passes when the command succeeds.
ok() {
	local name=$1
	shift
	number=$((number + 1))
	if "$@" 2>error; then
		echo "ok $number - $name"
	else
		failures=$((failures + 1))
		echo "not ok $number - $name"
		sed 's/^/# /' error
	fi
}
# is_refused WORD COMMAND ...: whether the command ends with 1 and says the word.
is_refused() {
	local word=$1 status=0
	shift
	"$@" >output 2>message || status=$?
	[ $status -eq 1 ] && [ ! -s output ] && grep -q "($word)" message
}
same() { [ "$1" = "$2" ]; }

printf '{"text":"größer als sechs"}' >payload

for alg in ES256 PS256; do
	type=p256
	[ $alg = ES256 ] || type=rsa2048
	"$tool" key new --type $type >ours.jwk
	jose jwk gen -i "{\"alg\":\"$alg\"}" -o theirs.jwk
	jose jwk pub -i theirs.jwk -o theirs.pub

	ok "$alg: the thumbprint of our key is the same" \
		same "$("$tool" key show --key ours.jwk --as thumbprint)" "$(jose jwk thp -i ours.jwk -a S256)"
	ok "$alg: the thumbprint of the peer's key is the same" \
		same "$("$tool" key show --key theirs.jwk --as thumbprint)" "$(jose jwk thp -i theirs.jwk -a S256)"

	"$tool" jws sign --key ours.jwk --typ test+jwt <payload | tr -d '\n' >ours.jws
	"$tool" key show --key ours.jwk >ours.pub
	ok "$alg: the peer verifies our signature" jose jws ver -i ours.jws -k ours.pub -O verified
	ok "$alg: and sees our payload" cmp payload verified

	jose jws sig -I payload -k theirs.jwk -s "{\"protected\":{\"alg\":\"$alg\",\"typ\":\"test+jwt\"}}" -c -o theirs.jws
	"$tool" jws verify --key theirs.pub --typ test+jwt <theirs.jws >verified
	ok "$alg: we verify the peer's signature and see its payload" cmp payload verified
	ok "$alg: we refuse the peer's signature under another key" is_refused bad-signature "$tool" jws verify --key ours.pub <theirs.jws
done

"$tool" key new --type p256 >ours.jwk
"$tool" key show --key ours.jwk >ours.pub
jose jwk gen -i '{"alg":"ECDH-ES+A256KW","crv":"P-256"}' -o theirs.jwk 2>error ||
	jose jwk gen -i '{"kty":"EC","crv":"P-256"}' -o theirs.jwk
jose jwk pub -i theirs.jwk -o theirs.pub
"$tool" jwe seal --key ours.pub <payload | tr -d '\n' >ours.jwe
ok "the peer opens what we sealed" jose jwe dec -i ours.jwe -k ours.jwk -O opened
ok "and sees our plaintext" cmp payload opened
jose jwe enc -I payload -k theirs.pub -i '{"protected":{"alg":"ECDH-ES+A256KW","enc":"A256GCM"}}' -c -o theirs.jwe
"$tool" jwe open --key theirs.jwk <theirs.jwe >opened
ok "we open what the peer sealed and see its plaintext" cmp payload opened
ok "we refuse it with another key" is_refused cannot-decrypt "$tool" jwe open --key ours.jwk <theirs.jwe

jose jwe enc -I payload -k ours.pub -i '{"protected":{"alg":"ECDH-ES+A256KW","enc":"A256GCM","zip":"DEF"}}' -c -o zipped.jwe
ok "we refuse a compressed plaintext" is_refused bad-algorithm "$tool" jwe open --key ours.jwk <zipped.jwe
jose jwe enc -I payload -k ours.pub -i '{"protected":{"alg":"ECDH-ES+A256KW","enc":"A128CBC-HS256"}}' -c -o cbc.jwe
ok "we refuse CBC" is_refused bad-algorithm "$tool" jwe open --key ours.jwk <cbc.jwe
jose jwk gen -i '{"alg":"RS256"}' -o rs256.jwk
ok "we refuse a key for RS256" is_refused bad-algorithm "$tool" key show --key rs256.jwk
jose jwk gen -i '{"alg":"ES512"}' -o es512.jwk
ok "we refuse a key of P-521" is_refused bad-algorithm "$tool" key show --key es512.jwk

echo "1..$number"
[ $failures -eq 0 ]
