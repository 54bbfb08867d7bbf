# Mailboxes: each row of PUT, POST /v1/envelopes, GET and ack.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $t = HdmsTest->new;
my $h = $t->institution('Hospital');
my $p = $t->person($h);
my $q = $t->person($h);
my $r;

my $e = $t->envelope;
$r = $t->put($h, $p, $e);
is($r->{status}, 201, 'a put is stored');
ok(HdmsTest::epoch($r), 'the answer has the epoch');
is($t->put($h, $p, $e)->{status}, 200, 'the same put again is known');
is($t->put($q, $p, $e)->{status}, 200, 'whoever puts it');
is($t->put($h, $q, $e)->{status}, 201, 'for another receiver it is another one');
is($t->put($p, $h, $t->envelope)->{status}, 201, 'a person may put to an institution');
is($t->put($p, $q, $t->envelope)->{status}, 201, 'a person may put to a person');
HdmsTest::answers($t->put($h, 'A' x 43, $e), 404, 'unknown-node', 'there is no mailbox for an unknown node');
HdmsTest::answers($t->put($h, $p, {%$e, id => 'A' x 43}), 400, 'bad-id', 'the id must be the digest of the body');
HdmsTest::answers($t->request($h, PUT => "/v1/mailboxes/$p->{id}/$e->{id}", body => $e->{file}, type => 'text/plain'), 415, 'bad-type', 'the type must be application/jose');
my $plain = $t->write_file("$t->{base}/plain", 'the patient has a cold');
HdmsTest::answers($t->put($h, $p, {file => $plain, id => HdmsTest::client('digest', $plain)}), 400, 'bad-format', 'what is no compact JWE is refused');
my $three = $t->write_file("$t->{base}/three", 'eyJhbGciOiJub25lIn0.e30.');
HdmsTest::answers($t->put($h, $p, {file => $three, id => HdmsTest::client('digest', $three)}), 400, 'bad-format', 'a JWS, which anybody could read, is no envelope');
HdmsTest::answers($t->put('-', $p, $e), 401, 'bad-signature', 'an unsigned put is refused');
HdmsTest::answers($t->put($h, $p, $e, query => '?ttl=x'), 400, 'bad-argument', 'a ttl is a number');
HdmsTest::answers($t->request($h, PUT => "/v1/mailboxes/$p->{id}/$e->{id}", type => 'application/jose'), 400, 'bad-request', 'a put without a body is refused');

# fetch
my @more = map { $t->envelope } 1 .. 4;
is($t->put($h, $p, $_)->{status}, 201, 'stored') for @more;
$r = $t->mailbox($p);
is_deeply(HdmsTest::ids($r), [$e->{id}, map { $_->{id} } @more], 'the mailbox is fetched oldest first');
is($r->{json}{envelopes}[0]{data}, $e->{text}, 'an envelope comes back byte for byte');
ok(!$r->{json}{more}, 'there is no more');
is($r->{json}{epoch}, HdmsTest::epoch($r), 'the body has the epoch, too');
$r = $t->mailbox($p, query => '?limit=2');
is_deeply(HdmsTest::ids($r), [$e->{id}, $more[0]{id}], 'limit limits');
ok($r->{json}{more}, 'and says that there is more');
is(scalar @{HdmsTest::ids($t->mailbox($p))}, 5, 'fetching drops nothing');
HdmsTest::answers($t->mailbox($p, query => '?limit=0'), 400, 'bad-argument', 'a limit of 0 is refused');
HdmsTest::answers($t->mailbox($p, query => '?wait=-1'), 400, 'bad-argument', 'a negative wait is refused');
is_deeply(HdmsTest::ids($t->mailbox($q)), [$e->{id}, HdmsTest::ids($t->mailbox($q))->[1]], 'everybody sees only their own');

# ack
$r = $t->acknowledge($p, [$e->{id}, $more[1]{id}, 'A' x 43]);
is("$r->{status} $r->{body}", '200 {}', 'an acknowledgement is answered, unknown ids are ignored');
is_deeply(HdmsTest::ids($t->mailbox($p)), [map { $more[$_]{id} } 0, 2, 3], 'what was acknowledged is gone');
is($t->acknowledge($p, [$e->{id}])->{status}, 200, 'acknowledging again is fine');
is(scalar @{HdmsTest::ids($t->mailbox($q))}, 2, "nobody acknowledges for others");
$t->acknowledge($q, [$more[0]{id}]);
is(scalar @{HdmsTest::ids($t->mailbox($p))}, 3, "not even by knowing an id");
$r = $t->acknowledge($p, [$more[0]{id}], more => {wait => 0, limit => 1});
is_deeply(HdmsTest::ids($r), [$more[2]{id}], 'an acknowledgement with wait answers with the mailbox');
ok($r->{json}{more}, 'and respects the limit');
is($t->put($h, $p, $e)->{status}, 201, 'what was acknowledged may be put again');
HdmsTest::answers($t->request($p, POST => '/v1/mailbox/ack', text => '{"ids":["x"]}'), 400, HdmsTest::word($t->request($p, POST => '/v1/mailbox/ack', text => '{"ids":["x"]}')), 'an id must be one');
HdmsTest::answers($t->request($p, POST => '/v1/mailbox/ack', text => '[]'), 400, 'bad-format', 'an acknowledgement is an object');
is($t->acknowledge($p, [])->{status}, 200, 'acknowledging nothing is fine');

# put many
my @batch = map { $t->envelope } 1 .. 3;
my $many = sub {
	my (@parcels) = @_;
	return $t->request($h, POST => '/v1/envelopes', text => JSON::PP->new->canonical->encode({envelopes => \@parcels}));
};
my $parcel = sub { my ($to, $envelope, %o) = @_; return {to => ref $to ? $to->{id} : $to, id => $envelope->{id}, ttl => 0, data => $envelope->{text}, %o}; };
$t->acknowledge($p, HdmsTest::ids($t->mailbox($p)));
$r = $many->($parcel->($p, $batch[0]), $parcel->($q, $e), $parcel->('A' x 43, $batch[1]), $parcel->($p, $batch[1]), $parcel->($p, $batch[0]), $parcel->($p, $batch[2], id => 'A' x 43));
is($r->{status}, 200, 'many are put in one request');
is(join(' ', map { $_->{status} } @{$r->{json}{results}}), '201 200 404 201 200 400', 'each is answered for itself, in order');
is_deeply([map { $_->{id} } @{$r->{json}{results}}], [map { $_->{id} } $batch[0], $e, $batch[1], $batch[1], $batch[0], {id => 'A' x 43}], 'with its id');
is($r->{json}{epoch}, HdmsTest::epoch($r), 'and the epoch');
is_deeply(HdmsTest::ids($t->mailbox($p)), [$batch[0]{id}, $batch[1]{id}], 'in the order of the request');
is($many->()->{status}, 200, 'none is fine');
HdmsTest::answers($many->(map { $parcel->($p, $batch[0]) } 1 .. 257), 413, 'too-large', 'more than 256 are too many');
HdmsTest::answers($t->request($h, POST => '/v1/envelopes', text => '{"envelopes":[{}]}'), 400, HdmsTest::word($t->request($h, POST => '/v1/envelopes', text => '{"envelopes":[{}]}')), 'what is no parcel is refused');

# sizes
my $big = $t->envelope(1024 * 1024);
is(length $big->{text}, 1024 * 1024, 'an envelope of 1 MiB');
is($t->put($h, $p, $big)->{status}, 201, 'is stored');
is($t->mailbox($p)->{json}{envelopes}[2]{data}, $big->{text}, 'and fetched');
HdmsTest::answers($t->put($h, $p, $t->envelope(1024 * 1024 + 1)), 413, 'too-large', 'one byte more is too large');
is($t->put($h, $p, $t->envelope(1024 * 1024))->{status}, 201, 'another of 1 MiB') for 1 .. 4;
$r = $t->mailbox($p);
is(scalar @{HdmsTest::ids($r)}, 5, 'at most 4 MiB are fetched at once');
ok($r->{json}{more}, 'and there is more');
$t->acknowledge($p, HdmsTest::ids($r));
is(scalar @{HdmsTest::ids($t->mailbox($p))}, 2, 'the rest comes next');

is($t->metric('hdms_envelopes_stored_total') > 10, 1, 'the metrics count envelopes');
$t->healthy;
done_testing;
