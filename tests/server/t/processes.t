# Two processes over one database: what one was told, the other knows. Each state that is not in the database has its test here:
# keys and status of nodes, sessions, nonces, vouchers, lists of notaries, the fill of mailboxes, wake-ups; and rates, which are each process's own.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $t = HdmsTest->new(config => "mailbox_envelopes = 5\nrate_per_second = 1\nrate_burst = 120");
my $second = $t->start_server(public_url => $t->{url}, rate_burst => 200);
my @there = (url => $second->{url}, authority => $t->{url} =~ s{.*//}{}r);
my $h = $t->institution('Hospital', notary => 1);
my $p = $t->person($h);
my ($r, $e, $id);

sub soon { my ($condition, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; ok(HdmsTest::wait_until($condition), $name); }
sub statuses { return join ' ', sort map { $_->()->{status} } @_; }

is($t->mailbox($p, @there)->{status}, 200, 'both processes know a person');

# nonces: in the database, in the transaction of the request
is($t->mailbox($p, nonce => 'once')->{status}, 200, 'a nonce is used at one process');
HdmsTest::answers($t->mailbox($p, nonce => 'once', @there), 401, 'replayed', 'and is used up at the other');
is(statuses(map { $t->request_later($p, GET => '/v1/mailbox', nonce => 'race', $_ % 2 ? @there : ()) } 1 .. 6), '200 401 401 401 401 401',
	'of many requests with one nonce at both at once one is good');
is(statuses(map { $t->request_later($p, POST => '/v1/sessions', nonce => 'session-race', $_ % 2 ? @there : ()) } 1 .. 4), '201 401 401 401', 'of requests for a session, too');

# sessions: what a process must know is in the id, under a secret of the database
HdmsTest::client('session', $p->{dir}, $t->{url});
is($t->mailbox($p, session => 1, @there)->{status}, 200, 'a session made by one process is good at the other');

# keys: a change is told to the other
is($t->put($p, $h, $e = $t->envelope, session => 1, @there)->{status}, 201, 'the other process has the keys in memory');
system('cp', '-r', $p->{dir}, "$t->{base}/old");
HdmsTest::client('rotate', $p->{dir});
is($t->register($p)->{status}, 200, 'a new key is registered at one process');
soon(sub { HdmsTest::word($t->mailbox({dir => "$t->{base}/old"}, session => 1, @there)) eq 'unknown-session' }, 'and ends the old key\'s sessions at the other');
HdmsTest::answers($t->mailbox({dir => "$t->{base}/old"}, @there), 401, 'bad-signature', 'which refuses the old key');
is($t->mailbox($p, @there)->{status}, 200, 'and takes the new one');

# status: admitted, frozen, thawed
my $i = $t->node('Other Hospital');
is($t->register($i)->{status}, 202, 'an institution registers at one process');
HdmsTest::answers($t->mailbox($i, @there), 403, 'not-admitted', 'the other knows it as pending');
$t->admin('admit', $i->{id});
soon(sub { $t->mailbox($i, @there)->{status} == 200 }, 'and that it was admitted');
my $q = $t->person($h);
is($t->mailbox($q, @there)->{status}, 200, 'a person is known at the other process');
system('cp', '-r', $q->{dir}, "$t->{base}/fork");
HdmsTest::client('rotate', $q->{dir});
HdmsTest::client('rotate', "$t->{base}/fork");
is($t->register($q)->{status}, 200, 'a new key');
HdmsTest::answers($t->register({dir => "$t->{base}/fork"}), 409, 'fork', 'a contradicting one freezes the node at one process');
soon(sub { HdmsTest::word($t->mailbox($q, @there)) eq 'frozen' }, 'and so at the other');
$t->admin('thaw', $q->{id});
soon(sub { $t->mailbox($q, @there)->{status} == 200 }, 'what is thawed is let in again');

# vouchers: in the database
my $voucher = HdmsTest::client('voucher', $h->{dir});
my ($one, $two) = map { $t->node('person') } 1, 2;
is($t->register($one, voucher => $voucher)->{status}, 201, 'a voucher is used at one process');
is($t->request($two, POST => '/v1/nodes', text => HdmsTest::client('registration', $two->{dir}, "voucher=$voucher"), @there)->{status}, 403, 'and is used up at the other');
$voucher = HdmsTest::client('voucher', $h->{dir});
my @race = map { my $node = $t->node('person'); [HdmsTest::client('registration', $node->{dir}, "voucher=$voucher"), $node] } 1 .. 4;
is(statuses(map { $t->request_later($race[$_][1], POST => '/v1/nodes', text => $race[$_][0], $_ % 2 ? @there : ()) } 0 .. 3), '201 403 403 403', 'of four who bring one voucher at once one is let in');

# lists of notaries: read from the database
my $list = $t->request('-', GET => '/v1/notaries')->{body};
is($t->request('-', GET => '/v1/notaries', @there)->{body}, $list, 'both tell the same list of notaries');
$t->admin('admit', $i->{id}, '--notary');
isnt($t->request('-', GET => '/v1/notaries', @there)->{body}, $list, 'and the new one at once');
is($t->request('-', GET => '/v1/notaries')->{body}, $t->request('-', GET => '/v1/notaries', @there)->{body}, 'both of them');

# mailboxes: in the database
$t->acknowledge($h, [$e->{id}]);
$e = $t->envelope;
is(statuses(map { $t->request_later($p, PUT => "/v1/mailboxes/$h->{id}/$e->{id}", body => $e->{file}, type => 'application/jose', $_ % 2 ? @there : ()) } 1 .. 4), '200 200 200 201',
	'one envelope that is put at both at once is stored once');
is_deeply(HdmsTest::ids($t->mailbox($h, @there)), [$e->{id}], 'and fetched at either');
is($t->acknowledge($h, [$e->{id}], @there)->{status}, 200, 'what is acknowledged at one');
is_deeply(HdmsTest::ids($t->mailbox($h)), [], 'is gone at the other');

# their fill: counted anew when a process has not counted for ten seconds, or believes a mailbox full
my @five = map { $t->envelope } 1 .. 5;
for my $one (@five)
{
	soon(sub { $t->put($i, $h, $one)->{status} == 201 }, 'an envelope fits');
}
soon(sub { $t->put($i, $h, $t->envelope, @there)->{status} == 507 }, 'a mailbox that was filled at one process is full at the other');
is($t->put($i, $h, $e)->{status}, 507, 'and at the first');
$t->acknowledge($h, HdmsTest::ids($t->mailbox($h, @there)), @there);
soon(sub { $t->put($i, $h, $e)->{status} == 201 }, 'room that was made at one process is there at the other');

# rates: each process has its own, as docs/operator.md says
my $w = $t->person($h);
for (1 .. 150)
{
	$r = $t->mailbox($w);
	last if $r->{status} != 200;
}
HdmsTest::answers($r, 429, 'too-many-requests', 'who has used up the rate of one process');
is($t->mailbox($w, @there)->{status}, 200, 'has that of the other');
$t->healthy;
done_testing;
