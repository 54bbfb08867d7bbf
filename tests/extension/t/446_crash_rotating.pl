# The worker, the server or all of PostgreSQL is killed exactly while keys are being replaced: once at each step. The node goes on with keys
# that everybody knows, and with the records that were under way.
use strict;
use warnings;
use IPC::Run qw(start);
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\nhdms.rotation_grace = 0\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $node = $north->{node};
my $folder = "$pg->{base}/keys/$node";
my $alice = $net->device('alice', conf => "retry_max = 1s\nresend_initial = 2s\n");
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');

for my $db (qw(north hdms_server))
{
	$pg->sql($db, <<'SQL');
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE FUNCTION trap.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(4711); RETURN coalesce(new, old); END $$;
SQL
}

# [what is killed, database, table, event, condition, victim]
my @steps = (
	['the history is stored', 'north', 'hdms_internal.node', 'UPDATE', 'new.history IS DISTINCT FROM old.history', 'the process'],
	['the change is noted as made', 'north', 'hdms_internal.key_changes', 'UPDATE', 'new.made_at IS NOT NULL AND old.made_at IS NULL', 'all of PostgreSQL'],
	['others are told', 'north', 'hdms_internal.outbox', 'INSERT', "new.type = 'keys'", 'the process'],
	['the directory takes the history', 'hdms_server', 'hdms_server.nodes', 'UPDATE', 'new.history <> old.history', 'the process'],
	['the registration is noted', 'north', 'hdms_internal.node', 'UPDATE', 'new.registered_entries <> old.registered_entries', 'the process'],
	['the change is noted as registered', 'north', 'hdms_internal.key_changes', 'UPDATE', 'new.registered_at IS NOT NULL AND old.registered_at IS NULL', 'all of PostgreSQL'],
	['an old signature is put aside', 'north', 'hdms_internal.former_states', 'INSERT', 'true', 'the process'],
	['a version is queued to be signed anew', 'north', 'hdms_internal.versions', 'UPDATE', "new.status = 'queued' AND new.reason = 'keys-rotated'", 'all of PostgreSQL'],
	['the signing anew is noted as done', 'north', 'hdms_internal.key_changes', 'UPDATE', 'new.resigned_at IS NOT NULL AND old.resigned_at IS NULL', 'the process'],
);

sub killed
{
	my ($victim, $db, $pid) = @_;
	if ($victim eq 'all of PostgreSQL')
	{
		$pg->restart('immediate');
	}
	elsif ($db eq 'hdms_server')
	{
		$net->stop('KILL');
	}
	else
	{
		my $before = () = $pg->log_text =~ /was terminated by signal 9/g;
		kill 'KILL', $pid;
		wait_until('the recovery', sub { my $now = () = $pg->log_text =~ /was terminated by signal 9/g; $now > $before });
	}
	$pg->wait_sql('postgres', 'SELECT true', 't');
}

sub asked { my ($record) = @_; return grep { $_->{record} eq $record && $_->{status} eq 'asked' } @{$alice->json('records', '--all')}; }
sub keys_are_whole
{
	my ($what) = @_;
	opendir my $dir, $folder or die;
	is(join(' ', sort grep { /next|^signing-/ } readdir $dir), '', "$what: nothing unfinished or replaced is left in the key directory");
	is($north->sql("SELECT string_agg(json_array_length(n.history::json)::text, ' ') FROM hdms_internal.node n"), $pg->sql('hdms_server', "SELECT json_array_length(history::json) FROM hdms_server.nodes WHERE id = '$node'"), "$what: the directory has the node's history");
}

my $n = 0;
my @records;
for my $step (@steps)
{
	my ($what, $db, $table, $event, $when, $victim) = @$step;
	my $entries = $north->sql('SELECT json_array_length(history::json) FROM hdms_internal.node');
	push @records, $north->issue('A-1', '{"n": ' . ++$n . '}');
	$north->wait_status($records[-1], 'delivered');
	my ($in, $out) = ("SELECT pg_advisory_lock(4711); SELECT 'held';\n", '');
	my $holder = start([$pg->psql_command($db)], '<', \$in, '>', \$out, '2>', '/dev/null');
	$holder->pump until $out =~ /held/;
	$pg->sql($db, "CREATE TRIGGER trap AFTER $event ON $table FOR EACH ROW WHEN ($when) EXECUTE FUNCTION trap.wait()");
	$north->sql('SELECT hdms.rotate_keys()');
	my $pid = eval { wait_until($what, sub { eval { $pg->sql('postgres', "SELECT pid FROM pg_stat_activity WHERE datname = '$db' AND wait_event = 'advisory' LIMIT 1") } }, 60) };
	ok($pid, "it comes to where $what");
	killed($victim, $db, $pid) if $pid;
	eval { $holder->kill_kill };
	$pg->wait_sql('postgres', 'SELECT true', 't');
	$pg->wait_sql($db, "DROP TRIGGER IF EXISTS trap ON $table; SELECT true", 't');
	$net->start if $victim eq 'the process' && $db eq 'hdms_server';
	ok(eval { $north->wait_for("SELECT count(*) FROM hdms.key_changes WHERE status <> 'done'", '0', 90) }, "$victim was killed while $what: the rotation is carried through")
		or diag $@, $north->sql("SELECT string_agg(t::text, E'\n') FROM hdms.key_changes t");
	is($north->sql('SELECT json_array_length(history::json) FROM hdms_internal.node'), $entries + 1, "$what: once");
	keys_are_whole($what);
	$north->wait_status($records[-1], 'delivered', 90);
	wait_until('the person to be asked', sub { asked($records[-1]) });
	$alice->cmd('accept', $records[-1]);
	ok(eval { $north->wait_status($records[-1], 'committed', 90) }, "$what: the record that was under way commits") or diag $@, $north->sql("SELECT string_agg(t::text, E'\n') FROM hdms.deliveries t");
}

# What no trigger can stop at: the history is stored, and the new keys lie beside the old ones, or half in their place.
for my $half (0, 1)
{
	my $what = $half ? 'half of the files renamed' : 'no file renamed';
	$net->stop;
	my $old = $north->sql("SELECT kid FROM hdms.keys WHERE key = 'signing' AND until IS NULL");
	$north->sql("SELECT hdms.rotate_keys('{signing}')");
	$north->wait_for("SELECT count(*) FROM hdms.key_changes WHERE status = 'made'", '1');
	wait_until('the new key to be in its place', sub { -e "$folder/signing-$old.jwk" && !-e "$folder/signing.next.jwk" });
	$pg->stop('immediate');
	rename "$folder/signing.jwk", "$folder/signing.next.jwk" or die;
	$half or rename "$folder/signing-$old.jwk", "$folder/signing.jwk" or die;
	$pg->start;
	$net->start;
	ok(eval { $north->wait_for("SELECT count(*) FROM hdms.key_changes WHERE status <> 'done'", '0', 90) }, "$what: the rotation is carried through") or diag $@;
	keys_are_whole($what);
}

my $all = @records;
is($north->sql("SELECT count(*) FROM (SELECT version_id FROM hdms_internal.events WHERE status = 'committed' GROUP BY version_id HAVING count(*) > 1) AS twice"), '0', 'nothing committed twice');
is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', 'all verify');
is($south->sql('SELECT count(*), count(DISTINCT tag) FROM hdms_internal.log_entries'), "$all|$all", "and are in the notary's log once");
is($_->sql("SELECT count(*) FROM hdms_internal.inbox WHERE status = 'quarantined'"), '0', "nothing is put away at $_->{db}") for $north, $south;
is($south->sql("SELECT count(*) FROM hdms.events WHERE kind = 'false_key'"), '0', 'and nobody saw a false key');
done_testing;
