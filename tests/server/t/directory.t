# Registration and the directory: each row of POST /v1/nodes, GET /v1/nodes/{id}, GET /v1/network and the lists of notaries.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $t = HdmsTest->new;
my ($r, $out, $status);

# institutions
my $a = $t->node('Hospital "A"');
$r = $t->register($a);
HdmsTest::answers($r, 202, '', 'an institution without an admission is pending');
is($r->{json}{status}, 'pending', 'and is told so');
is($t->register($a)->{status}, 202, 'registering again while pending changes nothing');
$r = $t->request($a, GET => "/v1/nodes/$a->{id}");
is($r->{json}{status}, 'pending', 'a pending node may ask for itself');
my $b = $t->node('Hospital B');
is($t->register($b)->{status}, 202, 'another institution is pending, too');
HdmsTest::answers($t->request($a, GET => "/v1/nodes/$b->{id}"), 403, 'not-admitted', 'a pending node may not ask for others');
HdmsTest::answers($t->mailbox($a), 403, 'not-admitted', 'a pending node has no mailbox to fetch');
HdmsTest::answers($t->request($a, POST => '/v1/sessions', nonce => 'n1'), 403, 'not-admitted', 'a pending node gets no session');

($out, $status) = $t->admin('pending');
like($out, qr/^$a->{id}\tinstitution\tpending\t\S+\tHospital "A"$/m, 'pending lists it');
($out, $status) = $t->admin('admit', $a->{id}, '--notary');
is($status, 0, 'admit works');
$r = $t->request($a, GET => "/v1/nodes/$a->{id}");
is($r->{json}{status}, 'active', 'an admitted institution is active at once');
my $admission = $r->{json}{admission};
ok($admission, 'and finds its admission');
is($t->register($a)->{status}, 200, 'registering again is fine');
($out) = $t->admin('pending');
unlike($out, qr/$a->{id}/, 'it is not pending any more');
($out, $status) = $t->admin('admit', 'A' x 43);
is($status, 1, 'admitting a node that does not exist fails');
($out, $status) = $t->admin('admit', 'nonsense');
is($status, 2, 'admitting something that is no node id is wrong usage');

# notaries
$r = $t->request('-', GET => '/v1/network');
is($r->{status}, 200, 'the network is public');
is($r->{json}{network}{kty}, 'OKP', 'it has the network key');
is($r->{json}{network}{d}, undef, 'and not its private part');
my $list = $r->{json}{notaries};
is($t->request('-', GET => '/v1/notaries')->{body}, $list, 'the newest list is there by itself');
my $file = $t->write_file("$t->{base}/list", $list);
my $digest = HdmsTest::client('digest', $file);
$r = $t->request('-', GET => "/v1/notaries/$digest");
is($r->{body}, $list, 'and by its digest');
like($r->{head}, qr{^content-type: application/jose}mi, 'as application/jose');
HdmsTest::answers($t->request('-', GET => '/v1/notaries/' . 'A' x 43), 404, 'unknown-list', 'another digest is unknown');
$t->admin('admit', $b->{id}, '--notary');
isnt($t->request('-', GET => '/v1/notaries')->{body}, $list, 'another notary makes another list');
is($t->request('-', GET => "/v1/notaries/$digest")->{body}, $list, 'the old one stays');
$t->admin('admit', $b->{id});
my (undef, $payload) = split /\./, $t->request('-', GET => '/v1/notaries')->{body};
unlike(decode($payload), qr/$b->{id}/, 'an institution that is admitted anew without being a notary leaves the list');

# institutions with an admission
my $c = $t->node('Hospital C');
HdmsTest::answers($t->register($c, admission => $admission), 403, 'not-admitted', "another institution's admission is refused");
HdmsTest::answers($t->register($c, admission => 'a.b.c'), 403, 'not-admitted', 'a broken admission is refused');

# persons
my $voucher = HdmsTest::client('voucher', $a->{dir});
my $p = $t->node('person');
HdmsTest::answers($t->register($p), 403, 'not-admitted', 'a person without a voucher is refused');
is($t->request($a, GET => "/v1/nodes/$p->{id}")->{status}, 404, 'and is not registered');
is($t->register($p, voucher => $voucher)->{status}, 201, 'a person with a voucher is registered');
is($t->register($p, voucher => $voucher)->{status}, 200, 'the same person may use it again');
is($t->register($p)->{status}, 200, 'a known person needs none');
my $q = $t->node('person');
HdmsTest::answers($t->register($q, voucher => $voucher), 403, 'not-admitted', 'another person may not use it');
HdmsTest::answers($t->register($q, voucher => HdmsTest::client('voucher', $a->{dir}, 'expires=-10')), 410, 'expired', 'an expired voucher is refused');
HdmsTest::answers($t->register($q, voucher => HdmsTest::client('voucher', $c->{dir})), 403, 'not-admitted', "an unknown institution's voucher is refused");
HdmsTest::answers($t->register($q, voucher => HdmsTest::client('voucher', $a->{dir}, "sub=$p->{id}")), 403, 'not-admitted', "another person's membership is refused");
$t->register($c);
HdmsTest::answers($t->register($q, voucher => HdmsTest::client('voucher', $c->{dir})), 403, 'not-admitted', "a pending institution's voucher is refused");
(my $forged = $voucher) =~ s/(.)(.{20})$/($1 eq 'A' ? 'B' : 'A') . $2/e;
HdmsTest::answers($t->register($q, voucher => $forged), 403, 'not-admitted', 'a voucher with a wrong signature is refused');
HdmsTest::answers($t->register($q, voucher => 'nonsense'), 403, 'not-admitted', 'nonsense is no voucher');
my $membership = HdmsTest::client('voucher', $a->{dir}, "sub=$q->{id}", 'expires=100000');
is($t->register($q, voucher => $membership)->{status}, 201, 'a membership lets its person in');
is($t->request($q, GET => "/v1/nodes/$q->{id}")->{json}{admission}, $membership, 'and is kept for that person');
is($t->request($p, GET => "/v1/nodes/$q->{id}")->{json}{admission}, undef, 'and told to nobody else');
my $later = HdmsTest::client('voucher', $a->{dir}, "sub=$p->{id}", 'expires=100000');
is($t->register($p, voucher => $later)->{status}, 200, 'a person that came in with a voucher brings its membership later');
is($t->request($p, GET => "/v1/nodes/$p->{id}", recovery => 1)->{json}{admission}, $later, 'whoever has only the recovery key asks for the own node with that');
is($t->request($p, GET => "/v1/nodes/$q->{id}", recovery => 1)->{status}, 200, 'or for another');
HdmsTest::answers($t->request($p, GET => "/v1/nodes/$q->{id}", recovery => 1, keyid => $q->{id}), 401, 'bad-signature', "another node's recovery key is none");
HdmsTest::answers($t->mailbox($p, recovery => 1), 401, 'bad-signature', 'the recovery key opens no mailbox');
($out, $status) = $t->admin('admit', $p->{id});
is($status, 1, "a person's node cannot be admitted as an institution");

# one voucher, many at once
my $shared = HdmsTest::client('voucher', $a->{dir});
my @many = map { $t->node('person') } 1 .. 6;
my @answers = map { my $n = $_; $t->request_later($n, POST => '/v1/nodes', text => HdmsTest::client('registration', $n->{dir}, "voucher=$shared")) } @many;
is(join(' ', sort map { $_->()->{status} } @answers), '201 403 403 403 403 403', 'of many persons with one voucher at once one gets in');

# the directory
$r = $t->request($p, GET => "/v1/nodes/$a->{id}");
is($r->{json}{status}, 'active', 'nodes see each other');
is(JSON::PP->new->canonical->encode($r->{json}{history}), HdmsTest::client('history', $a->{dir}), 'the history comes back as it was given');
HdmsTest::answers($t->request($p, GET => '/v1/nodes/' . 'B' x 43), 404, 'not-found', 'an id that is not canonical is no path');
HdmsTest::answers($t->request($p, GET => '/v1/nodes/' . 'A' x 43), 404, 'unknown-node', 'an unknown node is not found');
HdmsTest::answers($t->request('-', GET => "/v1/nodes/$a->{id}"), 401, 'bad-signature', 'nobody sees the directory unsigned');

# registration's own errors
HdmsTest::answers($t->request($p, POST => '/v1/nodes', text => '{'), 400, 'bad-json', 'what is not JSON is refused');
HdmsTest::answers($t->request($p, POST => '/v1/nodes', text => '{"history":[]}'), 400, HdmsTest::word($t->request($p, POST => '/v1/nodes', text => '{"history":[]}')), 'an empty history is refused');
HdmsTest::answers($t->request($q, POST => '/v1/nodes', text => HdmsTest::client('registration', $p->{dir})), 401, 'bad-signature', 'a registration by another key is refused');
HdmsTest::answers($t->request('-', POST => '/v1/nodes', text => HdmsTest::client('registration', $p->{dir})), 401, 'bad-signature', 'an unsigned registration is refused');
HdmsTest::answers($t->request($p, POST => '/v1/nodes', text => HdmsTest::client('registration', $p->{dir}), created => -400), 401, 'clock-skew', 'an old registration is refused');
$r = $t->request($p, POST => '/v1/nodes', text => HdmsTest::client('registration', $p->{dir}), type => 'text/plain');
HdmsTest::answers($r, 415, 'bad-type', 'another content type is refused');

# histories that grow
my $old = "$t->{base}/old";
system('cp', '-r', $p->{dir}, $old);
my $fork = "$t->{base}/fork";
system('cp', '-r', $p->{dir}, $fork);
HdmsTest::client('rotate', $p->{dir});
HdmsTest::answers($t->mailbox($p), 401, 'bad-signature', 'a new key counts only when the server knows it');
is($t->register($p)->{status}, 200, 'a longer history replaces');
is($t->mailbox($p)->{status}, 200, 'then the new key counts');
HdmsTest::answers($t->mailbox({dir => $old}), 401, 'bad-signature', 'and the old one does not');
is($t->register({dir => $old})->{status}, 200, 'a shorter history changes nothing');
is($t->mailbox($p)->{status}, 200, 'the new key still counts');

# forks
HdmsTest::client('rotate', $fork);
HdmsTest::answers($t->register({dir => $fork}), 409, 'fork', 'a contradicting history freezes the node');
HdmsTest::answers($t->mailbox($p), 403, 'frozen', 'a frozen node is let in no more');
HdmsTest::answers($t->register($p), 409, 'fork', 'not even by registering');
is($t->request($a, GET => "/v1/nodes/$p->{id}")->{json}{status}, 'frozen', 'others see that it is frozen');
HdmsTest::answers($t->put($a, $p, $t->envelope), 404, 'unknown-node', 'nothing is put for it');
($out, $status) = $t->admin('thaw', $p->{id});
is($status, 0, 'the operator can thaw it');
is($t->mailbox($p)->{status}, 200, 'with the history that was known');
($out, $status) = $t->admin('thaw', $p->{id});
is($status, 1, 'what is not frozen cannot be thawed');

($out, $status) = $t->admin('nodes');
is(scalar(grep { /$a->{id}|$b->{id}|$c->{id}|$p->{id}|$q->{id}/ } split /\n/, $out), 5, 'nodes lists all of them');
$t->healthy;
done_testing;

sub decode
{
	my ($text) = @_;
	require MIME::Base64;
	$text =~ tr{-_}{+/};
	return MIME::Base64::decode_base64($text);
}
