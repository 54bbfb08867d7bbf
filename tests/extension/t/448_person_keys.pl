# A person's node replaces its keys: the hospital and the notary follow its history, by its own message or by the directory's word, and nothing else.
use strict;
use warnings;
use Test::More;
use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $to = $north->{node};
my ($person, $stranger) = map { Puppet->new } 1 .. 2;
$person->pair($north->invite('P'));
$stranger->pair($north->invite('S'));
my $serial = 0;

sub entries { my ($hospital) = @_; return $hospital->sql("SELECT json_array_length(history::json) FROM hdms_internal.peers WHERE node_id = '$person->{node}'"); }
sub commits
{
	my ($what) = @_;
	my $record = $north->issue('P', '{"n": ' . ++$serial . '}');
	my $message = $person->wait_message('record');
	$person->send($to, 'ack', {acks => [$message->{jti}]});
	$person->send($to, 'accepted', Puppet::evidence($person->notarise($person->do('accept', %{$message->{body}}))));
	ok(eval { $north->wait_status($record, 'committed') }, $what) or diag $@;
}
sub refused
{
	my ($puppet, $body, $reason, $what) = @_;
	my $sent = $puppet->send($to, 'keys', $body);
	ok(eval { $north->wait_for("SELECT reason FROM hdms_internal.refusals WHERE transport = '$sent->{id}'", $reason) }, $what) or diag $@;
}

commits('with the first keys');
is(entries($north), 1, 'of a history with one entry');

my $history = $person->do('rotate')->{history};
my $sent = $person->send($to, 'keys', {history => decode_json($history)});
wait_until('the hospital to know', sub { entries($north) == 2 });
pass('the message that tells of other keys is believed');
$person->do('switch');
my $ack = $person->wait_message('ack');
is("@{$ack->{body}{acks}}", $sent->{jti}, 'and acknowledged, sealed to the new one');
is($pg->sql('hdms_server', "SELECT json_array_length(history::json) FROM hdms_server.nodes WHERE id = '$person->{node}'"), '2', 'the server takes it');
commits('with the second keys, to which the hospital seals, and which the notary learns of from the directory');
is(entries($south), 2, 'as it has');

$person->do('rotate');
$person->do('switch');
$north->issue('P', '{"for": "the key before"}');
my $asking = $person->send($to, 'silent', {vk => 'A' x 43, notary => $south->{node}});
is($person->wait_message('refused', re => $asking->{jti})->{body}{code}, 'unknown-state', 'a message under third keys that nobody was told of is heard');
is(entries($north), 3, 'because the directory knows them');
commits('and records commit under them');

# Two histories that both continue the same one: the first counts, whoever brings the second.
my $first = $person->do('rotate')->{history};
my $rival = $person->do('rotate')->{history};
$person->send($to, 'keys', {history => decode_json($first)});
$north->wait_for("SELECT json_array_length(history::json) FROM hdms_internal.peers WHERE node_id = '$person->{node}'", '4');
refused($person, {history => decode_json($rival)}, 'false-key', 'a history that contradicts the pinned one is refused');
is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'false_key' AND reason = '$person->{node}'"), '1', 'and told as an event');
refused($stranger, {history => decode_json($first)}, 'wrong-sender', "another node's history is refused");
is($north->sql("SELECT count(*) FROM hdms_internal.peers WHERE node_id = '$person->{node}' AND history = '$first'"), '1', 'what was pinned stays');
is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', 'everything verifies, each with the keys of its time');
done_testing;
