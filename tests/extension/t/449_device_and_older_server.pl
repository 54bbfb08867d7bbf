# A device has other keys than the directory knows, because the server was put back from before that: it registers its history by itself.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $conf = "notary_patience = 5s\nresend_initial = 2s\nretry_max = 2s\n";
my $old = $net->device('old', conf => $conf);
$old->pair($north->invite('A'));
$old->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A'", 'paired');
$old->cmd('policy', 'North Hospital', 'accept');
$north->wait_status($north->issue('A', '{"n": 1}'), 'committed');
my $node = $north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'A'");
sub known { return $pg->sql('hdms_server', "SELECT json_array_length(history::json) FROM hdms_server.nodes WHERE id = '$node'"); }
my $dump = "$net->{folder}/backup.sql";
HdmsCluster::command('pg_dump', HdmsCluster::pg_bin() . '/pg_dump', '-f', $dump, '-d', $pg->conninfo('hdms_server'));

# The recovery of a phone is what replaces a device's keys.
my $kit = $old->json('kit');
$old->stop('KILL');
my $new = $net->device('new', empty => 1);
spew("$pg->{base}/words", $kit->{words});
$new->cmd('recover', '--server', $kit->{kits}[0]{server}, '--network', $kit->{kits}[0]{network}, '--words-file', "$pg->{base}/words");
$new->configure($conf);
$new->start;
wait_until('the records to be back', sub { !grep { $_->{recovering} } @{$new->json('status')->{pairings}} });
$new->cmd('policy', 'North Hospital', 'accept');
my $record = $north->issue('A', '{"n": 2}');
$north->wait_status($record, 'committed', 90);
my $entries = known();
cmp_ok($entries, '>', 1, 'the device has other keys');

$net->stop('KILL');
$pg->sql('postgres', 'DROP DATABASE hdms_server');
$pg->sql('postgres', 'CREATE DATABASE hdms_server');
HdmsCluster::command('restore', $pg->psql_command('hdms_server', '-f', $dump, '-o', '/dev/null'));
is(known(), 1, 'of which the server that was put back knows nothing');
$net->start;
$record = $north->issue('A', '{"n": 3}');
ok(eval { $north->wait_status($record, 'committed', 120) }, 'records flow again by themselves') or diag $@, $new->log_text;
is(known(), $entries, 'and the directory has the whole history');
like($new->log_text, qr/registered again/, 'because the device registered again');
done_testing;
