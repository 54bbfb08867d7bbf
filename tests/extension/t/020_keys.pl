# Who may use a node's private keys: one database, and no copy of it.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\n");
my $net = $pg->network;
my $north = $net->hospital('north');
my $node = $north->{node};
my $folder = "$pg->{base}/keys/$node";

sub state_of
{
	my ($cluster, $db, $state) = @_;
	$cluster->wait_sql($db, "SELECT state FROM hdms_internal.worker_status() WHERE database = '$db'", $state);
}

sub with_key_directory
{
	my ($path, $problem, $name) = @_;
	$pg->configure("hdms.key_directory = '$path'\n");
	$pg->restart;
	state_of($pg, 'north', 'without_keys');
	$pg->wait_sql('north', "SELECT problem LIKE '%$problem%' FROM hdms.node");
	pass($name);
	is($pg->sql('north', "SELECT detail LIKE '%$problem%' FROM hdms.doctor() WHERE check_name = 'keys'"), 't', 'and the doctor says so');
}

subtest 'a key directory that is not fit is refused' => sub {
	with_key_directory('', 'is not set', 'none at all');
	with_key_directory('/nonexistent/keys', 'cannot be used', 'one that does not exist');
	mkdir "$pg->{data}/keys";
	chown +(stat $pg->{data})[4, 5], "$pg->{data}/keys";
	chmod 0700, "$pg->{data}/keys";
	with_key_directory("$pg->{data}/keys", 'inside the data directory', 'one inside the data directory');
	symlink "$pg->{data}/keys", "$pg->{base}/run/link";
	with_key_directory("$pg->{base}/run/link", 'inside the data directory', 'one that leads there');
	chmod 0750, "$pg->{base}/keys";
	with_key_directory("$pg->{base}/keys", 'permissions 0700', 'one that others may enter');
	chmod 0700, "$pg->{base}/keys";
	$pg->wait_sql('north', "SELECT state FROM hdms.workers WHERE database = 'north'", 'active');
	pass('when it is mended the node goes on by itself');
	$pg->wait_sql('north', 'SELECT problem IS NULL FROM hdms.node');
	is($pg->sql('north', 'SELECT node_id FROM hdms.node'), $node, 'as the node that it was');
};

subtest 'another key directory counts without a restart' => sub {
	mkdir "$pg->{base}/empty", 0700;
	chown +(stat $pg->{data})[4, 5], "$pg->{base}/empty";
	$pg->configure("hdms.key_directory = '$pg->{base}/empty'\n");
	$pg->reload;
	$pg->wait_sql('north', "SELECT problem LIKE '%are not in hdms.key_directory%' FROM hdms.node");
	pass('one without the keys ends the work');
	$pg->configure("hdms.key_directory = '$pg->{base}/keys'\n");
	$pg->reload;
	state_of($pg, 'north', 'active');
	pass('the right one begins it again');
};

subtest 'a key file that is not fit is refused' => sub {
	chmod 0640, "$folder/signing.jwk";
	$pg->restart;
	$pg->wait_sql('north', "SELECT problem LIKE '%signing.jwk%0600%' FROM hdms.node");
	pass('one that others may read');
	chmod 0600, "$folder/signing.jwk";
	rename "$folder/signing.jwk", "$folder/signing.away" or die;
	command_copy("$folder/encryption.jwk", "$folder/signing.jwk");
	$pg->wait_sql('north', "SELECT problem LIKE '%signing key%not the one%' FROM hdms.node");
	pass('another key');
	rename "$folder/signing.away", "$folder/signing.jwk" or die;
	state_of($pg, 'north', 'active');
	pass('the right one is taken again');
};

sub command_copy
{
	my ($from, $to) = @_;
	HdmsCluster::command('cp', 'cp', '-a', $from, $to);
}

subtest 'a copy of the database in the same cluster stays silent' => sub {
	$pg->sql('postgres', 'CREATE DATABASE copy TEMPLATE north');
	pass('it can be copied while its worker runs');
	state_of($pg, 'north', 'active');
	$pg->serve_database('copy');
	state_of($pg, 'copy', 'without_keys');
	is($pg->sql('copy', "SELECT problem LIKE '%in use by another process%' FROM hdms.node"), 't', 'while the original lives its keys are in use');
	$pg->sql('copy', 'SELECT hdms.adopt_keys()');
	$pg->wait_sql('copy', 'SELECT NOT adopt FROM hdms_internal.node');
	state_of($pg, 'copy', 'without_keys');
	like($pg->log_text, qr/adopt_keys\(\) failed: .*in use by another process/, 'nor can they be adopted');
	$pg->sql('postgres', 'ALTER DATABASE north RENAME TO north_away');
	$pg->wait_sql('copy', "SELECT problem LIKE '%belong to database \"north\"%adopt_keys%' FROM hdms.node");
	pass('when the original is gone the copy says whose keys they are');
	state_of($pg, 'copy', 'without_keys');
	$pg->sql('copy', 'SELECT hdms.adopt_keys()');
	state_of($pg, 'copy', 'active');
	pass('and goes on when it is told to');
	is($pg->sql('copy', 'SELECT node_id FROM hdms.node'), $node, 'as the same node');
	$pg->wait_sql('copy', 'SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries) AND NOT EXISTS (SELECT FROM hdms_internal.audit_queue)');
	like(slurp("$folder/owner"), qr/"database": "copy"/, 'which is written down');
	$pg->sql('postgres', 'ALTER DATABASE north_away RENAME TO north');
	state_of($pg, 'north', 'without_keys');
	pass('the original, back again, is the silent one now');
	$pg->sql('postgres', 'DROP DATABASE copy');
	$pg->sql('north', 'SELECT hdms.adopt_keys()');
	state_of($pg, 'north', 'halted');
	pass('told otherwise, it finds that the copy has signed what it does not have');
	$pg->sql('north', "SELECT hdms.accept_lost_ledger('the copy was a mistake')");
	state_of($pg, 'north', 'active');
	pass('until somebody accepts that, too');
};

subtest 'a copy of the cluster stays silent' => sub {
	$pg->stop;
	my $base = tempdir('hdms-XXXXXXXX', TMPDIR => 1, CLEANUP => 0);
	HdmsCluster::command('cp', 'cp', '-a', $pg->{data}, "$base/data");
	my $copy = HdmsCluster->new(base => $base, data_from => $pg,
		conf => "hdms.key_directory = '$pg->{base}/keys'\nhdms.databases = 'north'\nhdms.poll_interval = 1\n");
	$copy->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'", 'without_keys');
	like($copy->sql('north', 'SELECT problem FROM hdms.node'), qr/data_directory differs/, 'it has another data directory');
	$copy->sql('north', 'SELECT hdms.adopt_keys()');
	$copy->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'", 'active');
	pass('and can adopt the keys');
	$pg->start;
	state_of($pg, 'north', 'without_keys');
	pass('the original is silent then');
	$copy->stop;
};

done_testing;
