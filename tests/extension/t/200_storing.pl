# The storing flow with a real server, real hospitals and real devices: what an EMR and a patient see of it.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north, $south, $west) = $net->hospitals(['north'], ['south', notary => 1], ['west', notary => 1, suite => 'RSA-2048']);
my $observation = '{"resourceType": "Observation", "status": "final", "valueQuantity": {"value": 7.10}}';

my $alice = $net->device('alice');
my $alice_pairing = $alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');
is($north->sql("SELECT string_agg(kind || ' ' || status, ',') FROM hdms.events"), 'paired paired', 'pairing is an event');

my $first = $north->issue('A-1', $observation, source_id => 'lab-1');
$north->wait_status($first, 'committed');
pass('a record that the patient accepts is committed');
is($north->sql("SELECT string_agg(status, ',' ORDER BY id) FROM hdms.events WHERE record = '$first'"),
	'issued,committed', 'each change of its status is an event, in order');
is($north->sql("SELECT count(*) FROM hdms.verify('$first') WHERE NOT ok"), '0', 'the evidence of a committed record verifies');
wait_until('the device to hold the record', sub { grep { $_->{record} eq $first && $_->{status} eq 'final' } @{$alice->json('records')} });
pass('the device holds the record as final');
like($alice->cmd('show', $first), qr/7\.10/, 'the content on the device has its digits');

is($north->issue('A-1', $observation, source_id => 'lab-1'), $first, 'issuing the same content for the same source_id again gives the same record');
is($north->sql("SELECT count(*) FROM hdms_internal.versions WHERE record = '$first'"), '1', 'and makes no version');

subtest 'rolled back means never sent' => sub {
	$pg->sql('north', "BEGIN; SELECT hdms.issue('A-1', '{\"a\": 1}'); ROLLBACK");
	my $later = $north->issue('A-1', '{"a": 2}');
	$north->wait_status($later, 'committed');
	is($north->sql("SELECT count(*) FROM hdms.records"), '2', 'no record of it at the institution');
	is(scalar(@{$alice->json('records')}), 2, 'and none on the device') or diag $alice->cmd('records');
};

subtest 'an amendment supersedes' => sub {
	is($north->sql("SELECT hdms.amend('$first', '{\"resourceType\": \"Observation\", \"status\": \"amended\"}')"), '2', 'it is version 2');
	$north->wait_for("SELECT string_agg(status, ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$first'", 'superseded,committed');
	is($north->sql("SELECT v2.prev = v1.vk AND v1.notary = v2.notary FROM hdms_internal.versions v1, hdms_internal.versions v2
		WHERE v1.record = '$first' AND v2.record = '$first' AND v1.ordinal = 1 AND v2.ordinal = 2"), 't', 'it names the version before and went to its notary');
	is($north->sql("SELECT count(*) FROM hdms.verify('$first') WHERE NOT ok"), '0', 'both versions verify');
	wait_until('the device to have the new version', sub { grep { $_->{record} eq $first && $_->{version} == 2 } @{$alice->json('records')} });
	is(scalar(grep { $_->{record} eq $first } @{$alice->json('records')}), 1, 'the device shows the new version only');
};

subtest 'several amendments at once are made one after the other' => sub {
	my $record = $north->issue('A-1', '{"step": 0}');
	$north->sql("SELECT hdms.amend('$record', '{\"step\": $_}')") for 1 .. 3;
	$north->wait_for("SELECT string_agg(status || version, ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$record'",
		'superseded1,superseded2,superseded3,committed4');
	pass('in the order of asking');
	is($north->sql("SELECT count(*) FROM hdms.verify('$record') WHERE NOT ok"), '0', 'and all verify');
};

subtest 'a person who is asked' => sub {
	my $bob = $net->device('bob');
	$bob->pair($north->invite('B-1'));
	$bob->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'B-1'", 'paired');
	my $no = $north->issue('B-1', '{"finding": "wrong patient"}');
	my $yes = $north->issue('B-1', '{"finding": "right"}');
	$north->wait_status($_, 'delivered') for $no, $yes;
	pass('has the records delivered');
	$bob->cmd('reject', $no, '--reason', 'This is not about me.');
	$bob->cmd('accept', $yes);
	$north->wait_status($no, 'rejected');
	$north->wait_status($yes, 'committed');
	is($north->sql("SELECT reason FROM hdms.events WHERE record = '$no' AND status = 'rejected'"), 'This is not about me.', 'the reason of a rejection reaches the EMR');
	is($north->sql("SELECT rejection IS NOT NULL FROM hdms_internal.payloads WHERE id = (SELECT id FROM hdms_internal.versions WHERE record = '$no')"), 't',
		'the signed rejection is kept');
	is($north->sql("SELECT hdms.amend('$no', '{\"finding\": \"corrected\"}')"), '2', 'a rejected record can be amended');
	$north->wait_for("SELECT status || version FROM hdms_internal.versions WHERE record = '$no' AND ordinal = 2", 'delivered1');
	pass('and the amendment is signed as version 1, for nothing was committed');
	$bob->cmd('accept', $no);
	$north->wait_status($no, 'committed');
	is($north->sql("SELECT count(*) FROM hdms.verify('$no') WHERE NOT ok"), '0', 'and verifies');
};

subtest 'what is issued before pairing waits' => sub {
	my $carol = $net->device('carol');
	$north->sql("SELECT hdms.register_patient('C-1')");
	my $early = $north->issue('C-1', '{"early": true}');
	is($north->status($early), 'waiting_for_patient', 'for the patient');
	my $next = $north->sql("SELECT hdms.amend('$early', '{\"early\": false}')");
	$carol->pair($north->invite('C-1'));
	$carol->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'C-1'", 'paired');
	$carol->cmd('policy', 'North Hospital', 'accept');
	$north->wait_for("SELECT string_agg(v.status, ',' ORDER BY ordinal) ~ '^(issued|delivered|superseded|committed),' FROM hdms_internal.versions v WHERE record = '$early'", 't');
	pass('and goes out after it');
	$_->{id} && eval { $carol->cmd('accept', $_->{id}) } for @{$carol->json('inbox')};
	$north->wait_for("SELECT string_agg(v.status, ',' ORDER BY ordinal) FROM hdms_internal.versions v WHERE record = '$early'", 'superseded,committed');
	pass('in order with its amendment');
	$carol->stop;
};

subtest 'two hospitals and one patient' => sub {
	$alice->pair($south->invite('S-77'));
	$south->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'S-77'", 'paired');
	$alice->cmd('policy', 'South Hospital', 'accept');
	my $record = $south->issue('S-77', '{"from": "south"}');
	$south->wait_status($record, 'committed');
	isnt($north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'A-1'"), $south->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'S-77'"),
		'know two nodes');
	is($south->sql("SELECT notary FROM hdms_internal.versions WHERE record = '$record'"), $west->{node}, 'a notary is never its own');
};

subtest 'RSA and P-256 in one network' => sub {
	my $dora = $net->device('dora', suite => 'rsa');
	$dora->pair($north->invite('D-1'));
	$dora->start;
	$alice->pair($west->invite('W-1'));
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'D-1'", 'paired');
	$west->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'W-1'", 'paired');
	$dora->cmd('policy', 'North Hospital', 'accept');
	$alice->cmd('policy', 'West Hospital', 'accept');
	my $one = $north->issue('D-1', '{"suite": "RSA patient"}');
	my $two = $west->issue('W-1', '{"suite": "RSA hospital"}');
	$north->wait_status($one, 'committed');
	$west->wait_status($two, 'committed');
	is($north->sql("SELECT count(*) FROM hdms.verify('$one') WHERE NOT ok"), '0', 'an RSA patient of a P-256 hospital');
	is($west->sql("SELECT count(*) FROM hdms.verify('$two') WHERE NOT ok"), '0', 'a P-256 patient of an RSA hospital');
	$dora->stop;
};

subtest 'resend' => sub {
	my $erin = $net->device('erin');
	$erin->pair($north->invite('E-1'));
	$erin->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'E-1'", 'paired');
	my $record = $north->issue('E-1', '{"again": 1}');
	$north->wait_status($record, 'delivered');
	$north->sql("SELECT hdms.resend('$record')");
	$north->wait_for("SELECT count(*) FROM hdms_internal.issue_queue", '0');
	$north->wait_for("SELECT count(*) FROM hdms_internal.outbox o JOIN hdms_internal.versions v ON v.id = o.version_id WHERE v.record = '$record'", '0');
	is(scalar(@{$erin->json('inbox')}), 1, 'of a delivered record asks the person once');
	$erin->cmd('reject', $record, '--reason', 'no');
	$north->wait_status($record, 'rejected');
	$north->sql("SELECT hdms.resend('$record')");
	$north->wait_status($record, 'delivered');
	$erin->cmd('accept', $record);
	$north->wait_status($record, 'committed');
	pass('of a rejected record asks anew');
	$erin->stop;
};

is($north->sql("SELECT max(id) = count(*) FROM hdms.events"), 't', 'events have no gaps');
is($_->sql("SELECT count(*) FROM hdms_internal.refusals"), '0', "no message was refused at $_->{db}") for $north, $south, $west;
done_testing;
