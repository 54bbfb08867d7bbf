# An older copy of the database is put back beside the same keys: the node notices before it signs anything, and says what to do.
# And a crash at any step of signing does not make it believe that.
use strict;
use warnings;
use IPC::Run qw(start);
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice', conf => "retry_max = 1s\nresend_initial = 2s\n");
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');
$north->wait_status($north->issue('A-1', '{"n": 1}'), 'committed');
my $file = "$pg->{base}/keys/$north->{node}/ledger-checkpoint";

# Entries that were signed: as the file beside the keys and as the table have it.
sub in_file { my (undef, $size) = split /\n/, slurp($file); return $size; }
sub in_table { return $north->sql('SELECT coalesce(max(size), 0) FROM hdms_internal.ledger_checkpoints'); }
sub is_signed { $north->wait_for('SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries) AND NOT EXISTS (SELECT FROM hdms_internal.audit_queue)', 't'); }
is_signed();
is(in_file(), in_table(), 'the newest checkpoint lies beside the keys');

subtest 'a crash between the file and the table' => sub {
	$pg->sql('north', <<'SQL');
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE FUNCTION trap.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(4711); RETURN coalesce(new, old); END $$;
SQL
	my ($in, $out) = ("SELECT pg_advisory_lock(4711); SELECT 'held';\n", '');
	my $holder = start([$pg->psql_command('north')], '<', \$in, '>', \$out, '2>', '/dev/null');
	$holder->pump until $out =~ /held/;
	$pg->sql('north', 'CREATE TRIGGER trap AFTER INSERT ON hdms_internal.ledger_checkpoints FOR EACH ROW EXECUTE FUNCTION trap.wait()');
	my $record = $north->issue('A-1', '{"n": 2}');
	wait_until('the checkpoint to be written', sub { eval { $pg->sql('postgres', "SELECT pid FROM pg_stat_activity WHERE datname = 'north' AND wait_event = 'advisory' LIMIT 1") } });
	cmp_ok(in_file(), '>', in_table(), 'the file is ahead');
	$pg->stop('immediate');
	eval { $holder->kill_kill };
	$pg->start;
	$pg->wait_sql('north', 'DROP SCHEMA trap CASCADE; SELECT true', 't');
	$north->wait_status($record, 'committed');
	is_signed();
	is(in_file(), in_table(), 'both go on together');
	is($north->sql('SELECT problem IS NULL FROM hdms.node'), 't', 'and nothing is held to be lost');
	like($north->sql('SELECT string_agg(detail, E\'\n\') FROM hdms.verify_ledger()'), qr/ 0 checks failed/, 'all verifies');
};

# Copies of the data directory, as a file system's snapshot or a base backup would be.
sub put { my ($from, $to) = @_; HdmsCluster::command("copying $from", @HdmsCluster::as_postgres, 'sh', '-c', "rm -rf '$pg->{base}/$to' && cp -a '$pg->{base}/$from' '$pg->{base}/$to'"); }
$pg->stop;
chmod 0777, $pg->{base};
put('data', 'older');
$pg->start;
my $later = $north->issue('A-1', '{"n": 3}');
$north->wait_status($later, 'committed');
is_signed();
$pg->stop;
put('data', 'newer');
put('older', 'data');
$net->stop('KILL');
$pg->start;
$net->start;
$north->wait_for("SELECT state FROM hdms.workers WHERE database = 'north'", 'halted');
like($north->sql('SELECT problem FROM hdms.node'), qr/this database is older than what was signed with these keys, or another: its own log was signed with \d+ entries, and it has fewer/, 'an older copy is noticed, and the node says so');
is($north->sql("SELECT status || ' ' || (hint LIKE '%newest backup%') FROM hdms.doctor() WHERE check_name = 'signing'"), 'fail true', 'the doctor says what to do');
my $queued = $north->issue('A-1', '{"n": 4}');
$south->sql("SELECT hdms.read(record, 'nothing') FROM hdms.records LIMIT 0");
is(in_file() > in_table() ? 'older' : 'newer', 'older', 'nothing is signed');
is($north->status($queued), 'queued', 'nothing is issued');
$pg->restart;
$north->wait_for("SELECT state FROM hdms.workers WHERE database = 'north'", 'halted');
pass('nor after another start');

$pg->stop;
$net->stop('KILL');
put('newer', 'data');
$pg->start;
$net->start;
$north->wait_for("SELECT state FROM hdms.workers WHERE database = 'north'", 'active');
is($north->status($later), 'committed', 'the newest copy goes on where it was');
like($north->sql_error("SELECT hdms.accept_lost_ledger('by mistake')"), qr/has not stopped signing/, 'there is nothing to accept then');

$pg->stop;
$net->stop('KILL');
put('older', 'data');
$pg->start;
$net->start;
$north->wait_for("SELECT state FROM hdms.workers WHERE database = 'north'", 'halted');
like($north->sql_error("SET ROLE hdms_emr; SELECT hdms.accept_lost_ledger('by mistake')"), qr/permission denied/, 'the EMR cannot accept a loss');
$north->sql("SET ROLE hdms_admin; SELECT hdms.accept_lost_ledger('the disk burnt')");
$north->wait_for("SELECT state FROM hdms.workers WHERE database = 'north'", 'active');
like($north->sql("SELECT reason FROM hdms.events WHERE kind = 'ledger_renewed'"), qr/^epoch 2 of the node's own log begins: the database had \d+ entries, \d+ were signed; the disk burnt$/, 'a loss that was accepted stays on record');
is_signed();
is($north->sql("SELECT split_part(note, E'\\n', 1) LIKE 'hdms.v1/ledger/%/2' FROM hdms_internal.ledger_checkpoints ORDER BY size DESC LIMIT 1"), 't', 'the log goes on under another name');
ok(-f "$file.epoch-1", 'what was signed last is kept');
$north->wait_status($north->issue('A-1', '{"n": 5}'), 'committed');
is_signed();
like($north->sql('SELECT string_agg(detail, E\'\n\') FROM hdms.verify_ledger()'), qr/^\d+ records with \d+ signed versions verified, 0 checks failed/, 'and all verifies');

$pg->stop;
$net->stop('KILL');
put('newer', 'data');
$pg->start;
$net->start;
$north->wait_for("SELECT state FROM hdms.workers WHERE database = 'north'", 'halted');
like($north->sql('SELECT problem FROM hdms.node'), qr/older than epoch 2/, 'a copy from before that is an older one');
done_testing();
