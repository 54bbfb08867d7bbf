# The list of notaries over time, and TLS.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $t = HdmsTest->new(config => "notary_list_max_age = 60s\n");
my $a = $t->institution('Hospital A', notary => 1);
my $b = $t->institution('Hospital B', notary => 1);
my ($r, $list);

sub current { return $t->request('-', GET => '/v1/notaries')->{body}; }
sub claims
{
	my (undef, $text) = split /\./, $_[0];
	return {notaries => [undef]} if !defined $text;
	require MIME::Base64;
	$text =~ tr{-_}{+/};
	return JSON::PP->new->decode(MIME::Base64::decode_base64($text));
}

$list = claims(current());
is($list->{max_age}, 60, 'the list says how long it is good');
is_deeply([map { $_->{node} } @{$list->{notaries}}], [sort $a->{id}, $b->{id}], 'it has the notaries, sorted');
is_deeply([sort map { $_->{name} } @{$list->{notaries}}], ['Hospital A', 'Hospital B'], 'with their names');

# an old one is signed anew, once, however many processes there are
my @others = map { $t->start_server } 1 .. 2;
my $old = current();
my $second_digest = HdmsTest::client('digest', $t->write_file("$t->{base}/l", $old));
my $aged = $t->psql('SELECT count(*) FROM hdms_server.notary_lists');
is($aged >= 2, 1, 'there are lists');
ok(HdmsTest::wait_until(sub { current() ne $old }, 90), 'a list that is older than half its life is signed anew');
cmp_ok(time - claims($old)->{iat}, '<', 31, 'before it is half its life old');
my $fresh = claims(current());
cmp_ok(time - $fresh->{iat}, '<', 10, 'the newest list is new');
is_deeply($fresh->{notaries}, $list->{notaries}, 'with the same notaries');
is($t->psql('SELECT count(*) FROM hdms_server.notary_lists'), $aged + 1, 'by one of the processes only');
is($t->request('-', GET => "/v1/notaries/$second_digest")->{body}, $old, 'the old list stays');

# a frozen notary leaves the list
my $fork = "$t->{base}/fork";
system('cp', '-r', $b->{dir}, $fork);
HdmsTest::client('rotate', $b->{dir});
is($t->register($b)->{status}, 200, 'a notary changes its key');
HdmsTest::client('rotate', $fork);
is($t->register({dir => $fork})->{status}, 409, 'and somebody contradicts it');
ok(HdmsTest::wait_until(sub { !grep { $_->{node} eq $b->{id} } @{claims(current())->{notaries}} }), 'then it is in the list no more');
is((grep { $_->{node} eq $a->{id} } @{claims(current())->{notaries}}) + 0, 1, 'the others stay');
$t->admin('thaw', $b->{id});
is((grep { $_->{node} eq $b->{id} } @{claims(current())->{notaries}}) + 0, 1, 'when the operator lets it back in it is there again');

# a lost database: notaries that have not come back yet stay in the list
my $carried = current();
my $admission = $t->request($a, GET => "/v1/nodes/$a->{id}")->{json}{admission};
ok(HdmsTest::wait_until(sub { time > claims($carried)->{iat} + 1 }), 'some time after the last list was signed');
$t->psql('SET client_min_messages = warning; DROP SCHEMA hdms_server CASCADE');
$t->admin('init');
ok(HdmsTest::wait_until(sub { $t->request('-', GET => '/healthz')->{status} == 200 }), 'the database is new');
ok(HdmsTest::wait_until(sub { !@{claims(current())->{notaries}} }), 'it knows no notary');
is($t->register($a, admission => $admission, list => ['x.y.z', $carried])->{status}, 201, 'one comes back with the list it has');
ok(HdmsTest::wait_until(sub { scalar @{claims(current())->{notaries}} == 2 }), 'the other one is in the list, too');
is($t->register($b)->{status}, 202, 'the other one comes without its admission');
ok(HdmsTest::wait_until(sub { $t->admin('admit', $b->{id}); scalar @{claims(current())->{notaries}} == 1 }), 'and is no notary unless the operator says so again');

# TLS, and a new certificate without a restart
my ($cert, $key) = ("$t->{base}/cert.pem", "$t->{base}/key.pem");
sub certificate
{
	my ($name) = @_;
	system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $key -out $cert -days 2 -subj /CN=$name >/dev/null 2>&1") == 0 or die;
}
sub shown { return `openssl s_client -connect 127.0.0.1:$_[0] </dev/null 2>/dev/null | openssl x509 -noout -subject 2>/dev/null`; }
certificate('first');
my $s = $t->start_server(tls_certificate => $cert, tls_key => $key, public_url => 'https://127.0.0.1:0', listen => '0.0.0.0:0', no_wait => 1);
my $url = "https://127.0.0.1:$s->{port}";
ok(HdmsTest::wait_until(sub { $t->request('-', GET => '/healthz', url => $url)->{status} == 200 }), 'HTTPS works, off loopback');
is($t->mailbox($a, url => $url)->{status}, 200, 'with signed requests');
my $e = $t->envelope(300000);
is($t->put($a, $a, $e, url => $url)->{status}, 201, 'with large bodies');
is($t->mailbox($a, url => $url)->{json}{envelopes}[0]{data}, $e->{text}, 'both ways');
$t->acknowledge($a, [$e->{id}]);
my $later = $t->request_later($a, GET => '/v1/mailbox?wait=50', url => $url);
ok(HdmsTest::wait_until(sub { $t->metric('hdms_waiters', $s->{metrics}) == 1 }), 'with long polls');
$t->put($b, $a, $e);
is($later->()->{status}, 200, 'that are woken');
like(shown($s->{port}), qr/CN ?= ?first/, 'the certificate is shown');
certificate('second');
kill 'HUP', $s->{pid};
ok(HdmsTest::wait_until(sub { shown($s->{port}) =~ /CN ?= ?second/ }), 'after SIGHUP the new one is shown');
system('cp', $key, "$key.good");
certificate('third');
system('cp', "$key.good", $key);
kill 'HUP', $s->{pid};
ok(HdmsTest::wait_until(sub { HdmsTest::read_file($s->{log}) =~ /certificate_kept/ }), "a key that is another certificate's is noticed");
like(shown($s->{port}), qr/CN ?= ?second/, 'and the one before is kept');
unlike(`curl -sk --tls-max 1.1 -o /dev/null -w '%{http_code}' $url/healthz 2>&1`, qr/200/, 'old TLS is refused');
is($t->stop_server($s), 0, 'it stops');
$t->healthy;
done_testing;
