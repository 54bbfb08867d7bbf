# Starting, configuring, reloading, stopping.
use strict;
use warnings;
use Test::More;
use Time::HiRes ();
use HdmsTest;

my $t = HdmsTest->new;
my $h = $t->institution('Hospital');
my $p = $t->person($h);
my ($out, $status, $r);

# the command line
($out, $status) = HdmsTest::run($HdmsTest::program, '--help');
is($status, 0, '--help works');
like($out, qr/admit NODE \[--notary\]/, 'and helps');
($out, $status) = HdmsTest::run($HdmsTest::program, '--version');
like($out, qr/^hdms-server \d/, '--version works');
for my $wrong ([], ['dance'], ['--config', $t->{CONFIG}], ['--config', $t->{CONFIG}, 'dance'], ['--config', $t->{CONFIG}, 'serve', 'more'],
	['--config', $t->{CONFIG}, 'admit'], ['--config', $t->{CONFIG}, 'admit', 'A' x 43, '--other'])
{
	system("$HdmsTest::program @$wrong >/dev/null 2>&1");
	is($? >> 8, 2, "\"@$wrong\" is wrong usage");
}

# configurations that are refused
my $base = HdmsTest::read_file($t->{CONFIG});
sub config
{
	my (%change) = @_;
	my $text = join "\n", grep { !/^\s*(\w+)\s*=/ || !exists $change{$1} } split /\n/, $base;
	$text .= "\n$_ = $change{$_}" for grep { defined $change{$_} } sort keys %change;
	return $t->write_file("$t->{base}/conf", "$text\n");
}
sub refused
{
	my ($file, $pattern, $name) = @_;
	my $text = `timeout 20 $HdmsTest::program --config $file serve 2>&1 </dev/null`;
	is($? >> 8, 1, "$name is refused");
	like($text, $pattern, 'with the reason');
}
refused("$t->{base}/none", qr/cannot open/, 'a configuration that is not there');
refused($t->write_file("$t->{base}/c1", "database = x\n\nmailbox_byte = 5\n"), qr/c1:3: "mailbox_byte" is not a setting/, 'an unknown setting');
refused($t->write_file("$t->{base}/c1", "$base\nthreads = 2\nthreads = 2\n"), qr/"threads" is set twice/, 'a setting that is set twice');
refused($t->write_file("$t->{base}/c1", "listen\n"), qr/c1:1: expected/, 'a line without a value');
refused(config(database => undef), qr/"database" is missing/, 'a configuration without a database');
refused(config(threads => 'many'), qr/"threads" must be a number/, 'a number that is none');
refused(config(threads => '-1'), qr/"threads" must be a number/, 'a negative number');
refused(config(threads => '5000'), qr/"threads" is out of range/, 'too large a number');
refused(config(default_ttl => '5w'), qr/unknown unit/, 'an unknown unit');
refused(config(behind_proxy => 'maybe'), qr/must be yes or no/, 'neither yes nor no');
refused(config(log_level => 'loud'), qr/must be debug/, 'an unknown level');
refused(config(default_ttl => '91d'), qr/"default_ttl" is more than/, 'a default above the maximum');
refused(config(listen => '0.0.0.0:0'), qr/plain HTTP is refused/, 'plain HTTP off loopback');
refused(config(listen => 'localhost'), qr/"listen" must be/, 'no port');
refused(config(public_url => 'ftp://x'), qr/"public_url" must begin/, 'another scheme');
refused(config(public_url => 'http://x/y'), qr/"public_url" must be/, 'a URL with a path');
refused(config(tls_key => '/x'), qr/go together/, 'half of TLS');
refused(config(tls_key => '/nonexistent', tls_certificate => '/nonexistent'), qr/certificate_unusable/, 'a certificate that is not there');
refused(config(network_key_file => '/nonexistent'), qr/cannot open the network key/, 'a network key that is not there');
my $lax = "$t->{base}/lax.jwk";
system('cp', "$t->{dir}/network.jwk", $lax);
chmod 0644, $lax;
refused(config(network_key_file => $lax), qr/mode must be 0600/, 'a network key that others may read');
$t->write_file("$t->{base}/bad.jwk", '{"kty":"EC"}');
chmod 0600, "$t->{base}/bad.jwk";
refused(config(network_key_file => "$t->{base}/bad.jwk"), qr/unusable/, 'a network key that is none');
my ($port) = $t->{url} =~ /:(\d+)$/;
refused(config(listen => "127.0.0.1:$port", port_file => "$t->{base}/p"), qr/cannot_listen/, 'a port that is taken');

# the network key
is((stat "$t->{dir}/network.jwk")[2] & 0777, 0600, 'init makes the network key with mode 0600');
($out, $status) = $t->admin('init');
is("$status $out", "0 $t->{FINGERPRINT}\n", 'init again keeps it, and prints the fingerprint only');

# behind a proxy: the address that the proxy tells
my $proxied = $t->start_server(listen => '0.0.0.0:0', behind_proxy => 'yes', registrations_per_minute => 1);
my $n = $t->node('Proxied');
my @by = map { my $ip = $_; scalar HdmsTest::run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'X-Forwarded-For: 8.8.8.8', '-H', "X-Forwarded-For: 9.9.9.9, $ip", '-H', 'Content-Type: application/json',
	'-d', '{}', "http://127.0.0.1:$proxied->{port}/v1/nodes") } qw(10.0.0.1 10.0.0.1 10.0.0.1 10.0.0.2);
is("@by", '400 400 429 400', 'behind a proxy clients are told apart by what the proxy says');
is($t->stop_server($proxied), 0, 'stopped');
my $direct = $t->start_server(registrations_per_minute => 1);
@by = map { my $ip = $_; scalar HdmsTest::run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', "X-Forwarded-For: $ip", '-H', 'Content-Type: application/json',
	'-d', '{}', "$direct->{url}/v1/nodes") } qw(10.0.0.1 10.0.0.2 10.0.0.3);
is("@by", '400 400 429', 'without a proxy nobody gets out of a limit by claiming another address');
is($t->stop_server($direct), 0, 'stopped');

# reload
my $s = $t->start_server;
sub reload
{
	my (%change) = @_;
	my $before = () = HdmsTest::read_file($s->{log}) =~ /"event":"(?:reloaded|reload_failed)"/g;
	my $text = HdmsTest::read_file($s->{conf});
	for my $key (keys %change) { $text =~ s/^$key\b.*\n//mg; $text .= "$key = $change{$key}\n"; }
	$t->write_file($s->{conf}, $text);
	kill 'HUP', $s->{pid};
	return HdmsTest::wait_until(sub { (() = HdmsTest::read_file($s->{log}) =~ /"event":"(?:reloaded|reload_failed)"/g) > $before });
}
$t->put($h, $p, $t->envelope, url => $s->{url}) for 1 .. 3;
ok(reload(mailbox_envelopes => 3), 'SIGHUP reloads');
HdmsTest::answers($t->put($h, $p, $t->envelope, url => $s->{url}), 507, 'mailbox-full', 'limits count at once');
ok(reload(mailbox_envelopes => 'nonsense'), 'a bad configuration is noticed');
like(HdmsTest::read_file($s->{log}), qr/"event":"reload_failed"/, 'and reported');
is($t->put($h, $p, $t->envelope, url => $s->{url})->{status}, 507, 'the running one stays');
unlike(HdmsTest::read_file($s->{log}), qr/"event":"request"/, 'requests are not logged');
ok(reload(mailbox_envelopes => 100, log_level => 'debug'), 'the log level changes');
is($t->put($h, $p, $t->envelope, url => $s->{url})->{status}, 201, 'and the limit back');
ok(HdmsTest::wait_until(sub { HdmsTest::read_file($s->{log}) =~ /"event":"request"[^\n]*"route":"put","status":201/ }), 'now requests are logged');
ok(reload(threads => 7, listen => '127.0.0.1:1'), 'what needs a restart is');
like(HdmsTest::read_file($s->{log}), qr/"event":"setting_needs_restart"[^\n]*"setting":"$_"/, "said: $_") for qw(threads listen);
like($_, qr/^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"\w+","event":"\w+".*\}$/, 'a line of the log is one JSON object')
	for grep { !eval { JSON::PP->new->decode($_); 1 } || !/^\{"time"/ } split(/\n/, HdmsTest::read_file($s->{log})), '{"time":"2026-01-01T00:00:00.000Z","level":"info","event":"sample"}';

# stop
my $poll = $t->request_later($h, GET => '/v1/mailbox?wait=60', url => $s->{url});
ok(HdmsTest::wait_until(sub { $t->metric('hdms_waiters', $s->{metrics}) == 1 }), 'somebody waits');
my $began = Time::HiRes::time();
kill 'TERM', $s->{pid};
$r = $poll->();
is("$r->{status} " . scalar @{HdmsTest::ids($r)}, '200 0', 'SIGTERM answers who waits with an empty mailbox');
is($t->wait_server($s), 0, 'and exits with 0');
cmp_ok(Time::HiRes::time() - $began, '<', 5, 'within five seconds');
like(HdmsTest::read_file($s->{log}), qr/"event":"stopped"/, 'having said so');
$s = $t->start_server;
my ($host, $sport) = $s->{url} =~ m{//(.*):(\d+)};
my $idle = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $sport);
print $idle "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
sysread $idle, my $first, 4096;
my $half = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $sport);
print $half "PUT /v1/mailboxes/$p->{id}/$p->{id} HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose\r\nContent-Length: 100\r\n\r\nabc";
is($t->stop_server($s), 0, 'idle and half-sent connections do not keep it');

# a request in flight while the database hangs
$s = $t->start_server;
my $lock = IO::Socket::INET->new;
my $blocker = fork() // die;
if ($blocker == 0)
{
	exec 'psql', '-X', '-q', '-h', "$t->{dir}/postgres", '-U', 'postgres', '-d', 'hdms', '-c', 'BEGIN; LOCK TABLE hdms_server.mailbox; SELECT pg_sleep(30)';
}
$t->{pids}{$blocker} = 1;
HdmsTest::wait_until(sub { $t->psql("SELECT count(*) FROM pg_locks WHERE relation = 'hdms_server.mailbox'::regclass AND mode = 'AccessExclusiveLock' AND granted") > 0 });
my $stuck = $t->request_later($p, GET => '/v1/mailbox', url => $s->{url}, timeout => 20);
HdmsTest::wait_until(sub { $t->psql("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0 });
$began = Time::HiRes::time();
is($t->stop_server($s), 0, 'a hanging database does not keep it either');
cmp_ok(Time::HiRes::time() - $began, '<', 6, 'for more than five seconds');
kill 'TERM', $blocker;
waitpid $blocker, 0;
delete $t->{pids}{$blocker};
$t->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
$stuck->();
$t->healthy;
done_testing;
