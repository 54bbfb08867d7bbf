# The server is down, talks nonsense, or has lost everything: nothing is lost, and the node finds back by itself.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice', conf => "retry_max = 2s\n");
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

sub pids { return $pg->sql('postgres', "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity WHERE backend_type = 'hdms worker'"); }
my $pids = pids();

sub commits
{
	my ($name) = @_;
	my $record = $north->issue('A-1', "{\"name\": \"$name\"}");
	$north->wait_status($record, 'committed', 90);
	return pass($name);
}

# A server that says the same thing to everybody, on the real one's port, until $count requests were answered.
sub nonsense
{
	my ($what, $answer, $count) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$net->{port}", Listen => 20, ReuseAddr => 1) or die "listen: $!";
	my $select = IO::Select->new($listener);
	my $deadline = time + 60;
	while ($count > 0 && time < $deadline)
	{
		for my $socket ($select->can_read(1))
		{
			if ($socket == $listener)
			{
				$select->add(scalar $listener->accept);
				next;
			}
			my $got = sysread $socket, my $data, 65536;
			if ($got && $data =~ /\r\n\r\n/)
			{
				syswrite $socket, $answer;
				$count--;
			}
			$select->remove($socket);
			close $socket;
		}
	}
	close $listener;
	ok($count <= 0, "$what: the nodes go on asking");
	return;
}

sub http
{
	my ($status, $body, $type) = @_;
	$type //= 'application/json';
	return "HTTP/1.1 $status X\r\nContent-Type: $type\r\nHDMS-Epoch: nonsense\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
}

subtest 'the server is down for a while' => sub {
	$net->stop('KILL');
	my @records = map { $north->issue('A-1', "{\"n\": $_}") } 1 .. 5;
	$pg->wait_sql('north', "SELECT failures > 0 AND last_error LIKE '%no answer%' FROM hdms.workers WHERE database = 'north'");
	pass('the worker says that it has no answer');
	$net->start;
	$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", '5', 90);
	pass('what was issued meanwhile is committed afterwards');
	$north->wait_for("SELECT last_error IS NULL FROM hdms.workers WHERE database = 'north'");
	pass('and the worker takes its complaint back');
};

subtest 'the server is restarted while mail is in it' => sub {
	$alice->stop;
	my $record = $north->issue('A-1', '{"mail": 1}');
	$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE status = 'sent'", '1');
	$pg->sql('hdms_server', 'DELETE FROM envelopes') if $pg->sql('hdms_server', "SELECT to_regclass('envelopes') IS NOT NULL") eq 't';
	$net->stop;
	$net->start;
	$alice->start;
	$north->wait_status($record, 'committed', 90);
	pass('its new epoch makes the message be put again');
};

subtest 'the server talks nonsense' => sub {
	my $record = $north->issue('A-1', '{"nonsense": 1}');
	my $long = 'x' x (9 * 1024 * 1024);
	my %answers = (
		'an empty answer' => '',
		'no HTTP' => "SSH-2.0-OpenSSH_9.2\r\n",
		'HTML' => http(200, '<html>It works!</html>', 'text/html'),
		'half a JSON object' => http(200, '{"epoch": "x", "envelopes": [{"id": '),
		'another JSON object' => http(200, '{"results": 7, "envelopes": {"a": null}, "session": [], "network": "?"}'),
		'an array' => http(200, '[[[[]]]]'),
		'binary' => http(200, join('', map { chr } 0 .. 255)),
		'a huge answer' => http(200, $long),
		'too little' => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}",
		'a redirection' => "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
		'an error without a problem' => http(500, 'oops', 'text/plain'),
		'a refusal that is none of ours' => http(403, '{"type": "about:blank"}', 'application/problem+json'),
		'unknown-session for everything' => http(401, '{"type": "urn:hdms:problem:unknown-session", "title": "x", "status": 401, "detail": "x"}', 'application/problem+json'),
		'clock-skew without end' => http(401, '{"type": "urn:hdms:problem:clock-skew", "title": "x", "status": 401, "detail": "x", "now": 1}', 'application/problem+json'),
		'foreign envelopes' => http(200, '{"epoch": "x", "envelopes": [{"id": "' . 'A' x 43 . '", "data": "a.b.c.d.e"}], "more": true}'),
	);
	for my $what (sort keys %answers)
	{
		$net->stop;
		nonsense($what, $answers{$what}, 3);
		$net->start;
	}
	is(pids(), $pids, 'no worker fell');
	$north->wait_status($record, 'committed', 120);
	pass('and when the real one is back, everything goes on');
	is($north->sql("SELECT status FROM hdms.node"), 'active', 'the node is active');
	is($north->sql('SELECT count(*) FROM hdms.events WHERE kind IN (\'quarantined\', \'undeliverable\', \'false_key\')'), '0', 'and nothing was given up');
};

subtest 'the server has lost its database' => sub {
	$net->stop;
	$pg->sql('postgres', 'DROP DATABASE hdms_server');
	$pg->sql('postgres', 'CREATE DATABASE hdms_server');
	$net->tool("$net->{folder}/server-0.conf", 'init');
	$net->start;
	commits('hospitals and devices register again and go on');
	is($net->tool("$net->{folder}/server-0.conf", 'pending') =~ /Hospital/ ? 1 : 0, 0, 'without being admitted again');
	is(pids(), $pids, 'by the same workers');
};

done_testing;
