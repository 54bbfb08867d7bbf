# A server that accepts connections and says nothing, or a byte now and then: no worker holds up who needs a database,
# the extension or the whole cluster, and all goes on when the server does.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice', conf => "retry_max = 2s\nrequest_timeout = 5s\n");
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

# Shorter than the time after which a worker gives up waiting for an answer: who is held up by one does not make it.
my $limit = 15;

my %stuck = (
	'says nothing' => sub { },
	'says one byte now and then' => sub { my ($socket) = @_; syswrite $socket, 'x' },
);
my $hung;
my $requests = "$pg->{base}/requests";

# Takes requests and never ends an answer; each request is a line in a file.
sub hang
{
	my ($now_and_then) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$net->{port}", Listen => 100, ReuseAddr => 1) or die "listen: $!";
	spew($requests, '');
	$hung = fork // die "fork: $!";
	return if $hung;
	$SIG{$_} = 'DEFAULT' for qw(TERM INT);
	$SIG{PIPE} = 'IGNORE';
	open my $out, '>>', $requests or POSIX::_exit(1);
	$out->autoflush(1);
	my $select = IO::Select->new($listener);
	my %answering;
	while (1)
	{
		for my $socket ($select->can_read(0.2))
		{
			if ($socket == $listener) { $select->add(scalar $listener->accept); next; }
			my $got = sysread $socket, my $data, 65536;
			if (!$got) { $select->remove($socket); delete $answering{$socket}; close $socket; next; }
			my ($line) = $data =~ m{^([A-Z]+ \S+) HTTP/1\.1\r\n} or next;
			print $out "$line\n";
			syswrite $socket, "HTTP/1.1 200 OK\r\nHDMS-Epoch: " unless $answering{$socket};
			$answering{$socket} = $socket;
		}
		$now_and_then->($_) for values %answering;
	}
}

sub requests { my @lines = split /\n/, slurp($requests); return scalar @lines; }
sub unhang { kill 'KILL', $hung; waitpid $hung, 0; $hung = undef; }
END { local $?; kill 'KILL', $hung if $hung; }

sub worker_of { my ($db) = @_; return $pg->sql('postgres', "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE backend_type = 'hdms worker' AND datname = '$db'"); }
sub in_time { my ($db, $sql, $what) = @_; ok(eval { $pg->sql($db, "SET statement_timeout = '${limit}s'; $sql"); 1 }, $what) or diag $@; }

my $serial = 0;
for my $how (sort keys %stuck)
{
	subtest "a server that $how" => sub {
		my $west = $net->hospital('west' . ++$serial);
		$pg->sql('postgres', "CREATE DATABASE fresh$serial");
		$net->stop('KILL');
		hang($stuck{$how});
		$pg->sql("fresh$serial", "CREATE EXTENSION hdms CASCADE; SELECT hdms.join_network('$net->{url}', '$net->{fingerprint}', 'Fresh', false)");
		$pg->serve_database("fresh$serial");
		my $record = $north->issue('A-1', "{\"server\": \"$how\"}");
		$north->wait_status($record, 'issued');
		pass('EMRs go on, and records are signed');
		wait_until('each worker to wait for an answer', sub { my $text = slurp($requests); requests() >= 4 && $text =~ /network/ });

		in_time("fresh$serial", 'DROP EXTENSION hdms', 'DROP EXTENSION is not held up');
		in_time('postgres', "DROP DATABASE fresh$serial", 'nor is DROP DATABASE');
		in_time('postgres', "DROP DATABASE $west->{db}", 'also of a node that is active');
		in_time('postgres', "CREATE DATABASE copy$serial TEMPLATE north", 'nor a copy');
		in_time('postgres', "DROP DATABASE copy$serial", 'and its end');
		$pg->{databases} = [qw(north)];
		$pg->configure("hdms.databases = 'north'\n");
		$pg->reload;
		wait_until('the worker of south to end', sub { worker_of('south') == 0 }, $limit);
		pass('a reload is heard');
		$pg->{databases} = [qw(north south)];
		$pg->configure("hdms.databases = 'north, south'\n");
		$pg->reload;
		wait_until('the worker of south to begin', sub { worker_of('south') > 0 }, $limit);

		my $before = requests();
		wait_until('new requests', sub { requests() > $before });
		ok(eval { HdmsCluster::command('stop', @HdmsCluster::as_postgres, HdmsCluster::pg_bin() . '/pg_ctl', '-D', $pg->{data}, '-m', 'fast', '-t', $limit, '-w', '-s', 'stop'); 1 },
			'nor is a fast shutdown') or diag $@;
		$pg->{running} = 0;
		$pg->start;
		$before = requests();
		wait_until('requests after the start', sub { requests() > $before });
		isnt($north->status($record), 'committed', 'nothing was taken for an answer');

		unhang();
		$net->start;
		$north->wait_status($record, 'committed', 120);
		pass('when the server answers, all goes on');
		$north->wait_for("SELECT last_error IS NULL FROM hdms.workers WHERE database = 'north'");
	};
}
unlike($pg->log_text, qr/PANIC|server process .* was terminated/, 'no process died');
done_testing;
