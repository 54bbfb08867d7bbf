# Repair: what a superuser did to the tables is put back from the patient's device, bit for bit; what cannot be is said, and left alone.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my %device;
my %records;
for my $name (qw(A B))
{
	my $device = $device{$name} = $net->device(lc $name);
	$device->pair($north->invite($name));
	$device->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired');
	$device->cmd('policy', 'North Hospital', 'accept');
	push @{$records{$name}}, $north->issue($name, "{ \"patient\": \"$name\", \"n\": $_.10 }", source_id => "$name-$_") for 1 .. 4;
}
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", 8);
my $long = $records{A}[0];
for my $n (2, 3)
{
	$north->sql("SELECT hdms.amend('$long', '{\"n\": \"version $n\"}')");
	$north->wait_for("SELECT committed_versions FROM hdms.records WHERE record = '$long'", $n);
}

# What the tables say of a record; the content as it is asked for.
sub rows
{
	my ($record) = @_;
	return $north->sql("SELECT v.id, v.record, v.ordinal, v.content_digest, v.status, v.version, v.vk, v.prev, v.notary, v.accept_until, v.leaf_at, v.reason,
		p.content::jsonb, md5(p.state), p.commit, md5(p.acceptance), md5(p.request), md5(p.receipt), r.patient_ref, r.source_id, r.type, r.committed
		FROM hdms_internal.versions v LEFT JOIN hdms_internal.payloads p USING (id) LEFT JOIN hdms_internal.records r ON r.record = v.record
		WHERE v.record = '$record' ORDER BY v.ordinal");
}
sub failures { return $north->sql("SELECT record, version, check_name, detail FROM hdms.verify_ledger() WHERE check_name <> 'summary'"); }
sub ids { my ($record) = @_; return split /\n/, $north->sql("SELECT id FROM hdms_internal.versions WHERE record = '$record' ORDER BY ordinal"); }
sub outcome
{
	my ($repair) = @_;
	$north->wait_for("SELECT status <> 'asked' FROM hdms.repairs WHERE id = $repair", 't');
	return $north->sql("SELECT concat_ws(': ', status, reason) FROM hdms.repairs WHERE id = $repair");
}
sub repair { my ($record) = @_; return outcome($north->sql("SELECT hdms.repair('$record')")); }

my ($one, $two, $three) = ids($long);
my $single = $records{A}[1];
my ($single_id) = ids($single);
my $theirs = $records{B}[0];
my ($their_id) = ids($theirs);
my $v = 'hdms_internal.versions';
my $p = 'hdms_internal.payloads';
my $r = 'hdms_internal.records';

is(repair($single), 'sound', 'a record that nothing is wrong with is sound');
is($north->sql('SELECT count(*) FROM hdms_internal.incidents'), 0, 'and nothing was found');

my @attacks = (
	['a content that was rewritten', $single, "UPDATE $p SET content = '{\"patient\": \"A\", \"n\": 999}' WHERE id = $single_id"],
	['a content rewritten with its digest', $single, "UPDATE $p SET content = '{\"n\": 1}' WHERE id = $single_id;
		UPDATE $v SET content_digest = sha256('{\"n\":1}') WHERE id = $single_id"],
	['a state that is gone', $single, "UPDATE $p SET state = NULL WHERE id = $single_id"],
	['all evidence gone', $single, "UPDATE $p SET state = NULL, acceptance = NULL, request = NULL, receipt = NULL WHERE id = $single_id"],
	['a receipt that was cut', $single, "UPDATE $p SET receipt = left(receipt, -9) WHERE id = $single_id"],
	['an acceptance of another record', $single, "UPDATE $p SET acceptance = (SELECT acceptance FROM $p WHERE id = $their_id) WHERE id = $single_id"],
	['bytes that are gone', $single, "DELETE FROM $p WHERE id = $single_id"],
	['a version that is gone', $single, "DELETE FROM $v WHERE id = $single_id"],
	['a record that is gone', $single, "DELETE FROM $r WHERE record = '$single'"],
	['a record bound to another patient', $single, "UPDATE $r SET patient_ref = 'B' WHERE record = '$single'; UPDATE $v SET notary = NULL WHERE id = $single_id"],
	['a type that was changed', $single, "UPDATE $r SET type = 'fhir/R4/Observation' WHERE record = '$single'"],
	['a verification key that was changed, and no state', $single, "UPDATE $v SET vk = repeat('A', 43) WHERE id = $single_id; UPDATE $p SET state = NULL WHERE id = $single_id"],
	['columns that were changed', $single, "UPDATE $v SET vk = NULL, version = 7, prev = repeat('A', 43), notary = NULL, leaf_at = leaf_at - interval '1 day' WHERE id = $single_id"],
	['a version that was called rejected', $single, "UPDATE $v SET status = 'rejected', reason = 'no' WHERE id = $single_id"],
	['a version moved to another record', $single, "UPDATE $v SET record = gen_random_uuid() WHERE id = $single_id"],
	['the middle of three versions gone', $long, "DELETE FROM $v WHERE id = $two; DELETE FROM $p WHERE id = $two"],
	['the first of three versions gone', $long, "DELETE FROM $v WHERE id = $one"],
	['the newest of three versions gone, and counted as if it had never been', $long,
		"DELETE FROM $v WHERE id = $three; DELETE FROM $p WHERE id = $three; UPDATE $r SET committed = 2 WHERE record = '$long';
		 UPDATE $v SET status = 'committed' WHERE id = $two"],
	['states of three versions gone', $long, "UPDATE $p SET state = NULL WHERE id IN ($one, $two, $three)"],
	['two versions in each other\'s place', $long, "UPDATE $v SET ordinal = -1 WHERE id = $one; UPDATE $v SET ordinal = 1 WHERE id = $two; UPDATE $v SET ordinal = 2 WHERE id = $one"],
	['more versions counted than there are', $long, "UPDATE $r SET committed = 9 WHERE record = '$long'"],
	['a version set aside as late', $long, "UPDATE $v SET reason = 'late' WHERE id = $two"],
);
for my $attack (@attacks)
{
	my ($name, $record, $sql) = @$attack;
	my $before = rows($record);
	my $incidents = $north->sql('SELECT count(*) FROM hdms_internal.incidents');
	$north->sql($sql);
	isnt(rows($record), $before, $name);
	is(repair($record), 'repaired', "$name: is repaired");
	my $after = rows($record);
	is($after, $before, "$name: everything is as it was");
	is(failures(), '', "$name: and verifies");
}

subtest 'what was damaged is kept' => sub {
	$north->sql("UPDATE $p SET content = '{\"forged\": true}' WHERE id = $single_id");
	my $repair = $north->sql("SELECT hdms.repair('$single')");
	is(outcome($repair), 'repaired', 'repaired');
	is($north->sql("SELECT damaged->'content'->>'forged' FROM hdms_internal.incidents ORDER BY id DESC LIMIT 1"), 'true', 'as it was');
	is($north->sql("SELECT incidents FROM hdms.repairs WHERE id = $repair"), 1, 'the repair tells of it');
	is($north->sql("SET ROLE hdms_admin; SELECT record, version, what FROM hdms.incidents ORDER BY id DESC LIMIT 1"), "$single|1|payloads", 'and the view that it is');
	is($north->sql("SELECT kind, status, source_id FROM hdms.events WHERE record = '$single' ORDER BY id DESC LIMIT 2"), "repair|repaired|A-2\nrepaired|committed|A-2", 'the EMR learns of it');
	$north->wait_for("SELECT count(*) > 1 FROM hdms.audit WHERE record = '$single' AND action = 'put back'", 't');
	like($north->sql_error("SET ROLE hdms_emr; SELECT hdms.repair('$single')"), qr/permission denied/, 'only an administrator may');
	like($north->sql_error("SELECT hdms.repair('00000000-0000-0000-0000-000000000000')"), qr/unknown record/, 'of something');
};

subtest 'the whole ledger' => sub {
	my %before = map { $_ => rows($_) } map { @$_ } values %records;
	$north->sql("CREATE TEMP TABLE x AS SELECT * FROM $p; UPDATE $p SET content = x.content, state = x.state, acceptance = x.acceptance, request = x.request, receipt = x.receipt
		FROM x WHERE ($p.id, x.id) IN (($single_id, $their_id), ($their_id, $single_id))");
	my ($gone) = ids($records{B}[1]);
	my ($lost) = ids($records{B}[2]);
	$north->sql("DELETE FROM $v WHERE id = $gone; DELETE FROM $r WHERE record = '$records{B}[1]'");
	$north->sql("DELETE FROM $v WHERE id = $lost; DELETE FROM $r WHERE record = '$records{B}[2]'; DELETE FROM $p WHERE id = $lost");
	$north->sql("UPDATE $p SET receipt = NULL WHERE id = $two");
	my @swapped = ids($records{A}[2]);
	my ($other) = ids($records{A}[3]);
	$north->sql("UPDATE $v SET vk = NULL WHERE id = $swapped[0]; UPDATE $v SET vk = (SELECT hdms_internal.state_record(state)::text FROM $p WHERE id = $other) WHERE id = $other");
	is($north->sql('SELECT hdms.repair_ledger()'), 7, 'begins a repair of each record that something is wrong with');
	$north->wait_for("SELECT count(*) FROM hdms.repairs WHERE status = 'asked'", 0);
	is($north->sql("SELECT record, reason FROM hdms.repairs WHERE status = 'impossible'"), '', 'all are repaired');
	is(failures(), '', 'and verify');
	my %after = map { $_ => rows($_) } keys %before;
	is_deeply(\%after, \%before, 'everything is as it was');
	is($north->sql('SELECT hdms.repair_ledger()'), 0, 'nothing is left to do');
};

subtest 'a device that is not there' => sub {
	$device{B}->stop;
	$north->sql("UPDATE $p SET state = NULL WHERE id = $their_id");
	my $repair = $north->sql("SELECT hdms.repair('$theirs')");
	is($north->sql("SELECT hdms.repair('$theirs')"), $repair, 'a second one is the first');
	$north->wait_for("SELECT asked_at IS NOT NULL FROM hdms.repairs WHERE id = $repair", 't');
	is($north->sql("SELECT status FROM hdms.repairs WHERE id = $repair"), 'asked', 'stays asked');
	$device{B}->start;
	is(outcome($repair), 'repaired', 'and is repaired when it comes');
	is(failures(), '', 'all is well');
};

subtest 'neither copy is sound' => sub {
	$device{B}->stop;
	my $vk = $north->sql("SELECT vk FROM $v WHERE id = $their_id");
	my $home = "$device{B}{home}/node.db";
	($home) = glob("$device{B}{home}/*.db") unless -e $home;
	($home) = glob("$device{B}{home}/*.sqlite") unless $home && -e $home;
	HdmsCluster::command('damaging the device', 'sqlite3', $home,
		"UPDATE part SET sealed = zeroblob(length(sealed)) WHERE id / 64 = (SELECT min(id) FROM version) AND id % 64 = 0");
	$device{B}->start;
	$north->sql("UPDATE $p SET receipt = left(receipt, -9), content = '{\"patient\": \"B\", \"n\": 5}' WHERE id = $their_id");
	my $before = rows($theirs);
	like(repair($theirs), qr/^impossible: the patient has no sound copy: version 1, check "receipt": /, 'is said, with the check that fails');
	is(rows($theirs), $before, 'and nothing is changed');
	is($north->sql("SELECT status FROM hdms.events WHERE record = '$theirs' AND kind = 'repair' ORDER BY id DESC LIMIT 1"), 'impossible', 'the EMR learns of it');
};

done_testing();
