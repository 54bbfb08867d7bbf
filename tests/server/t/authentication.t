# Who may: signatures, replays, clocks, sessions.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $t = HdmsTest->new;
my $h = $t->institution('Hospital');
my $p = $t->person($h);
my $e = $t->envelope;
my $target = "/v1/mailboxes/$p->{id}/$e->{id}";
my ($r, $now);

HdmsTest::answers($t->mailbox($t->node('person')), 401, 'unknown-node', 'an unknown node is told to register');
HdmsTest::answers($t->mailbox($p, tamper => 'signature'), 401, 'bad-signature', 'a wrong signature is refused');
HdmsTest::answers($t->mailbox($p, unsigned => 1), 401, 'bad-signature', 'no signature is refused');
HdmsTest::answers($t->mailbox($p, keyid => $h->{id}), 401, 'bad-signature', "another node's name is refused");
HdmsTest::answers($t->mailbox($p, authority => 'elsewhere.example'), 401, 'bad-signature', 'a signature for another server is refused');
HdmsTest::answers($t->mailbox($p, query => '?wait=0', tamper => 'query'), 401, 'bad-signature', 'an altered query is refused');
HdmsTest::answers($t->put($h, $p, $e, tamper => 'body'), 401, 'bad-signature', 'an altered body is refused');
HdmsTest::answers($t->put($h, $p, $e, tamper => 'no-digest'), 401, 'bad-signature', 'a body without a digest is refused');
is(scalar @{HdmsTest::ids($t->mailbox($p))}, 0, 'none of this was stored');

# clocks
$now = time;
$r = $t->mailbox($p, created => -301 - 5);
HdmsTest::answers($r, 401, 'clock-skew', 'a signature from more than five minutes ago is refused');
ok(abs($r->{json}{now} - $now) < 60, "and the server's time is told");
HdmsTest::answers($t->mailbox($p, created => 301 + 5), 401, 'clock-skew', 'so is one from the future');
is($t->mailbox($p, created => -280)->{status}, 200, 'within five minutes is fine');
is($t->mailbox($p, created => 280)->{status}, 200, 'either way');

# nonces
is($t->mailbox($p, nonce => 'once')->{status}, 200, 'a nonce is good once');
HdmsTest::answers($t->mailbox($p, nonce => 'once'), 401, 'replayed', 'and only once');
is($t->mailbox($h, nonce => 'once')->{status}, 200, "another node's nonces are its own");
HdmsTest::answers($t->put($h, $p, $e, nonce => 'once'), 401, 'replayed', 'a put with a used nonce is refused');
is(scalar @{HdmsTest::ids($t->mailbox($p))}, 0, 'and not stored');
is($t->put($h, $p, $e, nonce => 'twice')->{status}, 201, 'with a fresh one it is stored');
my @same = map { $t->request_later($p, GET => '/v1/mailbox', nonce => 'race') } 1 .. 6;
is(join(' ', sort map { $_->()->{status} } @same), '200 401 401 401 401 401', 'of many requests with one nonce at once one is good');

# a long poll uses its nonce once
my $later = $t->request_later($h, GET => '/v1/mailbox?wait=20', nonce => 'poll');
ok(HdmsTest::wait_until(sub { $t->metric('hdms_waiters') == 1 }), 'a long poll with a nonce waits');
my $other = $t->envelope;
$t->put($p, $h, $other);
is_deeply(HdmsTest::ids($later->()), [$other->{id}], 'and is answered when woken');

# sessions
HdmsTest::answers($t->request($p, POST => '/v1/sessions'), 400, 'nonce-required', 'a session needs a nonce');
my ($id, $expires) = split / /, HdmsTest::client('session', $p->{dir}, $t->{url});
ok($expires > $now + 11 * 3600, 'a session lives for hours');
is($t->mailbox($p, session => 1)->{status}, 200, 'requests can be signed with a session');
is($t->put($p, $h, $t->envelope, session => 1)->{status}, 201, 'with bodies, too');
HdmsTest::answers($t->mailbox($p, session => 1, tamper => 'signature'), 401, 'bad-signature', 'a wrong MAC is refused');
HdmsTest::answers($t->mailbox($p, session => 1, created => -400), 401, 'clock-skew', 'the clock counts for sessions');
HdmsTest::answers($t->mailbox($p, session => 1, keyid => $p->{id}), 401, 'bad-signature', "a session's MAC is no signature of the node");
HdmsTest::answers($t->mailbox($p, keyid => $id), 401, 'bad-signature', "a node's signature is no MAC of the session");
(my $altered = $id) =~ s/^(.)/$1 eq 'A' ? 'B' : 'A'/e;
HdmsTest::answers($t->mailbox($p, session => 1, keyid => $altered), 401, 'unknown-session', 'an altered session is unknown');
HdmsTest::answers($t->mailbox($p, session => 1, keyid => 'A' x 96), 401, 'unknown-session', 'an invented session is unknown');
HdmsTest::answers($t->mailbox($p, session => 1, keyid => 'short'), 401, 'unknown-session', 'a short one, too');
HdmsTest::answers($t->request($p, POST => '/v1/sessions', session => 1, nonce => 's'), 400, 'key-required', 'a session is not made by a session');
HdmsTest::answers($t->request($p, POST => '/v1/sessions', nonce => 'once'), 401, 'replayed', 'a replayed request for a session is refused');

# a new key ends the sessions of the old one
HdmsTest::client('rotate', $p->{dir});
is($t->register($p)->{status}, 200, 'a new key is registered');
HdmsTest::answers($t->mailbox($p, session => 1), 401, 'unknown-session', 'and ends the sessions of the old one');
HdmsTest::client('session', $p->{dir}, $t->{url});
is($t->mailbox($p, session => 1)->{status}, 200, 'a session can be made with the new one');

# a session ends
my $short = $t->start_server(session_ttl => '2s');
HdmsTest::client('session', $p->{dir}, $short->{url});
is($t->mailbox($p, session => 1, url => $short->{url})->{status}, 200, 'a short session works');
ok(HdmsTest::wait_until(sub { HdmsTest::word($t->mailbox($p, session => 1, url => $short->{url})) eq 'unknown-session' }), 'until it expires');
HdmsTest::client('session', $p->{dir}, $t->{url});
is($t->mailbox($p, session => 1, url => $short->{url}, authority => $short->{url} =~ s{.*//}{}r)->{status}, 200, "a session made by one process is good at another");

# the log and the metrics
my $log = $t->logs;
unlike($log, qr/\Q$id\E/, 'no session id is in the log');
cmp_ok($t->metric('hdms_authentication_failures_total'), '>', 10, 'failures are counted');
$t->healthy;
done_testing;
