# Quotas, rates, times to live.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $t = HdmsTest->new(config => <<'CONF');
mailbox_envelopes = 5
mailbox_bytes = 20k
rate_per_second = 1
rate_burst = 60
registrations_per_minute = 20
CONF
my $h = $t->institution('Hospital');
my $p = $t->person($h);
my $q = $t->person($h);
my $r;

# by number
my @e = map { $t->envelope } 1 .. 7;
is($t->put($h, $p, $e[$_])->{status}, 201, "envelope $_ fits") for 0 .. 4;
HdmsTest::answers($t->put($h, $p, $e[5]), 507, 'mailbox-full', 'one more does not');
is($t->put($h, $p, $e[0])->{status}, 200, 'what is there already is not refused');
is($t->put($h, $q, $e[5])->{status}, 201, "another's mailbox is not full");
$r = $t->request($h, POST => '/v1/envelopes', text => JSON::PP->new->encode({envelopes =>
	[map { {to => $_->[0]{id}, id => $_->[1]{id}, ttl => 0, data => $_->[1]{text}} } [$p, $e[5]], [$q, $e[6]], [$p, $e[4]]]}));
is(join(' ', map { $_->{status} } @{$r->{json}{results}}), '507 201 200', 'many at once are judged one by one');
$t->acknowledge($p, [$e[2]{id}]);
is($t->put($h, $p, $e[5])->{status}, 201, 'an acknowledgement makes room at once');
is($t->put($h, $p, $e[6])->{status}, 507, 'for one');
cmp_ok($t->metric('hdms_envelopes_refused_full_total'), '>=', 2, 'refusals are counted');

# by bytes
$t->acknowledge($p, HdmsTest::ids($t->mailbox($p)));
my @big = map { $t->envelope(9000) } 1 .. 3;
is($t->put($h, $p, $big[0])->{status}, 201, '9 of 20 kB');
is($t->put($h, $p, $big[1])->{status}, 201, '18 of 20 kB');
is($t->put($h, $p, $big[2])->{status}, 507, 'not 27');
is($t->put($h, $p, $e[0])->{status}, 201, 'a small one fits');
my $small = $t->start_server(mailbox_envelopes => 100, mailbox_bytes => '1M');
is($t->put($h, $p, $_, url => $small->{url})->{status}, 201, 'another process may have another quota') for $t->envelope, $t->envelope;
is($t->put($h, $p, $e[1], url => $small->{url})->{status}, 201, 'it stores');
ok(HdmsTest::wait_until(sub { $t->put($h, $p, $t->envelope)->{status} == 507 }), 'the first one learns of what others stored');
is($t->stop_server($small), 0, 'stopped');

# time to live
$t->acknowledge($q, HdmsTest::ids($t->mailbox($q)));
my $short = $t->envelope;
is($t->put($h, $q, $short, query => '?ttl=1')->{status}, 201, 'an envelope with a short life');
is($t->put($h, $q, $e[0], query => '?ttl=1000')->{status}, 201, 'and one with a longer');
ok(HdmsTest::wait_until(sub { scalar @{HdmsTest::ids($t->mailbox($q))} == 1 }), 'the short one is not fetched when its time is over');
is($t->put($h, $q, $short, query => '?ttl=1000')->{status}, 201, 'it can be put again, whether it was deleted or not');
is(scalar @{HdmsTest::ids($t->mailbox($q))}, 2, 'and is there again');
$t->put($h, $q, $e[1], query => '?ttl=1');
ok(HdmsTest::wait_until(sub { $t->psql("SELECT count(*) FROM hdms_server.mailbox WHERE id = '$e[1]{id}' AND recipient = '$q->{id}'") eq '0' }), 'what has expired is deleted in the background');
cmp_ok($t->metric('hdms_envelopes_expired_total'), '>=', 1, 'and counted');
$t->put($h, $q, $e[4], query => '?ttl=99999999999');
cmp_ok($t->psql("SELECT expires - extract(epoch FROM now()) FROM hdms_server.mailbox WHERE id = '$e[4]{id}' AND recipient = '$q->{id}'"), '<=', 90 * 86400 + 5, 'no life is longer than allowed');
$t->put($h, $q, $e[5]);
my $left = $t->psql("SELECT expires - extract(epoch FROM now()) FROM hdms_server.mailbox WHERE id = '$e[5]{id}' AND recipient = '$q->{id}'");
ok($left > 29.9 * 86400 && $left <= 30 * 86400 + 5, 'thirty days is the rule');

# nonces go
$t->mailbox($h, nonce => 'stays');
$t->psql("INSERT INTO hdms_server.nonces VALUES ('$h->{id}', 'old', extract(epoch FROM now())::bigint - 700)");
ok(HdmsTest::wait_until(sub { $t->psql("SELECT string_agg(nonce, ',') FROM hdms_server.nonces") eq 'stays' }), 'old nonces are deleted, new ones are not');

# rates
my $w = $t->person($h);
my $limited;
for (1 .. 100)
{
	$limited = $t->mailbox($w);
	last if $limited->{status} != 200;
}
HdmsTest::answers($limited, 429, 'too-many-requests', 'a person that asks too often is slowed down');
like($limited->{head}, qr/^retry-after: [1-9]\d*\r?$/mi, 'and told when to try again');
is($t->mailbox($h)->{status}, 200, 'others are not');
my $patience = ($limited->{head} =~ /^retry-after: (\d+)/mi)[0];
ok(HdmsTest::wait_until(sub { $t->mailbox($w)->{status} == 200 }, $patience + 10), 'later it may again');
my $x = $t->person($h);
my @many = map { $t->envelope } 1 .. 62;
$t->psql("DELETE FROM hdms_server.mailbox");
$r = $t->request($x, POST => '/v1/envelopes', text => JSON::PP->new->encode({envelopes => [map { {to => $h->{id}, id => $_->{id}, ttl => 0, data => $_->{text}} } @many]}));
my %count;
$count{$_->{status}}++ for @{$r->{json}{results}};
is_deeply(\%count, {201 => 5, 507 => 57}, 'many in one request pass whole, none gets 429 by itself');
$r = $t->mailbox($x);
HdmsTest::answers($r, 429, 'too-many-requests', 'but they are paid for: the next request is refused');
cmp_ok(($r->{head} =~ /^retry-after: (\d+)/mi)[0], '>=', 2, 'with how long the debt lasts');
cmp_ok($t->metric('hdms_rate_limited_total'), '>=', 2, 'it is counted');

# registrations by address
my $flood;
for (1 .. 50)
{
	$flood = $t->request($t->{nodes_one} //= $t->node('person'), POST => '/v1/nodes', text => '{}');
	last if $flood->{status} == 429;
}
HdmsTest::answers($flood, 429, 'too-many-requests', 'an address registers only so often');
$t->healthy;
done_testing;
