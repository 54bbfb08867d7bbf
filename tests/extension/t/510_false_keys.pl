# A server that lies about keys: for a node that the hospital has seen, and for one that it has not.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north, $south, $west) = $net->hospitals(['north'], ['south', notary => 1], ['west', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->cmd('policy', 'North Hospital', 'accept');
$alice->start;
$north->wait_for('SELECT status FROM hdms.patients', 'paired');
my $node = $north->sql('SELECT node_id FROM hdms.patients');
my $pinned = $north->sql("SELECT history FROM hdms_internal.peers WHERE node_id = '$node'");

# The operator's hand in the directory: another node's history under this node's id.
sub swap { my ($id, $with) = @_; $pg->sql('hdms_server', "UPDATE hdms_server.nodes SET history = (SELECT history FROM hdms_server.nodes WHERE id = '$with') WHERE id = '$id'"); $net->stop; $net->start; }
sub ask { my ($id) = @_; $north->sql("INSERT INTO hdms_internal.lookups (subject) VALUES ('node:$id') ON CONFLICT (subject) DO UPDATE SET next_try = now()"); }

$pg->sql('hdms_server', 'CREATE TABLE truth AS SELECT id, history FROM hdms_server.nodes');
swap($node, $south->{node});
ask($node);
$north->wait_for("SELECT count(*) FROM hdms_internal.lookups WHERE subject = 'node:$node' AND last_error IS NOT NULL", '1');
pass('a false key for a node that is pinned is refused, and the view of deliveries says so: '
	. $north->sql("SELECT problem FROM hdms.deliveries WHERE direction = 'lookup' AND peer = 'node:$node'"));
is($north->sql("SELECT history FROM hdms_internal.peers WHERE node_id = '$node'"), $pinned, 'what was pinned stays');
like($pg->log_text, qr/key of node \Q$node\E .* was refused/, 'the log names the node');
is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'false_key' AND reason = '$node'"), '1', 'and an event does, once');
is($north->sql("SELECT problem IS NOT NULL FROM hdms.nodes WHERE node_id = '$node'"), 't', 'and the view of nodes');

# A node that was never seen: its id is the thumbprint of its key, so another key is not believed either.
$north->sql("DELETE FROM hdms_internal.peers WHERE node_id = '$west->{node}'");
swap($west->{node}, $south->{node});
ask($west->{node});
$north->wait_for("SELECT count(*) FROM hdms_internal.lookups WHERE subject = 'node:$west->{node}' AND last_error IS NOT NULL", '1');
is($north->sql("SELECT count(*) FROM hdms_internal.peers WHERE node_id = '$west->{node}'"), '0', 'a false key for a node that was never seen is not pinned');
is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'false_key' AND reason = '$west->{node}'"), '1', 'but shown as an event');

# The truth again: all goes on.
$pg->sql('hdms_server', "UPDATE hdms_server.nodes n SET history = t.history FROM truth t WHERE t.id = n.id");
$net->stop;
$net->start;
my $record = $north->issue('A-1', '{"after": "the lie"}');
$north->wait_status($record, 'committed', 90);
pass('and with the true keys back records are committed');

done_testing();
