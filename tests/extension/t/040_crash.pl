# A message is acted upon once whatever dies, and a poisonous one is put away instead of being tried for ever.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

# PostgreSQL has taken the death of a process in and works again.
sub wait_for_recovery
{
	my ($crashes) = @_;
	wait_until('the recovery', sub { my @seen = $pg->log_text =~ /was terminated by signal 9/g; @seen >= $crashes });
	$pg->wait_sql('postgres', 'SELECT true', 't');
}

# Makes acting upon messages of one type fail or hang: a trigger where every message leaves its id.
sub poison
{
	my ($what) = @_;
	$north->sql(<<"SQL");
CREATE OR REPLACE FUNCTION public.poison() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \$\$
BEGIN
	$what;
	RETURN NEW;
END \$\$;
DROP TRIGGER IF EXISTS poison ON hdms_internal.processed;
CREATE TRIGGER poison BEFORE INSERT ON hdms_internal.processed FOR EACH ROW EXECUTE FUNCTION public.poison()
SQL
}
sub cure { $north->sql('DROP TRIGGER IF EXISTS poison ON hdms_internal.processed'); }

# What an administrator does with a quarantined message when its cause has been mended.
sub release { $north->sql("UPDATE hdms_internal.inbox SET status = 'waiting', attempts = 0 WHERE status = 'quarantined'"); }

# While an envelope is being acted upon its row is there, with its attempts.
sub worker_in_poison
{
	return eval { $pg->sql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'hdms worker' AND datname = 'north' AND wait_event = 'PgSleep'") };
}

sub worker_of
{
	my ($db) = @_;
	return eval { $pg->sql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'hdms worker' AND datname = '$db'") };
}

# A pid that is none would be 0: this test's own process group.
sub kill_worker
{
	my ($pid) = @_;
	die "not a pid: $pid\n" unless $pid =~ /^[1-9][0-9]*$/;
	return kill 'KILL', $pid;
}

subtest 'a message that raises an error twice is quarantined' => sub {
	poison("RAISE EXCEPTION 'the patient''s secret diagnosis'");
	my $record = $north->issue('A-1', '{"step": 1}');
	$north->wait_for("SELECT count(*) >= 1 FROM hdms_internal.inbox WHERE status = 'quarantined'", 't');
	is($north->sql("SELECT DISTINCT attempts FROM hdms_internal.inbox WHERE status = 'quarantined'"), '2', 'after two attempts');
	like($north->sql("SELECT problem FROM hdms_internal.inbox WHERE status = 'quarantined' LIMIT 1"), qr/SQLSTATE P0001 in exec_stmt_raise/, 'with where it failed');
	is($north->sql("SELECT count(*) >= 1 FROM hdms.events WHERE kind = 'quarantined'"), 't', 'it is an event');
	my @shown = $pg->log_text =~ /secret diagnosis/g;
	is(scalar(@shown), 0, 'the text of the error, which could hold health data, is not in the log');
	like($north->sql("SELECT string_agg(detail, ' ') FROM hdms.doctor() WHERE status <> 'ok'"), qr/without an outcome/, 'the doctor shows it');
	cure();
	my $later = $north->issue('A-1', '{"step": "1 again"}');
	$north->wait_status($later, 'committed');
	pass('others are acted upon');
	is($north->status($record), 'issued', 'that one is not by itself');
	release();
	$north->wait_status($record, 'committed');
	pass('it is when somebody lets it');
};

subtest 'a message that takes the server down twice is quarantined' => sub {
	my @before = $pg->log_text =~ /was terminated by signal 9/g;
	my $crashes = @before;
	poison('PERFORM pg_sleep(3600)');
	my $record = $north->issue('A-1', '{"step": 2}');
	for my $time (1, 2)
	{
		my $pid = wait_until('the worker to hang', \&worker_in_poison);
		kill_worker($pid);
		wait_for_recovery(++$crashes);
	}
	$north->wait_for("SELECT count(*) FROM hdms_internal.inbox WHERE status = 'quarantined' AND problem LIKE '%went down twice%'", '1');
	pass('and shown');
	cure();
	$pg->sql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'hdms worker' AND wait_event = 'PgSleep'");
	release();
	$north->wait_status($record, 'committed');
	pass('after that the node goes on');
};

subtest 'a worker that is killed at any time loses nothing and does nothing twice' => sub {
	my @before = $pg->log_text =~ /was terminated by signal 9/g;
	my $crashes = @before;
	my @records;
	for my $step (1 .. 3)
	{
		push @records, map { $north->issue('A-1', "{\"step\": \"$step-$_\"}") } 1 .. 10;
		my $pid = wait_until('a worker', sub { worker_of($step % 2 ? 'north' : 'south') });
		kill_worker($pid);
		wait_for_recovery(++$crashes);
	}
	$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed' AND record IN ('" . join("','", @records) . "')", scalar(@records), 120);
	pass('all records are committed');
	is($north->sql("SELECT max(n) FROM (SELECT count(*) AS n FROM hdms.events WHERE status = 'committed' GROUP BY record) AS x"), '1', 'each once');
	is($north->sql('SELECT count(*) = max(id) FROM hdms.events'), 't', 'the events have no gap');
	is($south->sql('SELECT count(*) = count(DISTINCT tag) AND count(*) = max(index) + 1 FROM hdms_internal.log_entries'), 't', "nor has the notary's log");
	is($north->sql("SELECT count(*) FROM hdms_internal.inbox WHERE status = 'quarantined'"), '0', 'and no innocent message was put away');
	$north->wait_for('SELECT count(*) FROM hdms_internal.outbox', '0');
	is($north->sql('SELECT count(*) FROM hdms_internal.outbox_envelopes'), '0', 'no envelope is left behind');
};

done_testing;
