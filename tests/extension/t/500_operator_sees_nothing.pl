# What the server's operator can see: the whole database, the log, the process's memory while envelopes are in the mailboxes.
# Markers are planted wherever health data or a secret could come from, and looked for in every base64 alignment too.
use strict;
use warnings;
use Test::More;
use HdmsCluster;
no warnings 'portable';
use MIME::Base64 qw(encode_base64);

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nlog_min_messages = debug1\n");
my $net = $pg->network(conf => "log_level = debug\n");
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);

my %marker = (
	'content' => 'Zyxomarker-diagnosis-lupus', 'patient reference' => 'MRNMARKER-77881', 'source id' => 'SRCMARKER-55',
	'reason of a rejection' => 'REASONMARKER wrong person', 'actor' => 'ACTORMARKER-nurse', 'purpose' => 'PURPOSEMARKER-audit',
);

my $alice = $net->device('alice');
my $uri = $north->invite($marker{'patient reference'});
($marker{'pairing secret'}) = $uri =~ /secret=([^&]+)/ or die "no secret in the URI\n";
$alice->pair($uri);
$north->wait_for("SELECT status FROM hdms.patients", 'paired');
$alice->cmd('policy', 'North Hospital', 'ask');
chomp($marker{'passphrase'} = slurp($alice->{passphrase}));

# A committed, a rejected and an undelivered record, so that each kind of message was or is at the server.
$alice->start;
my $content = '{"resourceType": "Condition", "code": {"text": "' . $marker{content} . '"}}';
my @records = map { $north->sql("SET hdms.actor = '$marker{actor}'; SELECT hdms.issue('$marker{'patient reference'}', '$content', source_id => '$marker{'source id'}-$_')") } 1 .. 2;
wait_until('two records to decide', sub { @{$alice->json('inbox')} == 2 });
$alice->cmd('accept', $records[0]);
$alice->cmd('reject', $records[1], '--reason', $marker{'reason of a rejection'});
$north->wait_status($records[0], 'committed');
$north->wait_status($records[1], 'rejected');
$north->sql("SELECT hdms.read('$records[0]', '$marker{purpose}')");
$alice->stop;
$pg->sql('north', "SELECT hdms.issue('$marker{'patient reference'}', '$content')") for 1 .. 3;
$pg->wait_sql('hdms_server', 'SELECT count(*) >= 3 FROM hdms_server.mailbox', 't');

# The text in the clear, and as it stands inside base64 and base64url at each of the three alignments.
sub needles
{
	my ($text) = @_;
	my @needles = ($text);
	for my $shift (0 .. 2)
	{
		my $coded = encode_base64(('x' x $shift) . $text, '');
		$coded =~ s/=+$//;
		# The first and last characters mix with neighbours.
		my $inner = substr($coded, $shift ? $shift + 1 : 0, length($coded) - ($shift ? $shift + 1 : 0) - 2);
		push @needles, $inner, $inner =~ tr{+/}{-_}r;
	}
	return @needles;
}

sub sees_nothing
{
	my ($what, $haystack, @except) = @_;
	my %except = map { $_ => 1 } @except;
	for my $name (sort keys %marker)
	{
		next if $except{$name};
		my @found = grep { index($haystack, $_) >= 0 } needles($marker{$name});
		ok(!@found, "$what does not have the $name");
	}
}

my $dump = HdmsCluster::command('pg_dump', HdmsCluster::pg_bin() . '/pg_dump', '--inserts', '-d', $pg->conninfo('hdms_server'));
like($dump, qr/INSERT INTO hdms_server\.mailbox/, 'the dump of the server\'s database has envelopes');
sees_nothing('the server\'s database', $dump);
# Envelopes are bytea: hex in the dump. Look at the bytes too.
sees_nothing('the bytes of its mailboxes', pack 'H*', $pg->sql('hdms_server', q{SELECT string_agg(encode(data, 'hex'), '') FROM hdms_server.mailbox}));

my $log = $net->log_text;
ok(length $log, 'the server has a log');
sees_nothing('the server\'s log', $log);
sees_nothing('the hospital\'s log', $pg->log_text, 'patient reference', 'actor');
sees_nothing('the device\'s log', $alice->log_text);

# The server's writable memory, read as its operator can.
sub memory_of
{
	my ($pid) = @_;
	my $memory = '';
	open my $maps, '<', "/proc/$pid/maps" or die "maps: $!\n";
	open my $mem, '<:raw', "/proc/$pid/mem" or die "mem: $!\n";
	while (<$maps>)
	{
		next unless /^([0-9a-f]+)-([0-9a-f]+) rw/ && !/\[v(var|dso|syscall)/;
		my ($from, $to) = (hex $1, hex $2);
		sysseek $mem, $from, 0 or next;
		my $left = $to - $from;
		while ($left > 0 && (my $got = sysread $mem, my $part, $left > 1 << 20 ? 1 << 20 : $left))
		{
			$memory .= $part;
			$left -= $got;
		}
	}
	return $memory;
}
my $memory = memory_of($net->{servers}[0]);
cmp_ok(length $memory, '>', 100_000, 'the server\'s memory was read');
ok(index($memory, $north->{node}) >= 0, 'and is the right one: it knows the hospital');
sees_nothing('the server\'s memory', $memory);

# No private key either: the network key alone is the server's own.
for my $key (glob "$pg->{base}/keys/*/*.jwk")
{
	my ($d) = slurp($key) =~ /"d"\s*:\s*"([^"]+)"/ or next;
	ok(index($dump . $memory . $log . $pg->log_text, $d) < 0, 'no private key of a hospital is in dump, memory or log: ' . $key =~ s{.*/}{}r);
}

done_testing();
