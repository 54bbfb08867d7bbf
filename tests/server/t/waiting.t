# Long polls and event streams, in one process and between two.
use strict;
use warnings;
use Test::More;
use Time::HiRes ();
use HdmsTest;

my $t = HdmsTest->new;
my $h = $t->institution('Hospital');
my $p = $t->person($h);
my $q = $t->person($h);
my $second = $t->start_server;
my ($r, $later, $e, $started);

sub waiting { my ($count, $url) = @_; return HdmsTest::wait_until(sub { $t->metric('hdms_waiters', $url) == $count }); }

# a long poll
$r = $t->mailbox($p, query => '?wait=1');
is_deeply(HdmsTest::ids($r), [], 'a long poll that nothing comes for is answered with an empty mailbox');
$later = $t->request_later($p, GET => '/v1/mailbox?wait=50');
ok(waiting(1), 'a long poll waits');
$e = $t->envelope;
is($t->put($h, $q, $e)->{status}, 201, "a put for somebody else");
is($t->metric('hdms_waiters'), 1, 'does not wake it');
$started = Time::HiRes::time();
$t->put($h, $p, $e);
$r = $later->();
is_deeply(HdmsTest::ids($r), [$e->{id}], 'a put wakes it');
cmp_ok($r->{at} - $started, '<', 20, 'long before its time is over');
is($t->metric('hdms_waiters'), 0, 'and it waits no more');
is_deeply(HdmsTest::ids($t->mailbox($p, query => '?wait=50')), [$e->{id}], 'when there is something it does not wait');

# the next wait rides on an acknowledgement
$later = $t->request_later($p, POST => '/v1/mailbox/ack', text => JSON::PP->new->encode({ids => [$e->{id}], wait => 50}));
ok(waiting(1), 'an acknowledgement with wait waits');
is($t->psql("SELECT count(*) FROM hdms_server.mailbox WHERE recipient = '$p->{id}'"), 0, 'and has acknowledged already');
$t->put($h, $p, $e);
is_deeply(HdmsTest::ids($later->()), [$e->{id}], 'what is put again meanwhile is not acknowledged a second time');
$t->acknowledge($p, [$e->{id}]);

# two that wait for one mailbox
my @two = map { $t->request_later($p, GET => '/v1/mailbox?wait=50') } 1 .. 2;
ok(waiting(2), 'two wait for one mailbox');
$t->put($h, $p, $e);
is_deeply(HdmsTest::ids($_->()), [$e->{id}], 'both are woken') for @two;
$t->acknowledge($p, [$e->{id}]);

# between processes
$later = $t->request_later($p, GET => '/v1/mailbox?wait=50', url => $second->{url});
ok(waiting(1, $second->{metrics}), 'a long poll waits at another process');
$started = Time::HiRes::time();
is($t->put($h, $p, $e)->{status}, 201, 'a put through the first one');
$r = $later->();
is_deeply(HdmsTest::ids($r), [$e->{id}], 'wakes it');
cmp_ok($r->{at} - $started, '<', 20, 'long before its time is over');
cmp_ok($t->metric('hdms_wakes_remote_total', $second->{metrics}), '>=', 1, 'by a notification');
is($t->metric('hdms_wakes_remote_total'), 0, 'which the sender itself ignores');
$t->acknowledge($p, [$e->{id}], url => $second->{url});
is(scalar @{HdmsTest::ids($t->mailbox($p))}, 0, 'an acknowledgement at one process counts at the other');

# many that wait, and one put for each: nobody is forgotten
my @persons = map { $t->person($h) } 1 .. 8;
my @polls = map { $t->request_later($persons[$_], GET => '/v1/mailbox?wait=55', url => $_ % 2 ? $second->{url} : $t->{url}) } 0 .. 7;
my @mail = map { $t->envelope } 0 .. 7;
my @puts = map { my $i = $_; $t->request_later($h, PUT => "/v1/mailboxes/$persons[$i]{id}/$mail[$i]{id}", body => $mail[$i]{file}, type => 'application/jose') } 0 .. 7;
$_->() for @puts;
is(join(' ', map { HdmsTest::ids($polls[$_]->())->[0] eq $mail[$_]{id} ? 1 : 0 } 0 .. 7), '1 1 1 1 1 1 1 1', 'puts that race with polls wake them all');

# a client that goes away
{
	my ($text) = HdmsTest::run($HdmsTest::client, 'request', $q->{dir}, $t->{url}, 'GET', '/v1/mailbox?wait=3', 'timeout=1');
	$t->acknowledge($q, HdmsTest::ids($t->mailbox($q)));
	HdmsTest::run($HdmsTest::client, 'request', $q->{dir}, $t->{url}, 'GET', '/v1/mailbox?wait=3', 'timeout=1');
	ok(waiting(0), 'a client that went away leaves no waiter behind');
}

# an event stream
my $stream_out = "$t->{base}/stream";
sub stream
{
	my ($node, $seconds, $url) = @_;
	my $pid = fork() // die;

	if ($pid == 0)
	{
		open STDOUT, '>', $stream_out;
		exec $HdmsTest::client, 'request', $node->{dir}, $url // $t->{url}, 'GET', '/v1/mailbox', 'accept=text/event-stream', 'stream=1', "timeout=$seconds" or die;
	}
	$t->{pids}{$pid} = 1;
	return $pid;
}
sub stream_has { my ($pattern) = @_; return HdmsTest::wait_until(sub { HdmsTest::read_file($stream_out) =~ $pattern }); }
sub stream_count { my ($id) = @_; my $text = HdmsTest::read_file($stream_out); return scalar(() = $text =~ /\Q"id":"$id"\E/g); }

$t->put($h, $p, $mail[0]);
my $pid = stream($p, 60);
ok(stream_has(qr/^event: epoch\ndata: \S+\n\nevent: envelope\ndata: \{"id":"$mail[0]{id}","data":"\Q$mail[0]{text}\E"\}\n\n/), 'a stream begins with the epoch and what is in the mailbox');
$t->put($h, $p, $mail[1]);
ok(stream_has(qr/"id":"$mail[1]{id}"/), 'what is put later comes on the stream');
is(stream_count($mail[0]{id}), 1, 'what came is not sent again');
$t->put($h, $p, $mail[2], url => $second->{url});
ok(stream_has(qr/"id":"$mail[2]{id}"/), 'also when it was put through another process');
$t->acknowledge($p, [$mail[0]{id}]);
$t->put($h, $p, $mail[0]);
ok(HdmsTest::wait_until(sub { stream_count($mail[0]{id}) == 2 }), 'what was acknowledged and put again is sent again');
my $big = $t->envelope(1024 * 1024);
$t->put($h, $p, $big);
ok(stream_has(qr/\Q$big->{text}\E/), 'a large envelope comes whole');
$t->put($h, $p, $_) for my @row = map { $t->envelope } 1 .. 10;
ok(HdmsTest::wait_until(sub { !grep { stream_count($_->{id}) != 1 } @row }), 'many in a row come, each once');
ok(stream_has(qr/^:\n\n/m), 'a heartbeat comes');
$t->start_server;
ok(stream_has(qr/event: epoch.*event: epoch/s), 'a new epoch is told on the stream');
kill 'KILL', $pid;
waitpid $pid, 0;
delete $t->{pids}{$pid};
$t->put($h, $p, $t->envelope);
ok(waiting(0), 'a stream whose client went away ends');
$t->healthy;
done_testing;
