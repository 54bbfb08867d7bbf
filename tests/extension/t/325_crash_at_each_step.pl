# A worker, the server or all of PostgreSQL is killed exactly while it writes: once at each step of the storing flow.
# A trigger waits for a lock that the test holds; the crash takes the lock with it. Afterwards each record is there once, on both sides.
use strict;
use warnings;
use IPC::Run qw(start);
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice', conf => "retry_max = 1s\nresend_initial = 2s\n");
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

for my $db (qw(north south hdms_server))
{
	$pg->sql($db, <<'SQL');
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE FUNCTION trap.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(4711); RETURN coalesce(new, old); END $$;
SQL
}

# [what is killed, database, table, event, condition]
my @steps = (
	['a version is signed', 'north', 'hdms_internal.versions', 'UPDATE', "new.status = 'issued'"],
	['the queue of versions is emptied', 'north', 'hdms_internal.issue_queue', 'DELETE', 'true'],
	['a record message is written', 'north', 'hdms_internal.outbox', 'INSERT', "new.type = 'record'"],
	['the message is noted as sent', 'north', 'hdms_internal.outbox', 'UPDATE', "new.status = 'sent'"],
	['the mailbox takes it', 'hdms_server', 'hdms_server.mailbox', 'INSERT', "new.recipient = 'the device'"],
	['the device takes it out of the mailbox', 'hdms_server', 'hdms_server.mailbox', 'DELETE', "old.recipient = 'the device'"],
	['the notary stores a request', 'south', 'hdms_internal.inbox', 'INSERT', 'true'],
	['the notary appends to its log', 'south', 'hdms_internal.log_entries', 'INSERT', 'true'],
	['the notary signs a checkpoint', 'south', 'hdms_internal.log_checkpoints', 'INSERT', 'true'],
	['the notary answers', 'south', 'hdms_internal.outbox', 'INSERT', "new.type = 'receipt'"],
	['the notary forgets an answer', 'south', 'hdms_internal.outbox', 'DELETE', "old.type = 'receipt'"],
	['the hospital stores the evidence', 'north', 'hdms_internal.inbox', 'INSERT', 'true'],
	['a version is committed', 'north', 'hdms_internal.versions', 'UPDATE', "new.status = 'committed'"],
	['the evidence is kept', 'north', 'hdms_internal.payloads', 'UPDATE', 'new.receipt IS NOT NULL'],
	['the event is written', 'north', 'hdms_internal.events', 'INSERT', "new.status = 'committed'"],
	['a message is noted as acted upon', 'north', 'hdms_internal.processed', 'INSERT', 'true'],
	['the confirmation is written', 'north', 'hdms_internal.outbox', 'INSERT', "new.type = 'committed'"],
	['the envelope is dropped', 'north', 'hdms_internal.inbox', 'DELETE', 'true'],
	['the confirmation was acknowledged', 'north', 'hdms_internal.outbox', 'DELETE', "old.type = 'committed'"],
);
my $node = $north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'A-1'");
$_->[4] =~ s{the device}{$node} for @steps;

sub recovered
{
	my ($crashes) = @_;
	wait_until('the recovery', sub { my @seen = $pg->log_text =~ /was terminated by signal 9/g; @seen >= $crashes });
	$pg->wait_sql('postgres', 'SELECT true', 't');
}

my %kill = (
	'the process' => sub {
		my ($db, $pid) = @_;
		if ($db eq 'hdms_server')
		{
			$net->stop('KILL');
			return;
		}
		my @seen = $pg->log_text =~ /was terminated by signal 9/g;
		kill 'KILL', $pid;
		recovered(@seen + 1);
	},
	'all of PostgreSQL' => sub { $pg->stop('immediate'); $pg->start; },
);

my $n = 0;
my @records;
for my $step (@steps)
{
	my ($what, $db, $table, $event, $when) = @$step;
	for my $victim (sort keys %kill)
	{
		my ($in, $out) = ("SELECT pg_advisory_lock(4711); SELECT 'held';\n", '');
		my $holder = start([$pg->psql_command($db)], '<', \$in, '>', \$out, '2>', '/dev/null');
		$holder->pump until $out =~ /held/;
		$pg->sql($db, "CREATE TRIGGER trap AFTER $event ON $table FOR EACH ROW WHEN ($when) EXECUTE FUNCTION trap.wait()");
		push @records, $north->issue('A-1', '{"n": ' . ++$n . '}', source_id => "step-$n");
		my $pid = eval { wait_until("$what", sub { eval { $pg->sql('postgres', "SELECT pid FROM pg_stat_activity WHERE datname = '$db' AND wait_event = 'advisory' LIMIT 1") } }, 30) };
		ok($pid, "the flow comes to where $what") or diag($north->status($records[-1]));
		$kill{$victim}->($db, $pid) if $pid;
		eval { $holder->kill_kill };
		$pg->wait_sql('postgres', 'SELECT true', 't');
		$pg->wait_sql($db, "DROP TRIGGER IF EXISTS trap ON $table; SELECT true", 't');
		$net->start if $victim eq 'the process' && $db eq 'hdms_server';
		ok(eval { $pg->wait_sql('north', "SELECT status FROM hdms.records WHERE record = '$records[-1]'", 'committed', 60) }, "$victim was killed while $what: the record is committed")
			or diag $@, $north->sql("SELECT string_agg(t::text, E'\n') FROM hdms.deliveries t");
	}
}

my $all = @records;
wait_until('the device to hold all as final', sub { my @final = @{$alice->json('records')}; @final == $all && !grep { $_->{status} ne 'final' } @final });
my %on_device = map { $_->{record} => $_ } @{$alice->json('records')};
is(scalar(keys %on_device), $all, 'each record is final on the device, once');
is($north->sql('SELECT count(*) FROM hdms.records'), $all, 'and there once at the hospital');
is($north->sql('SELECT count(*) FROM hdms_internal.versions'), $all, 'in one version');
is($north->sql("SELECT count(*) FROM (SELECT record, status FROM hdms.events WHERE kind = 'status' GROUP BY record, status HAVING count(*) > 1) AS twice"), '0', 'with no event twice');
is($north->sql("SELECT count(DISTINCT record) FROM hdms.events WHERE status = 'committed'"), $all, 'and none missing');
is($north->sql('SELECT max(id) = count(*) FROM hdms.events'), 't', 'and no gap');
is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', 'all verify');
is($south->sql('SELECT count(*), count(DISTINCT tag), max(index) + 1 FROM hdms_internal.log_entries'), "$all|$all|$all", "and are in the notary's log once");
is($_->sql("SELECT count(*) FROM hdms_internal.inbox WHERE status = 'quarantined'"), '0', "one crash puts nothing away at $_->{db}") for $north, $south;
$north->wait_for('SELECT count(*) FROM hdms_internal.outbox', '0');
is($north->sql('SELECT count(*) FROM hdms_internal.outbox_envelopes'), '0', 'nothing is left behind');
done_testing;
