# A phone is lost, and its kit too: the hospital pairs the person anew, and the records continue on the new phone.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1], ['west', notary => 1]);
my $conf = "notary_patience = 5s\nresend_initial = 2s\nretry_max = 2s\n";
my $old = $net->device('old', conf => $conf);
$old->pair($north->invite('A'));
$old->start;
$old->cmd('policy', 'North Hospital', 'accept');
my @records = map { $north->issue('A', "{\"n\": $_}", source_id => "source $_") } 1 .. 5;
$north->wait_status($_, 'committed') for @records;
$north->sql("SELECT hdms.amend('$records[0]', '{\"n\": \"amended\"}')");
$north->wait_for("SELECT status FROM hdms.states WHERE record = '$records[0]' AND version = 2", 'committed');
$old->cmd('policy', 'North Hospital', 'ask');
my $undecided = $north->issue('A', '{"undecided": true}');
$north->sql("SELECT hdms.amend('$records[1]', '{\"n\": \"not decided\"}')");
$north->wait_status($_, 'delivered') for $undecided, $records[1];
wait_until('the old phone to be at rest', sub { $old->json('status')->{outbox} == 0 });
$old->stop;
my $old_node = $north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'A'");

like($north->sql_error("SELECT hdms.invite_patient('A')"), qr/has been paired with a device already.*replace => true/s, 'a patient with a device is not invited by accident');
my $new = $net->device('new', conf => $conf);
my $uri = $north->sql("SELECT hdms.invite_patient('A', replace => true)");
is($north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'A'"), $old_node, 'the old phone stays bound until the new one has paired');
is($north->sql("SELECT purpose FROM hdms.audit WHERE action = 'invite' ORDER BY id DESC LIMIT 1"), 'replace', 'and the audit trail has who asked for it');
$new->pair($uri);
$new->start;
my $new_node = $north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'A'");
isnt($new_node, $old_node, 'then the new one is');
is($north->sql("SELECT reason FROM hdms.events WHERE kind = 'replaced'"), $old_node, 'which is an event that names the old node');

$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'delivered'", '6');
is($north->sql("SELECT string_agg(replaces::text, ',' ORDER BY replaces) FROM hdms.records WHERE replaces IS NOT NULL"), join(',', sort @records),
	'each committed record is continued by a new one that names it');
is(scalar(@{$new->json('inbox')}), 6, 'the new phone is asked for all of them, and for what was not decided');
my ($continuing) = split /\|/, $north->sql("SELECT record FROM hdms.records WHERE replaces = '$records[0]'");
is($new->json('show', $continuing)->{replaces}, $records[0], 'it sees which record another continues');
is($new->json('show', $continuing)->{content}{n}, 'amended', 'with the newest content');
is($new->json('show', $north->sql("SELECT record FROM hdms.records WHERE replaces = '$records[1]'"))->{content}{n}, 'not decided', 'also where that was not decided');
is_deeply($new->json('accept', '--replaced', 'North Hospital'), {waiting => 5, accepted => 5}, 'one step accepts them all, and nothing else');
$north->wait_for("SELECT count(*) FROM hdms.records WHERE replaces IS NOT NULL AND status = 'committed'", '5');
is(scalar(@{$new->json('inbox')}), 1, 'what continues nothing still waits for a decision');
$new->cmd('accept', $undecided);
$north->wait_status($undecided, 'committed');
is($north->sql("SELECT string_agg(DISTINCT v.status, ',') FROM hdms.states v JOIN hdms.records r USING (record) WHERE v.leaf_at IS NOT NULL AND r.record IN (" . join(', ', map { "'$_'" } @records) . ')'),
	'superseded', 'the old records are superseded');
is($north->sql("SELECT string_agg(v.check_name || ' ' || v.detail || ' ' || r.status || ' ' || coalesce(r.reason, ''), ';') FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok"), '', 'and old and new verify');
is($north->sql("SELECT count(*) FROM hdms.verify_ledger()  WHERE record IS NOT NULL OR check_name <> 'summary'"), '0', 'and so does the whole ledger') or diag $north->sql("SELECT * FROM hdms.verify_ledger()");
is(scalar(grep { !$new->json('verify', $_->{record})->{ok} } @{$new->json('records')}), 0, 'on the new phone, too');

my $again = $north->issue('A', '{"n": "from the EMR"}', source_id => 'source 3');
is($north->sql("SELECT replaces FROM hdms.records WHERE record = '$again'"), $records[2], 'the same source_id amends the record that goes on');
like($north->sql_error("SELECT hdms.amend('$records[2]', '{\"n\": 0}')"), qr/continued by another one/, 'the old one is not amended any more');
wait_until('the amendment to be asked for', sub { grep { $_->{record} eq $again && $_->{version} == 2 } @{$new->json('inbox')} });
$new->cmd('accept', $again);
$north->wait_status($again, 'committed');
pass('and goes to the new phone');

subtest 'the old phone turns up' => sub {
	my ($waiting) = grep { $_->{record} eq $undecided } @{$old->json('inbox')};
	$old->cmd('accept', $waiting->{id});
	$old->start;
	wait_until('it to be told', sub { $old->json('status')->{pairings}[0]{status} eq 'replaced' });
	is($north->sql("SELECT count(*) FROM hdms.deliveries WHERE direction = 'out' AND type = 'unpaired'") =~ /^[01]$/ ? 1 : 0, 1, 'once');
	is(scalar(@{$old->json('records')}), 5, 'it keeps its records');
	is(scalar(grep { !$old->json('verify', $_->{record})->{ok} } @{$old->json('records')}), 0, 'and they still verify');
	is(scalar(@{$old->json('inbox')}), 0, 'nothing waits there any more');
	like(join(' ', map { $_->{text} } @{$old->json('status')->{notices}}), qr/another device/, 'the person is told');
	$north->wait_for("SELECT count(*) FROM hdms.deliveries WHERE direction = 'out' AND type = 'unpaired'", '0');
	is($north->sql("SELECT string_agg(DISTINCT h.sub, ',') FROM (SELECT convert_from(decode(translate(rpad(split_part(split_part(p.request, '.', 2), '', 1), (length(split_part(p.request, '.', 2)) + 3) / 4 * 4, '='), '-_', '+/'), 'base64'), 'UTF8')::json->>'iss' AS sub FROM hdms_internal.payloads p JOIN hdms_internal.versions v ON v.id = p.id WHERE v.record = '$undecided') h"),
		$new_node, 'what it signed does not count: the hospital has the new node\'s evidence');
	$old->stop;
};

done_testing();
