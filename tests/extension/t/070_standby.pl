# A standby is silent until it is promoted, and then until somebody says that the primary is gone.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\nwal_level = replica\nmax_wal_senders = 4\nhot_standby = on\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);

my $base = tempdir('hdms-XXXXXXXX', TMPDIR => 1, CLEANUP => 0);
chown +(stat $pg->{data})[4, 5], $base;
HdmsCluster::command('pg_basebackup', @HdmsCluster::as_postgres, HdmsCluster::pg_bin() . '/pg_basebackup',
	'-h', "$pg->{base}/run", '-p', $pg->{port}, '-U', 'postgres', '-D', "$base/data", '-R', '-X', 'stream', '-c', 'fast', '--no-sync');
my $standby = HdmsCluster->new(base => $base, data_from => $pg,
	conf => "hdms.key_directory = '$pg->{base}/keys'\nhdms.databases = 'north'\nhdms.poll_interval = 1\n");

is($standby->sql('north', 'SELECT pg_is_in_recovery()'), 't', 'it is a standby');
my $lsn = $pg->sql('north', 'SELECT pg_current_wal_lsn()');
$standby->wait_sql('north', "SELECT pg_last_wal_replay_lsn() >= '$lsn'");
is($standby->sql('north', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'hdms%'"), '0', 'with neither launcher nor worker');
is($standby->sql('north', 'SELECT status FROM hdms.node'), 'active', 'although its tables say that the node is active');

my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$alice->cmd('policy', 'North Hospital', 'accept');
my $record = $north->issue('A-1', '{"before": "promotion"}');
$north->wait_status($record, 'committed');
$standby->wait_sql('north', "SELECT status FROM hdms.records WHERE record = '$record'", 'committed');
pass('what the primary commits arrives');

subtest 'promoted while the primary lives' => sub {
	$standby->sql('postgres', 'SELECT pg_promote()');
	$standby->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'", 'without_keys');
	like($standby->sql('north', 'SELECT problem FROM hdms.node'), qr/in use by another process/, 'its worker finds the keys in use');
	my $later = $north->issue('A-1', '{"primary": "goes on"}');
	$north->wait_status($later, 'committed');
	$north->wait_for('SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries) AND NOT EXISTS (SELECT FROM hdms_internal.audit_queue)');
	pass('the primary goes on');
};

subtest 'the primary is gone' => sub {
	$pg->sql('postgres', "ALTER SYSTEM SET hdms.databases = 'south'");
	$pg->reload;
	$standby->wait_sql('north', "SELECT problem LIKE '%differs%adopt_keys%' FROM hdms.node");
	is($standby->sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'"), 'without_keys', 'it stays silent nevertheless');
	$standby->sql('north', 'SELECT hdms.adopt_keys()');
	$standby->wait_sql('north', "SELECT state FROM hdms.workers WHERE database = 'north'", 'halted');
	like($standby->sql('north', 'SELECT problem FROM hdms.node'), qr/it has fewer/, 'and finds that commits of the primary have not come to it');
	$standby->sql('north', "SELECT hdms.accept_lost_ledger('the primary is gone with its disks')");
	$standby->wait_sql('north', "SELECT state FROM hdms.workers WHERE database = 'north'", 'active');
	$standby->sql('north', "SELECT hdms.issue('A-1', '{\"after\": \"promotion\"}', source_id => 'after')");
	$standby->wait_sql('north', "SELECT status FROM hdms.records WHERE source_id = 'after'", 'committed');
	pass('and goes on as the node when it is told to');
};

done_testing;
