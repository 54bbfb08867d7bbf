# How a database becomes a node of a network, and what it says when it cannot.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;

subtest 'without the library preloaded the functions work and nothing is sent' => sub {
	my $bare = HdmsCluster->new(conf => "shared_preload_libraries = ''\n");
	$bare->sql('postgres', 'CREATE DATABASE north');
	$bare->sql('north', 'CREATE EXTENSION hdms CASCADE');
	is($bare->sql('north', 'SELECT hdms_internal.is_preloaded()'), 'f', 'it is not preloaded');
	is($bare->sql('north', "SET hdms.actor = 'Dr. Kim'; SHOW hdms.actor"), 'Dr. Kim', 'a setting can be set before the library is loaded');
	is($bare->sql('north', 'LOAD \'hdms\'; SHOW hdms.poll_interval'), '5s', 'and all are known once it is');
	$bare->sql('north', "SELECT hdms.join_network('$net->{url}', '$net->{fingerprint}', 'North', false)");
	is($bare->sql('north', 'SELECT status FROM hdms.node'), 'joining', 'joining waits');
	is($bare->sql('north', 'SELECT count(*) FROM hdms.workers'), '0', 'there are no workers');
	like($bare->sql('north', "SELECT string_agg(hint, ' ') FROM hdms.doctor()"), qr/shared_preload_libraries/, 'the doctor says why');
	$bare->sql('north', 'DROP EXTENSION hdms');
	pass('and it can be dropped');
};

subtest 'a database becomes a node: keys, registration, admission' => sub {
	$pg->sql('postgres', 'CREATE DATABASE north');
	$pg->sql('north', 'CREATE EXTENSION hdms CASCADE');
	$pg->serve_database('north');
	$pg->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'", 'without_network');
	pass('a worker without a network is idle');
	$pg->sql('north', "SELECT hdms.join_network('$net->{url}', '$net->{fingerprint}', 'North', true)");
	$pg->wait_sql('north', 'SELECT status FROM hdms.node', 'pending');
	my $node = $pg->sql('north', 'SELECT node_id FROM hdms.node');
	like($net->tool("$net->{folder}/server-0.conf", 'pending'), qr/\Q$node\E/, 'the operator sees who waits');
	my $folder = "$pg->{base}/keys/$node";
	for my $file (qw(signing.jwk encryption.jwk log.jwk cosigner.jwk recovery.jwk owner))
	{
		is(sprintf('%04o', (stat "$folder/$file")[2] & 07777), '0600', "$file is closed to others");
	}
	is(sprintf('%04o', (stat $folder)[2] & 07777), '0700', 'so is their folder');
	$net->admit($node, '--notary');
	$pg->wait_sql('north', 'SELECT status FROM hdms.node', 'active');
	is($pg->sql('north', 'SELECT is_notary FROM hdms.node'), 't', 'admitted as a notary');
	is($pg->sql('north', 'SELECT problem IS NULL FROM hdms.node'), 't', 'no problem is left');
};

subtest 'the state survives a restart of PostgreSQL' => sub {
	my $node = $pg->sql('north', 'SELECT node_id FROM hdms.node');
	$pg->restart;
	$pg->wait_sql('north', "SELECT state FROM hdms.workers WHERE database = 'north'", 'active');
	is($pg->sql('north', 'SELECT node_id FROM hdms.node'), $node, 'the same node');
};

subtest 'a server of another network is refused' => sub {
	$pg->sql('postgres', 'CREATE DATABASE south');
	$pg->sql('south', 'CREATE EXTENSION hdms CASCADE');
	$pg->serve_database('south');
	my $other = 'A' x 42 . 'A';
	$pg->sql('south', "SELECT hdms.join_network('$net->{url}', '$other', 'South', false)");
	$pg->wait_sql('south', "SELECT problem LIKE '%belongs to another network%$net->{fingerprint}%' FROM hdms.node");
	pass('and says which network it is');
	is($pg->sql('south', 'SELECT status FROM hdms.node'), 'joining', 'it has not joined');
	unlike($net->tool("$net->{folder}/server-0.conf", 'nodes'), qr/South/, 'nor told the server who it is');
};

subtest 'plain HTTP to another machine is refused' => sub {
	$pg->sql('postgres', 'CREATE DATABASE west');
	$pg->sql('west', 'CREATE EXTENSION hdms CASCADE');
	$pg->serve_database('west');
	$pg->sql('west', "SELECT hdms.join_network('http://hdms.example.org', '$net->{fingerprint}', 'West', false)");
	$pg->wait_sql('west', "SELECT problem LIKE '%is not https%' FROM hdms.node");
	pass('with a reason');
	$pg->sql('west', "SELECT hdms.join_network('$net->{url}', '$net->{fingerprint}', 'West', false)");
	$pg->wait_sql('west', 'SELECT status FROM hdms.node', 'pending');
	pass('and the right address mends it');
};

subtest 'an RSA node joins' => sub {
	$pg->configure("hdms.key_suite = 'RSA-2048'\n");
	$pg->reload;
	$pg->sql('postgres', 'CREATE DATABASE east');
	$pg->sql('east', 'CREATE EXTENSION hdms CASCADE');
	$pg->serve_database('east');
	$pg->sql('east', "SELECT hdms.join_network('$net->{url}', '$net->{fingerprint}', 'East', false)");
	$pg->wait_sql('east', 'SELECT status FROM hdms.node', 'pending');
	my $node = $pg->sql('east', 'SELECT node_id FROM hdms.node');
	like(slurp("$pg->{base}/keys/$node/signing.jwk"), qr/"kty":"RSA"/, 'with an RSA key');
	$net->admit($node);
	$pg->wait_sql('east', 'SELECT status FROM hdms.node', 'active');
	pass('and becomes active');
};

done_testing;
