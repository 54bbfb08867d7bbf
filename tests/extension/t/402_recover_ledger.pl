# A hospital lost its tables: every patient's device gives back what it has, page by page, over crashes and absences.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my (%device, %records);
my $large = 'x' x 150_000;
for my $name (qw(A B C))
{
	my $device = $device{$name} = $net->device(lc $name);
	$device->pair($north->invite($name));
	$device->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired');
	$device->cmd('policy', 'North Hospital', 'accept');
	push @{$records{$name}}, $north->issue($name, "{\"patient\": \"$name\", \"n\": $_.10}", source_id => "$name-$_") for 1 .. 5;
}
# More than fits one answer.
push @{$records{A}}, $north->issue('A', "{\"n\": $_, \"text\": \"$large\"}") for 6 .. 10;
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", 20);
my $long = $records{B}[0];
for my $n (2, 3)
{
	$north->sql("SELECT hdms.amend('$long', '{\"n\": \"version $n\"}')");
	$north->wait_for("SELECT committed_versions FROM hdms.records WHERE record = '$long'", $n);
}
$device{C}->cmd('policy', 'North Hospital', 'ask');
my $open = $north->issue('C', '{"still": "open"}', source_id => 'open');
$north->wait_status($open, 'delivered');
my $rejected = $north->issue('C', '{"not": "mine"}');
$north->wait_status($rejected, 'delivered');
$device{C}->cmd('reject', $rejected, '--reason', 'no');
$north->wait_status($rejected, 'rejected');

my $tables = 'hdms_internal.records, hdms_internal.versions, hdms_internal.payloads, hdms_internal.issue_queue';
sub ledger
{
	my ($more) = @_;
	return $north->sql("SELECT r.record, $more v.ordinal, v.content_digest, v.status, v.version, v.vk, v.prev, v.notary, v.accept_until, v.leaf_at,
		md5(p.content::jsonb::text), md5(p.state), p.commit, md5(p.acceptance), md5(p.request), md5(p.receipt), r.type, r.committed
		FROM hdms_internal.records r JOIN hdms_internal.versions v USING (record) JOIN hdms_internal.payloads p USING (id)
		WHERE record <> '$rejected' ORDER BY r.record, v.ordinal");
}
sub failures { return $north->sql("SELECT record, version, check_name, detail FROM hdms.verify_ledger() WHERE check_name <> 'summary'" . ($_[0] // '')); }
sub recovered { $north->wait_for("SELECT count(*) > 0 AND bool_and(status = 'complete') FROM hdms.recovery", 't', 120); }

my $everything = ledger('v.id, r.patient_ref, r.source_id,');
subtest 'a ledger that nothing is wrong with' => sub {
	my $rows = "SELECT md5(string_agg(concat(t.xmin, t.ctid), ',' ORDER BY t.id)) FROM hdms_internal.versions t";
	my $untouched = $north->sql($rows);
	is($north->sql('SELECT hdms.recover_ledger()'), 3, 'every patient\'s node is asked');
	recovered();
	is($north->sql('SELECT sum(copies), sum(restored), sum(unsound) FROM hdms.recovery'), '23|0|0', 'gives all that it has');
	is($north->sql($rows), $untouched, 'and no row is written');
	is($north->sql('SELECT count(*) FROM hdms.incidents'), 0, 'nothing was damaged');
};

subtest 'tables that are gone, a crash, and a device that comes late' => sub {
	$device{B}->stop;
	my $event = $north->sql('SELECT max(id) FROM hdms.events');
	$north->sql("TRUNCATE $tables");
	is($north->sql('SELECT hdms.recover_ledger()'), 3, 'all are asked');
	$north->wait_for("SELECT restored > 0 FROM hdms.recovery WHERE patient_ref = 'A'", 't');
	$pg->restart('immediate');
	$north->wait_for("SELECT count(*) FROM hdms.recovery WHERE status = 'complete'", 2, 120);
	is($north->sql("SELECT patient_ref FROM hdms.recovery WHERE status = 'asked'"), 'B', 'one has not answered');
	is($north->sql("SELECT count(*) FROM hdms.records WHERE patient_ref = 'B'"), 0, 'and their records are not there');
	$device{B}->start;
	recovered();
	is_deeply([split /\n/, ledger('v.id, r.patient_ref, r.source_id,')], [split /\n/, $everything], 'everything that the patients had is as it was');
	is(failures(" AND record <> '$rejected'"), '', 'and verifies');
	is($north->sql("SELECT count(DISTINCT record) FROM hdms.events WHERE kind = 'repaired' AND id > $event"), 16 + 5, 'the EMR learns of each record');
};

subtest 'life goes on' => sub {
	$device{C}->cmd('accept', $open);
	$north->wait_status($open, 'committed');
	is($north->sql("SELECT hdms.amend('$long', '{\"n\": \"version 4\"}')"), 4, 'a version after the recovered ones');
	$north->wait_for("SELECT committed_versions FROM hdms.records WHERE record = '$long'", 4);
	is($north->issue('A', '{"patient": "A", "n": 1.10}', source_id => 'A-1'), $records{A}[0], 'a source_id is known again');
	my $new = $north->issue('B', '{"new": true}');
	$north->wait_status($new, 'committed');
};

subtest 'patients that are gone, too' => sub {
	my $before = ledger('v.id, r.patient_ref, r.source_id,');
	$north->sql("TRUNCATE $tables, hdms_internal.patients, hdms_internal.invitations");
	is($north->sql('SELECT hdms.recover_ledger()'), 3, 'their nodes are known still');
	recovered();
	is_deeply([split /\n/, ledger('v.id, r.patient_ref, r.source_id,')], [split /\n/, $before], 'everything is as it was, whose it is as well');
	is($north->sql("SELECT string_agg(patient_ref, ',' ORDER BY patient_ref) FROM hdms.patients WHERE status = 'paired'"), 'A,B,C', 'from the events');
};

subtest 'and nothing that tells who they are' => sub {
	my $before = ledger('');
	$north->sql("UPDATE hdms_internal.events SET patient_ref = NULL");
	$north->sql("TRUNCATE $tables, hdms_internal.patients, hdms_internal.invitations, hdms_internal.recoveries, hdms_internal.repairs");
	is($north->sql('SELECT hdms.recover_ledger()'), 3, 'their nodes are known still');
	recovered();
	is_deeply([split /\n/, ledger('')], [split /\n/, $before], 'everything is as it was');
	is($north->sql("SELECT count(*) FROM hdms.recovery WHERE patient_ref = 'node:' || node_id"), 3, 'under the names of the nodes');
	is($north->sql("SELECT count(DISTINCT patient_ref) FROM hdms.records WHERE patient_ref LIKE 'node:%'"), 3, 'as the records are');
};

subtest 'what is damaged beside what is gone' => sub {
	my $before = ledger('v.id,');
	my ($sound, $damaged, $gone) = @{$records{A}}[0 .. 2];
	my $row = "SELECT concat(v.xmin, v.ctid) FROM hdms_internal.versions v WHERE record = '$sound'";
	my $untouched = $north->sql($row);
	$north->sql("UPDATE hdms_internal.payloads SET content = '{}' WHERE id = (SELECT id FROM hdms_internal.versions WHERE record = '$damaged')");
	$north->sql("DELETE FROM hdms_internal.payloads WHERE id = (SELECT id FROM hdms_internal.versions WHERE record = '$gone');
		DELETE FROM hdms_internal.versions WHERE record = '$gone'; DELETE FROM hdms_internal.records WHERE record = '$gone'");
	$north->sql('SELECT hdms.recover_ledger()');
	recovered();
	is_deeply([split /\n/, ledger('v.id,')], [split /\n/, $before], 'is put right');
	is($north->sql($row), $untouched, 'what was sound is not touched');
	is($north->sql("SELECT record, what FROM hdms.incidents"), "$damaged|payloads", 'what was damaged is kept');
};

subtest 'a record that was erased' => sub {
	my $erased = $records{A}[1];
	is($north->sql("SELECT count(*) FROM hdms_internal.incidents WHERE record = '$erased'"), 1, 'a damaged row of it was kept');
	$north->sql("SELECT hdms.erase('$erased', 'asked for')");
	$north->wait_status($erased, 'erased');
	is($north->sql("SELECT count(*) FROM hdms_internal.incidents WHERE record = '$erased'"), 0, 'until it was erased');
	$north->sql("DELETE FROM hdms_internal.payloads WHERE id = (SELECT id FROM hdms_internal.versions WHERE record = '$erased');
		DELETE FROM hdms_internal.versions WHERE record = '$erased'; DELETE FROM hdms_internal.records WHERE record = '$erased'");
	$north->sql('SELECT hdms.recover_ledger()');
	recovered();
	is($north->sql("SELECT count(*) FROM hdms_internal.versions WHERE record = '$erased'"), 0, 'does not come back from the patient who kept it');
};

done_testing();
