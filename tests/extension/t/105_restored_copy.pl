# A dump that is restored in another cluster on the same host, with the same key directory, while the original lives: it sends, fetches,
# acknowledges and signs nothing. It is even given a server of its own to talk to, which hears nothing from it.
use strict;
use warnings;
use IO::Socket::INET;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'ask');
my $asked = $north->issue('A-1', '{"asked": true}');
$north->wait_status($asked, 'delivered');
my @as = @HdmsCluster::as_postgres;
HdmsCluster::command('pg_dump', @as, HdmsCluster::pg_bin() . '/pg_dump', '-f', "$pg->{base}/run/north.sql", '-d', $pg->conninfo('north'));

# A server that only counts who comes.
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 50) or die "listen: $!";
my $elsewhere = 'http://127.0.0.1:' . $listener->sockport;
my $copy = HdmsCluster->new(conf => "hdms.key_directory = '$pg->{base}/keys'\nhdms.poll_interval = 1\nhdms.resend_interval = 1\n");
$copy->sql('postgres', 'CREATE DATABASE north');
HdmsCluster::command('restore', $copy->psql_command('north', '-f', "$pg->{base}/run/north.sql", '-o', '/dev/null'));
is($copy->sql('north', "SELECT status FROM hdms.records WHERE record = '$asked'"), 'delivered', 'the ledger is in the copy');
$copy->sql('north', "UPDATE hdms_internal.node SET server_url = '$elsewhere'");
$copy->sql('north', "INSERT INTO hdms_internal.lookups (subject) VALUES ('node:$south->{node}')");
my $queued = $copy->sql('north', "SELECT hdms.issue('A-1', '{\"in\": \"the copy\"}')");
my $envelopes = $copy->sql('north', 'SELECT count(*) FROM hdms_internal.outbox_envelopes');
my $attempts = $copy->sql('north', 'SELECT coalesce(sum(attempts), 0) FROM hdms_internal.outbox');
$copy->serve_database('north');
$copy->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'", 'without_keys');
like($copy->sql('north', 'SELECT problem FROM hdms.node'), qr/in use by another process|differs/, 'it says why it is silent');

# Meanwhile the original works, which takes it several of the copy's rounds.
$alice->cmd('accept', $asked);
$north->wait_status($asked, 'committed');
$alice->cmd('policy', 'North Hospital', 'accept');
$north->wait_status($north->issue('A-1', "{\"n\": $_}"), 'committed') for 1 .. 10;
pass('the original goes on and misses nothing');
is($copy->sql('north', "SELECT status FROM hdms.records WHERE record = '$queued'"), 'queued', 'the copy has signed nothing');
is($copy->sql('north', 'SELECT count(*) FROM hdms_internal.outbox_envelopes'), $envelopes, 'nor sealed anything');
is($copy->sql('north', 'SELECT coalesce(sum(attempts), 0) FROM hdms_internal.outbox'), $attempts, 'nor tried to send');
is($copy->sql('north', 'SELECT count(*) FROM hdms_internal.inbox'), '0', 'nor fetched');
is($copy->sql('north', "SELECT status FROM hdms.records WHERE record = '$asked'"), 'delivered', 'what was committed meanwhile is not in it');
$north->wait_for('SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries) AND NOT EXISTS (SELECT FROM hdms_internal.audit_queue)');
$listener->blocking(0);
ok(!$listener->accept, 'nobody has come to its server');
$pg->stop;
$copy->wait_sql('north', "SELECT problem LIKE '%adopt_keys%' FROM hdms.node");
is($copy->sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'"), 'without_keys', 'also when the original is down');
ok(!$listener->accept, 'nobody has come then either');
$copy->sql('north', 'SELECT hdms.adopt_keys()');
$copy->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'", 'halted');
like($copy->sql('north', 'SELECT problem FROM hdms.node'), qr/older than what was signed with these keys/, 'it has the keys then, and finds that it is older than what they signed');
ok(!$listener->accept, 'and still nobody has come');
$copy->sql('north', "SELECT hdms.accept_lost_ledger('the original is gone')");
ok(wait_until('somebody to come', sub { $listener->accept }), 'until somebody accepts what is lost');
done_testing;
