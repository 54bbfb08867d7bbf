# Another session's old snapshot keeps dead rows in the queues; the worker goes on nevertheless, and cleans up after itself.
use strict;
use warnings;
use IPC::Run qw(start);
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nautovacuum = off\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

my ($in, $out) = ("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'held' FROM hdms_internal.outbox UNION SELECT 'held';\n", '');
my $holder = start([$pg->psql_command('north')], '<', \$in, '>', \$out);
$holder->pump until $out =~ /held/;

my $count = 300;
$north->sql("SELECT count(hdms.issue('A-1', json_build_object('n', n))) FROM generate_series(1, $count) AS n");
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", $count, 120);
pass('records are committed while a snapshot is held');
cmp_ok($north->sql("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'outbox'"), '>', $count, 'although dead rows stay');

# What the worker claims by begins behind the dead rows: it must not walk through them once for each round.
my $read = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'hdms_internal' AND relname IN ('outbox', 'inbox', 'issue_queue')";
my $before = $north->sql($read);
for my $n (1 .. 20)
{
	my $record = $north->issue('A-1', "{\"late\": $n}");
	$north->wait_status($record, 'committed');
}
my $rounds = 20;
$north->wait_for("SELECT count(*) FROM hdms_internal.outbox", '0');
my $fetched = $north->sql($read) - $before;
cmp_ok($fetched, '<', $rounds * $count, "a record costs no walk through the dead rows ($fetched index entries were read for $rounds records)");
is($north->sql('SELECT count(*) FROM hdms_internal.outbox_envelopes'), '0', 'nothing is left in the outbox');
is($north->sql('SELECT count(*) FROM hdms_internal.inbox'), '0', 'nor in the inbox');
is($north->sql('SELECT count(*) FROM hdms_internal.issue_queue'), '0', 'nor in the queue');

$in .= "COMMIT;\n\\q\n";
$holder->finish;
done_testing;
