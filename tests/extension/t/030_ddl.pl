# Workers keep out of the way of statements that need a database, or the extension, for themselves.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);

sub pid_of
{
	my ($db) = @_;
	return $pg->sql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'hdms worker' AND datname = '$db'");
}

sub active { my ($db) = @_; return $pg->wait_sql($db, "SELECT state FROM hdms.workers WHERE database = '$db'", 'active'); }

subtest 'databases can be changed while their worker runs' => sub {
	my $pid = pid_of('south');
	$pg->sql('postgres', 'CREATE DATABASE twin TEMPLATE north');
	pass('copied');
	$pg->sql('postgres', 'ALTER DATABASE north RENAME TO north_renamed');
	pass('renamed');
	$pg->sql('postgres', 'ALTER DATABASE north_renamed RENAME TO north');
	active('north');
	pass('and the worker comes back');
	my $folder = "$pg->{base}/space";
	mkdir $folder;
	chown +(stat $pg->{data})[4, 5], $folder;
	$pg->sql('postgres', "CREATE TABLESPACE space LOCATION '$folder'");
	$pg->sql('postgres', 'ALTER DATABASE north SET TABLESPACE space');
	pass('moved');
	active('north');
	$pg->sql('postgres', 'ALTER DATABASE north SET TABLESPACE pg_default; DROP TABLESPACE space');
	active('north');
	$pg->serve_database('twin');
	$pg->wait_sql('twin', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'twin'", 'without_keys');
	$pg->sql('postgres', 'DROP DATABASE twin');
	pass('dropped');
	is(pid_of('south'), $pid, 'the worker of another database was left alone all the while');
};

subtest 'who may not drop a database cannot stop its worker' => sub {
	my $pid = pid_of('north');
	$pg->sql('postgres', 'CREATE ROLE nobody_special LOGIN CREATEDB');
	for my $statement ('DROP DATABASE north', 'ALTER DATABASE north RENAME TO away', 'CREATE DATABASE mine TEMPLATE north')
	{
		like($pg->sql_error('postgres', "SET ROLE nobody_special; $statement"), qr/must be owner|permission denied/, $statement);
	}
	like($pg->sql_error('north', 'SET ROLE nobody_special; DROP EXTENSION hdms'), qr/must be owner/, 'DROP EXTENSION hdms');
	like($pg->sql_error('north', 'SET ROLE nobody_special; ALTER EXTENSION hdms UPDATE'), qr/must be owner/, 'ALTER EXTENSION hdms UPDATE');
	is(pid_of('north'), $pid, 'the worker has not stopped');
};

subtest 'the extension can be dropped and made again' => sub {
	$pg->sql('postgres', 'CREATE DATABASE west');
	$pg->serve_database('west');
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hdms worker' AND datname = 'west'", '0');
	$pg->sql('west', 'CREATE EXTENSION hdms CASCADE');
	$pg->wait_sql('west', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'west'", 'without_network', 10);
	pass('making it brings the worker at once');
	$pg->sql('west', 'BEGIN; DROP EXTENSION hdms; ROLLBACK');
	$pg->wait_sql('west', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'west'", 'without_network', 10);
	pass('a drop that is rolled back brings it back');
	my $errors = () = $pg->log_text =~ /ERROR:/g;
	$pg->sql('west', 'DROP EXTENSION hdms');
	is(pid_of('west'), '', 'a drop ends it');
	$pg->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'west'", 'without_extension', 10);
	my @after = $pg->log_text =~ /ERROR:/g;
	is(scalar(@after), $errors, 'without an error in the log');
	$pg->sql('west', 'CREATE EXTENSION hdms CASCADE');
	$pg->wait_sql('west', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'west'", 'without_network', 10);
	pass('and it comes again with it');
};

subtest 'a library and an extension of different versions do nothing together' => sub {
	my $version = $pg->sql('west', "SELECT extversion FROM pg_extension WHERE extname = 'hdms'");
	$pg->sql('west', "UPDATE pg_extension SET extversion = '0.0.0' WHERE extname = 'hdms'");
	$pg->sql('postgres', "SELECT pg_terminate_backend(" . pid_of('west') . ")");
	$pg->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'west'", 'other_version');
	like($pg->log_text, qr/WARNING:  HDMS is idle.*0\.0\.0.*\n.*HINT:.*ALTER EXTENSION hdms UPDATE/, 'the log says what to do');
	like($pg->sql_error('west', 'ALTER EXTENSION hdms UPDATE'), qr/no update path/, 'an update is not held up, here it fails for want of a script');
	$pg->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'west'", 'other_version');
	$pg->sql('west', "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'hdms'");
	$pg->sql('postgres', "SELECT pg_terminate_backend(" . pid_of('west') . ")");
	$pg->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'west'", 'without_network');
	pass('when they fit again the worker works');
};

subtest 'signed records are not dropped by accident' => sub {
	my $alice = $net->device('alice');
	$alice->pair($north->invite('A-1'));
	my $record = $north->issue('A-1', '{"resourceType": "Observation"}');
	$north->wait_for('SELECT count(*) FROM hdms_internal.payloads WHERE state IS NOT NULL', '1');
	like($pg->sql_error('north', 'DROP EXTENSION hdms'), qr/holds signed records/, 'DROP EXTENSION is refused');
	active('north');
	like($pg->sql_error('north', 'SET ROLE nobody_special; SET hdms.allow_drop_extension = on'), qr/permission denied/, 'not everybody may say otherwise');
	$pg->sql('north', 'BEGIN; SET LOCAL hdms.allow_drop_extension = on; DROP EXTENSION hdms; ROLLBACK');
	pass('a superuser may');
};

subtest 'a reload adds and removes workers' => sub {
	active('north');
	my $pid = pid_of('south');
	$pg->configure("hdms.databases = 'south'\n");
	$pg->reload;
	wait_until('the worker of north to end', sub { pid_of('north') eq '' });
	pass('a database that is not named any more loses its worker');
	is(pid_of('south'), $pid, 'others keep theirs');
	$pg->configure("hdms.databases = '\"no such database\", south, north'\n");
	$pg->reload;
	active('north');
	pass('and gets it back; a name that does not exist does no harm');
};

subtest 'no worker holds anything up' => sub {
	$pg->sql('postgres', 'CREATE DATABASE idle');
	$pg->sql('postgres', 'DROP DATABASE idle');
	pass('dropping any database, which needs every process to answer');
	$pg->stop('fast');
	pass('nor a fast shutdown');
	$pg->start;
	active('north');
	active('south');
	pass('after which all goes on');
	is($pg->sql('north', "SELECT count(*) > 0 FROM pg_stat_user_tables WHERE schemaname = 'hdms_internal' AND n_tup_ins + n_tup_upd > 0"), 't',
		"the workers' writes are seen by autovacuum");
};

done_testing;
