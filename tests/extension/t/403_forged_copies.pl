# A patient's node answers a repair with what it likes: only what was asked for, and what anybody could verify, gets into the tables.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my $north = $net->hospital('north');
my $to = $north->{node};
my $notary = Puppet->new;
$notary->do('join', server => $net->{url}, name => 'Notary');
$net->admit($notary->{node}, '--notary');
my ($patient, $friend) = map { Puppet->new } 1 .. 2;
$patient->pair($north->invite('P'));
$friend->pair($north->invite('F'));
$north->wait_for("SELECT count(*) > 0 FROM hdms_internal.notary_lists WHERE jws <> ''", 't');

sub commit
{
	my ($puppet, $ref, $content) = @_;
	my $record = $north->issue($ref, $content);
	my $body = $puppet->wait_message('record')->{body};
	my $mine = $puppet->do('accept', state => $body->{state}, commit => $body->{commit});
	my %evidence = (acceptance => $mine->{acceptance}, request => $mine->{request}, receipt => $notary->do('receipt', request => $mine->{request})->{receipt});
	$puppet->send($to, 'accepted', {vk => $mine->{vk}, %evidence});
	$north->wait_status($record, 'committed');
	return {record => $record, vk => $mine->{vk}, copy => {state => $body->{state}, %evidence}};
}

my $p = 'hdms_internal.payloads';
my $v = 'hdms_internal.versions';
my $mine = commit($patient, 'P', '{"n": 1}');
my $also_mine = commit($patient, 'P', '{"n": 2}');
my $theirs = commit($friend, 'F', '{"n": 3}');
my $invented = $friend->do('state', sub => $patient->{node}, content => '{"forged": true}');
my $forged = $patient->do('accept', state => $invented->{state}, commit => $invented->{commit});

sub ledger { return $north->sql("SELECT md5(string_agg(concat_ws('|', v.*, p.*, r.*), chr(10) ORDER BY v.id)) FROM $v v JOIN $p p USING (id) JOIN hdms_internal.records r USING (record)"); }
sub flipped
{
	my ($text, $at) = @_;
	my $place = int(length($text) * $at);
	substr($text, $place, 1) = substr($text, $place, 1) eq 'A' ? 'B' : 'A';
	return $text;
}
sub altered { my (%change) = @_; return {%{$mine->{copy}}, %change}; }
my ($jwt, @disclosures) = split /~/, $mine->{copy}{state};
my ($other_jwt, @other_disclosures) = split /~/, $also_mine->{copy}{state};

my @rows = (
	['another patient\'s record', [$theirs->{copy}]],
	['another record of the same patient', [$also_mine->{copy}]],
	['a state that was altered', [altered(state => flipped($mine->{copy}{state}, 0.3))]],
	['a content that was altered', [altered(state => flipped($mine->{copy}{state}, 0.98))]],
	['the content of another record', [altered(state => join('~', $jwt, @other_disclosures, ''))]],
	['no content', [altered(state => "$jwt~")]],
	['a state that somebody else signed', [{state => $invented->{state}, acceptance => $forged->{acceptance}, request => $forged->{request},
		receipt => $notary->do('receipt', request => $forged->{request})->{receipt}}]],
	['an acceptance of another record', [altered(acceptance => $also_mine->{copy}{acceptance})]],
	['a request of another record, with its receipt', [altered(request => $also_mine->{copy}{request}, receipt => $also_mine->{copy}{receipt})]],
	['a receipt that was altered', [altered(receipt => flipped($mine->{copy}{receipt}, 0.3))]],
	['a receipt for another record', [altered(receipt => $also_mine->{copy}{receipt})]],
	['a receipt from nobody\'s log', [altered(receipt => $friend->do('receipt', request => $mine->{copy}{request}, origin => $notary->{node})->{receipt})]],
	['texts that are none', [altered(state => 'nothing'), {state => '~~~'}, altered(request => 'x.y.z')]],
	['far too many of everything', [map { ($theirs->{copy}, $also_mine->{copy}, altered(receipt => "x$_")) } 1 .. 60]],
	['nothing at all', []],
);

# The state is gone, so the stored row has nothing to offer: the node is asked for it by name and, in vain, for all that it has.
sub ask
{
	my $repair = $north->sql("SELECT hdms.repair('$mine->{record}')");
	return ($repair, $patient->wait_message('want'));
}
$north->sql("UPDATE $p SET state = NULL WHERE id = (SELECT id FROM $v WHERE vk = '$mine->{vk}')");
for my $row (@rows)
{
	my ($name, $copies) = @$row;
	my $before = ledger();
	my ($repair, $want) = ask();
	is_deeply($want->{body}, {wanted => [$mine->{vk}]}, "$name: the version is asked for by name") or diag explain $want;
	$patient->send($to, 'copies', {copies => $copies}, re => $want->{jti});
	my $all = $patient->wait_message('want');
	is_deeply($all->{body}, {}, 'then everything');
	$patient->send($to, 'copies', {copies => $copies}, re => $all->{jti});
	$north->wait_for("SELECT status FROM hdms.repairs WHERE id = $repair", 'impossible');
	is(ledger(), $before, 'and nothing is changed');
}

subtest 'answers that nobody waits for' => sub {
	my $before = ledger();
	my $refused = $north->sql('SELECT count(*) FROM hdms_internal.refusals');
	$patient->send($to, 'copies', {copies => [$mine->{copy}]});
	$patient->send($to, 'copies', {copies => [$mine->{copy}]}, re => '00000000-0000-7000-8000-000000000000');
	$north->wait_for('SELECT count(*) FROM hdms_internal.refusals', $refused + 2);
	my ($repair, $want) = ask();
	$friend->send($to, 'copies', {copies => [$mine->{copy}]}, re => $want->{jti});
	$north->wait_for('SELECT count(*) FROM hdms_internal.refusals', $refused + 3);
	is(ledger(), $before, 'are refused');
	is($north->sql("SELECT status FROM hdms.repairs WHERE id = $repair"), 'asked', 'and the question stays open');
	$patient->send($to, 'copies', {copies => [$mine->{copy}]}, re => $want->{jti});
	$north->wait_for("SELECT status FROM hdms.repairs WHERE id = $repair", 'repaired');
	is($north->sql("SELECT state FROM $p WHERE id = (SELECT id FROM $v WHERE vk = '$mine->{vk}')"), $mine->{copy}{state}, 'for the one who was asked');
	$patient->send($to, 'copies', {copies => [$theirs->{copy}]}, re => $want->{jti});
	$north->wait_for('SELECT count(*) FROM hdms_internal.refusals', $refused + 4);
	pass('a second answer is refused');
};

subtest 'a node that comes to no end' => sub {
	$north->sql("UPDATE $p SET state = NULL WHERE id = (SELECT id FROM $v WHERE vk = '$mine->{vk}')");
	my ($repair, $want) = ask();
	$patient->send($to, 'copies', {copies => [], missing => [$mine->{vk}]}, re => $want->{jti});
	my $all = $patient->wait_message('want');
	$patient->send($to, 'copies', {copies => [$also_mine->{copy}], next => 'again'}, re => $all->{jti});
	$all = $patient->wait_message('want');
	is_deeply($all->{body}, {after => 'again'}, 'is asked for the next page');
	$patient->send($to, 'copies', {copies => [$also_mine->{copy}], next => 'again'}, re => $all->{jti});
	$north->wait_for("SELECT status FROM hdms.repairs WHERE id = $repair", 'impossible');
	is($north->sql('SELECT problem FROM hdms.recovery'), 'the node comes to no end', 'and not again');
};

done_testing();
