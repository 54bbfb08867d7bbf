# Hostile HTTP: whatever is sent, the server answers or hangs up, and goes on.
use strict;
use warnings;
use Test::More;
use Time::HiRes ();
use HdmsTest;

my $t = HdmsTest->new(config => "idle_timeout = 2s\nbody_memory = 16M\n");
my $h = $t->institution('Hospital');
my $p = $t->person($h);
my ($answer, $r);
my $host = "Host: x\r\n";

sub status { my ($text) = @_; return $text =~ m{^HTTP/1\.[01] (\d+)} ? $1 : 'closed'; }
sub answered { my ($bytes, $pattern, $name) = @_; like(status($t->raw($bytes, until => qr/\r\n\r\n/)), $pattern, $name); }

# request lines and headers
answered("\x00\x01\x02\xff" x 100 . "\r\n\r\n", qr/^(4\d\d|closed)$/, 'binary noise');
answered("GET\r\n\r\n", qr/^(4\d\d|closed)$/, 'half a request line');
answered("GET / HTTP/9.9\r\n$host\r\n", qr/^([45]\d\d|closed)$/, 'an unknown version');
answered("GET /" . 'a' x 100000 . " HTTP/1.1\r\n$host\r\n", qr/^(414|431|413|400|closed)$/, 'an endless path');
answered("GET / HTTP/1.1\r\n$host" . 'X: ' . 'a' x 100000 . "\r\n\r\n", qr/^(431|413|400|closed)$/, 'an endless header');
answered("GET / HTTP/1.1\r\n$host" . join('', map { "X$_: y\r\n" } 1 .. 5000) . "\r\n", qr/^(431|413|400|closed)$/, 'endless headers');
answered("GET / HTTP/1.1\r\n$host" . "Signature-Input: " . 'hdms=(' x 500 . "\r\n\r\n", qr/^404$/, 'a strange header on an unknown path');
answered("GET /v1/mailbox HTTP/1.1\r\n${host}Signature-Input: $_\r\nSignature: $_\r\n\r\n", qr/^401$/, 'a strange signature: ' . substr($_, 0, 40))
	for 'hdms=', 'hdms=()', 'hdms=();keyid="', 'hdms=("@method" "@method");created=1;keyid="' . $p->{id} . '";tag="hdms-v1"', ('(' x 1000), 'hdms=:' . 'A' x 2000 . ':',
	'hdms=("@method" "@authority" "@path" "@query");created=99999999999999999999;keyid="' . $p->{id} . '";tag="hdms-v1"', "\xff\xfe", 'a=b, c=d';
answered("GET /v1/mailbox HTTP/1.1\r\nSignature-Input: x\r\n\r\n", qr/^(400|401)$/, 'no host');
answered("GET /healthz HTTP/1.1\n\n", qr/^(200|400|closed)$/, 'bare line feeds');
answered("GET http://elsewhere/healthz HTTP/1.1\r\n$host\r\n", qr/^(404|400)$/, 'an absolute target');
answered("OPTIONS * HTTP/1.1\r\n$host\r\n", qr/^(404|405)$/, 'OPTIONS *');
answered("CONNECT x:1 HTTP/1.1\r\n$host\r\n", qr/^(4\d\d|closed)$/, 'CONNECT');
answered("TRACE /healthz HTTP/1.1\r\n$host\r\n", qr/^405$/, 'TRACE');
answered("GET /v1/nodes/../network HTTP/1.1\r\n$host\r\n", qr/^404$/, 'dots in a path');
answered("GET /v1/%6eetwork HTTP/1.1\r\n$host\r\n", qr/^404$/, 'an encoded path is another path');
answered("GET /healthz%00 HTTP/1.1\r\n$host\r\n", qr/^40[04]$/, 'an encoded NUL');

# methods and paths
$r = $t->request('-', DELETE => '/v1/mailbox');
HdmsTest::answers($r, 405, 'method-not-allowed', 'a method that the path does not have');
like($r->{head}, qr/^allow: GET\r?$/mi, 'the answer says which it has');
HdmsTest::answers($t->request('-', GET => '/v1/nothing'), 404, 'not-found', 'a path that is not there');
HdmsTest::answers($t->request('-', GET => '/'), 404, 'not-found', 'the root');
is($t->request('-', GET => '/metrics')->{status}, 404, 'the metrics are not at the public address');
HdmsTest::answers($t->request('-', GET => '/v1/network', text => '{}'), 400, 'bad-request', 'a body where none belongs');

# lengths and chunks
my $put = "PUT /v1/mailboxes/$p->{id}/$p->{id} HTTP/1.1\r\n${host}Content-Type: application/jose\r\n";
answered("${put}Content-Length: 99999999999999999999\r\n\r\n", qr/^(413|400|closed)$/, 'a length beyond all numbers');
answered("${put}Content-Length: -1\r\n\r\n", qr/^(413|400|closed)$/, 'a negative length');
answered("${put}Content-Length: 1048577\r\n\r\n", qr/^413$/, 'a length above the limit is refused before anything is sent');
answered("${put}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", qr/^(400|401|closed)$/, 'two lengths');
answered("${put}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", qr/^400$/, 'a length and chunks');
answered("${put}Transfer-Encoding: chunked\r\n\r\nZZZ\r\n", qr/^(400|closed)$/, 'a chunk size that is no number');
answered("${put}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", qr/^(400|413|closed)$/, 'a chunk size beyond all numbers');
answered("${put}Transfer-Encoding: chunked\r\n\r\n5\r\nabcdeXXXX", qr/^(400|closed)$/, 'a chunk that does not end');
answered("${put}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", qr/^(4\d\d|501|closed)$/, 'another encoding');
answered("${put}Transfer-Encoding: chunked\r\n\r\n" . join('', map { "10000\r\n" . 'A' x 65536 . "\r\n" } 1 .. 20) . "0\r\n\r\n", qr/^413$/, 'chunks above the limit');
answered("${put}Transfer-Encoding: chunked\r\n\r\n" . join('', map { "10000\r\n" . 'A' x 65536 . "\r\n" } 1 .. 60), qr/^(413|closed)$/, 'chunks without end');
answered("${put}Transfer-Encoding: chunked\r\n\r\n1\r\nA\r\n0\r\n\r\n", qr/^401$/, 'good chunks are read');
answered("${put}Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n", qr/^413$/, 'with Expect: 100-continue the limit is told at once');

# slow and half-closed
my $began = Time::HiRes::time();
is($t->raw("GET /healthz HTTP/1.1\r\nHost", seconds => 15), '', 'half a header: the server hangs up');
like(status($t->raw("${put}Content-Length: 100\r\n\r\nabc", seconds => 15)), qr/^(408|closed)$/, 'half a body: the server hangs up');
cmp_ok(Time::HiRes::time() - $began, '<', 20, 'both in time');
like($t->raw("GET /healthz HTTP/1.1\r\n$host\r\n" x 3, seconds => 2, half_close => 1), qr/^(HTTP\/1\.1 200.*?){3}/s, 'pipelined requests are answered one after the other');

# waiting is not idling
is(HdmsTest::ids($t->mailbox($p, query => '?wait=5'))->[0], undef, 'a long poll may be longer than the idle timeout');

# JSON
my @documents = ('', 'null', '1', '"x"', '[', '{', '{}', '{"history":null}', '{"history":"x"}', '{"history":[1]}', '{"history":["a.b.c"]}', '{"history":["' . 'A' x 50000 . '"]}',
	'[' x 100000, '{"a":' x 50000, "{\"history\":[\"\xff\"]}", '{"history":["\ud800"]}', "{\"history\":[\"\0\"]}", '{"history":[],"history":[]}', '{"history":[1e999]}', '{"history":[' . join(',', ('"a.b.c"') x 5000) . ']}');
for my $i (0 .. $#documents)
{
	my $file = $t->write_file("$t->{base}/document", $documents[$i]);
	my $name = substr($documents[$i], 0, 30) =~ s/[^ -~]/?/gr;
	my $get = sub { my ($target) = @_; return $t->request($p, POST => $target, body => $file)->{status}; };
	like($get->('/v1/nodes'), qr/^40[01]$/, "registration: $name");
	like($get->('/v1/envelopes'), qr/^4(00|13)$/, "put many: $name");
	like($get->('/v1/mailbox/ack'), qr/^4(00|13)$/, "acknowledge: $name");
}
like($t->request($p, POST => '/v1/mailbox/ack', text => JSON::PP->new->encode({ids => [('A' x 43) x 10001]}))->{status}, qr/^4(00|13)$/, 'too many acknowledgements');
is($t->request($p, GET => "/v1/mailbox?wait=$_")->{status}, 400, "wait=$_") for 'x', '1x', '99999999999999999999', '';
HdmsTest::answers($t->request($p, GET => '/v1/mailbox?x=1&&=&wait=0&%%%'), 200, '', 'strange arguments are ignored');

# memory for bodies
my @held;
for (1 .. 24)
{
	my ($address, $port) = $t->{url} =~ m{//(.*):(\d+)};
	my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port) or die;
	print $socket "${put}Content-Length: 1000000\r\n\r\n" . 'A' x 990000;
	$socket->flush;
	push @held, $socket;
}
cmp_ok($t->metric('hdms_body_bytes'), '<', 18 * 1024 * 1024, 'bodies that do not end are held in bounded memory');
is($t->mailbox($p)->{status}, 200, 'requests without bodies are answered meanwhile');
HdmsTest::answers($t->put($h, $p, $t->envelope(500000)), 503, 'busy', 'others are told to come later');
@held = ();
ok(HdmsTest::wait_until(sub { $t->metric('hdms_body_bytes') == 0 }), 'the memory is given back');
is($t->put($h, $p, $t->envelope(500000))->{status}, 201, 'and used again');

# a crowd
my @crowd = map { my ($address, $port) = $t->{url} =~ m{//(.*):(\d+)}; IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port) } 1 .. 300;
is($t->mailbox($p)->{status}, 200, 'hundreds of silent connections do not matter');
@crowd = ();
my $log = $t->logs;
unlike($log, qr/AAAAAAAAAAAAAAAAAAAA/, 'nothing of the bodies is in the log');
$t->healthy;
done_testing;
