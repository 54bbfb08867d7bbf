# Event streams under strain: two processes, acknowledgements meanwhile, a reader that does not read, an end.
use strict;
use warnings;
use Test::More;
use Digest::SHA qw(sha256_base64);
use Time::HiRes ();
use HdmsTest;

my $t = HdmsTest->new(config => "rate_burst = 100000\nrate_per_second = 10000");
my $second = $t->start_server(public_url => $t->{url});
my $authority = $t->{url} =~ s{.*//}{}r;
my $h = $t->institution('Hospital');
my $p = $t->person($h);

sub command { my ($node, $url) = @_; return ($HdmsTest::client, 'request', $node->{dir}, $url, 'GET', '/v1/mailbox', 'accept=text/event-stream', 'stream=1', 'timeout=300', "authority=$authority"); }
# A stream whose output is in a file.
my $streams = 0;
sub stream
{
	my ($node, $url) = @_;
	my $file = "$t->{base}/stream" . ++$streams;
	my $pid = fork() // die;

	if ($pid == 0)
	{
		open STDOUT, '>', $file;
		exec command($node, $url) or die;
	}
	$t->{pids}{$pid} = 1;
	return {file => $file, pid => $pid};
}
sub text { my ($stream) = @_; return HdmsTest::read_file($stream->{file}); }
sub seen { my ($text) = @_; my %count; $count{$_}++ for $text =~ /^data: \{"id":"([\w-]+)"/mg; return \%count; }
sub has { my ($stream, $e, $times) = @_; return HdmsTest::wait_until(sub { (seen(text($stream))->{$e->{id}} // 0) == ($times // 1) }); }
sub end { my ($stream) = @_; kill 'KILL', $stream->{pid}; waitpid $stream->{pid}, 0; delete $t->{pids}{$stream->{pid}}; }

# streams of one mailbox at two processes
my $here = stream($p, $t->{url});
my $there = stream($p, $second->{url});
ok(HdmsTest::wait_until(sub { text($_) =~ /event: epoch/ }), 'a stream begins') for $here, $there;
my $e = $t->envelope;
$t->put($h, $p, $e);
ok(has($_, $e), 'a put comes on both') for $here, $there;
cmp_ok($t->metric('hdms_wakes_remote_total', $second->{metrics}), '>=', 1, 'at the other process by a notification');
my $f = $t->envelope;
$t->acknowledge($p, [$e->{id}]);
$t->put($h, $p, $f, url => $second->{url}, authority => $authority);
ok(has($_, $f), 'after an acknowledgement the next one comes') for $here, $there;
is(seen(text($_))->{$e->{id}}, 1, 'and what was acknowledged does not come again') for $here, $there;
$t->put($h, $p, $e);
ok(has($_, $e, 2), 'unless it is put again') for $here, $there;
my $length = length text($here);
ok(HdmsTest::wait_until(sub { substr(text($here), $length) =~ /\A(?::\n\n)+\z/ }), 'while nothing happens only comments come, which keep the connection alive');
end($here);
ok(HdmsTest::wait_until(sub { $t->put($h, $p, $t->envelope); $t->metric('hdms_waiters') == 0 }), 'a stream whose reader is gone ends');

# a server that stops
kill 'TERM', $second->{pid};
is($t->wait_server($second), 0, 'a server with an open stream stops');
ok(HdmsTest::wait_until(sub { waitpid($there->{pid}, POSIX::WNOHANG()) != 0 }), 'and ends it');
delete $t->{pids}{$there->{pid}};

# Looks like an envelope; many are made faster here than by the client.
sub imitation
{
	my ($size) = @_;
	my $text = 'eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00ifQ.AAAA.BBBB.' . join('', map { ('A' .. 'Z')[rand 26] } 1 .. 40) . 'A' x $size . '.CCCC';
	return {text => $text, id => sha256_base64($text) =~ tr{+/}{-_}r};
}

# more than a thousand that are not acknowledged
sub put_many
{
	my ($node, $count, $size) = @_;
	my @made = map { imitation($size // 300) } 1 .. $count;
	my @left = @made;
	while (my @part = splice @left, 0, $size ? 5 : 200)
	{
		my $r = $t->request($h, POST => '/v1/envelopes', text => JSON::PP->new->encode({envelopes => [map { {to => $node->{id}, id => $_->{id}, ttl => 0, data => $_->{text}} } @part]}));
		die "$r->{status} $r->{body}" if $r->{status} != 200 || grep { $_->{status} != 201 } @{$r->{json}{results}};
	}
	return map { $_->{id} } @made;
}
my $q = $t->person($h);
my @ids = put_many($q, 1020);
my $bounded = stream($q, $t->{url});
ok(HdmsTest::wait_until(sub { keys %{seen(text($bounded))} >= 1000 }), 'a thousand come without an acknowledgement');
$t->put($h, $q, $t->envelope);
is(keys %{seen(text($bounded))}, 1000, 'and no more');
$t->acknowledge($q, [@ids[0 .. 499]]);
$t->put($h, $q, my $last = $t->envelope);
ok(has($bounded, $last), 'acknowledgements make room for the rest');
my $seen = seen(text($bounded));
is((grep { ($seen->{$_} // 0) != 1 } @ids) + 0, 0, 'each of them came once');
end($bounded);

# a reader that does not read
my $slow = $t->person($h);
@ids = put_many($slow, 40, 1000000);
my $pid = open my $out, '-|', command($slow, $t->{url}) or die;
$t->{pids}{$pid} = 1;
ok(HdmsTest::wait_until(sub { $t->metric('hdms_body_bytes') > 500000 }), 'a reader that does not read leaves text at the server');
my $most = 0;
for (1 .. 20)
{
	is($t->put($h, $p, $t->envelope)->{status}, 201, 'others are served meanwhile');
	my $bytes = $t->metric('hdms_body_bytes');
	$most = $bytes if $bytes > $most;
}
cmp_ok($most, '<', 20_000_000, 'which is one look\'s, and not the whole mailbox');
my $text = '';
while (keys %{seen($text)} < 40)
{
	my $line = <$out>;
	last unless defined $line;
	$text .= substr($line, 0, 100) . "\n";
}
$seen = seen($text);
is((grep { ($seen->{$_} // 0) != 1 } @ids) + 0, 0, 'when it reads all come, each once');
is_deeply([$text =~ /^data: \{"id":"([\w-]+)"/mg], \@ids, 'in order');
kill 'KILL', $pid;
close $out;
delete $t->{pids}{$pid};
ok(HdmsTest::wait_until(sub { $t->put($h, $slow, $t->envelope); $t->metric('hdms_waiters') == 0 && $t->metric('hdms_body_bytes') < 100000 }), 'and nothing is left of it');
$t->healthy;
done_testing;
