# Erasure: who may, when; what is gone, what stays and still proves something; what the patient's device answers; and that nothing disappears unseen.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nautovacuum = off\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
$pg->sql('postgres', 'CREATE ROLE emr LOGIN IN ROLE hdms_emr; CREATE ROLE boss LOGIN IN ROLE hdms_admin');

my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

sub as { my ($role, $sql) = @_; return "SET SESSION AUTHORIZATION $role; $sql"; }
sub failures { my ($record) = @_; return $north->sql("SELECT string_agg(check_name || ': ' || detail, '; ') FROM hdms.verify('$record') WHERE NOT ok"); }
sub wait_final { my ($record) = @_; wait_until("the device to hold $record", sub { grep { $_->{record} eq $record && $_->{status} eq 'final' } @{$alice->json('records')} }); }

# Nothing in these is found by chance.
my $marker = 'zebrafinch-' . join '', map { ('a' .. 'z')[rand 26] } 1 .. 12;
my $first = $north->issue('A-1', qq({"resourceType": "Observation", "note": "$marker one"}), source_id => 'lab-1');
$north->wait_status($first, 'committed');
$north->sql(qq(SELECT hdms.amend('$first', '{"resourceType": "Observation", "note": "$marker two"}')));
$north->wait_for("SELECT string_agg(status, ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$first'", 'superseded,committed');
wait_final($first);
my $kept = $north->issue('A-1', '{"other": "stays"}');
$north->wait_status($kept, 'committed');

subtest 'who may erase, and when' => sub {
	like($north->sql_error(as('emr', "SELECT hdms.erase('$first', 'asked by the patient')")), qr/nothing says how long .* has to be kept/,
		'without a rule an EMR may not');
	like($north->sql_error(as('emr', "SELECT hdms.set_retention('fhir/%', '0 days')")), qr/permission denied/, 'an EMR sets no rules');
	$north->sql(as('boss', "SELECT hdms.set_retention('fhir/%', '10 years')"));
	like($north->sql_error(as('emr', "SELECT hdms.erase('$first', 'asked by the patient')")), qr/has to be kept until 20/, 'nor before its time is over');
	like($north->sql_error(as('boss', "SELECT hdms.erase('$first', ' ')")), qr/reason/, 'an administrator needs a reason');
	is($north->sql("SELECT retain_until > now() + interval '9 years' FROM hdms.records WHERE record = '$first'"), 't', 'the view tells until when');
	$north->sql(as('boss', "SELECT hdms.set_retention('fhir/R4/Observation', '0 days')"));
	is($north->sql("SELECT retain_until <= now() FROM hdms.records WHERE record = '$first'"), 't', 'the longest pattern that fits counts');
	my $told = $north->sql("SELECT hdms.issue('A-1', '{\"resourceType\": \"Observation\"}', 'told', retain_until => now() + interval '1 year')");
	$north->sql("SELECT hdms.issue('A-1', '{\"resourceType\": \"Observation\"}', 'told', retain_until => now() + interval '1 day')");
	is($north->sql("SELECT retain_until > now() + interval '364 days' FROM hdms.records WHERE record = '$told'"), 't', 'what hdms.issue() was told counts before any rule, and is not made earlier');
	like($north->sql_error(as('emr', "SELECT hdms.erase('$told', 'x')")), qr/has to be kept until/, 'and an EMR has to wait for it');
	like($north->sql_error(as('emr', "SELECT hdms.erase('00000000-0000-7000-8000-000000000000', 'x')")), qr/unknown record/, 'an unknown record is refused');
	is($north->sql("SELECT count(*) FROM hdms_internal.erasures"), '0', 'nothing of that was written down');
};

my $states = $north->sql("SELECT string_agg(split_part(state, '~', 2) || ' ' || split_part(state, '.', 2), ' ') FROM hdms_internal.payloads p
	JOIN hdms_internal.versions v ON v.id = p.id WHERE v.record = '$first'");
$north->sql(as('emr', "SET hdms.actor = 'dr.who'; SELECT hdms.erase('$first', 'the patient asked for it')"));
$north->wait_status($first, 'erased');
is($north->sql("SELECT string_agg(status, ',') FROM hdms_internal.versions WHERE record = '$first'"), 'erased,erased', 'all versions of the record are erased');
is($north->sql("SELECT action || ', ' || actor || ', ' || purpose FROM hdms.audit WHERE record = '$first' AND action LIKE 'erase%'"),
	'erase, dr.who, the patient asked for it', 'the audit trail tells who asked and why');
is($north->sql("SELECT string_agg(version::text, ',' ORDER BY version) FROM hdms.events WHERE record = '$first' AND status = 'erased'"), '1,2', 'the EMR is told for each version');

subtest 'what is gone and what stays' => sub {
	is($north->sql("SELECT count(*) FROM hdms_internal.payloads p JOIN hdms_internal.versions v ON v.id = p.id WHERE v.record = '$first'
		AND (content IS NOT NULL OR state IS NOT NULL OR commit IS NOT NULL OR rejection IS NOT NULL)"), '0', 'contents, states and salts are gone');
	is($north->sql("SELECT count(*) FROM hdms_internal.versions WHERE record = '$first' AND content_digest <> ''"), '0', 'and the digests that contents could be guessed from');
	is($north->sql("SELECT count(*) FROM hdms_internal.payloads p JOIN hdms_internal.versions v ON v.id = p.id WHERE v.record = '$first'
		AND v.vk IS NOT NULL AND request IS NOT NULL AND receipt IS NOT NULL"), '2', 'verification keys, requests and receipts stay');
	for my $table (split /\n/, $north->sql("SELECT relname FROM pg_class WHERE relnamespace = 'hdms_internal'::regnamespace AND relkind = 'r'"))
	{
		my $text = $north->sql("SELECT coalesce(string_agg(t::text, ' '), '') FROM hdms_internal.$table t");
		ok(index($text, $marker) < 0 && !(grep { index($text, $_) >= 0 } split / /, $states), "no row of $table has anything of it");
	}
	$north->sql('VACUUM FULL hdms_internal.payloads');
	$pg->sql('postgres', 'CHECKPOINT');
	my $found = `grep -rla '$marker' $pg->{data}/base`;
	is($found, '', 'after VACUUM FULL and a checkpoint no file of any table has the text');
	is($north->sql("SELECT detail FROM hdms.doctor() WHERE check_name = 'erased content'"), 'nothing that was erased is left in the files of the tables', 'as hdms.doctor() says');
};

subtest 'the patient decides about the copy' => sub {
	$north->wait_for("SELECT answer FROM hdms.erasures WHERE record = '$first'", 'kept');
	pass('it is kept, and the institution knows');
	is($north->sql("SELECT string_agg(status, ',') FROM hdms.events WHERE record = '$first' AND kind = 'erasure_answered'"), 'kept', 'by an event, too');
	like($alice->cmd('show', $first), qr/has erased this record.*$marker two/s, 'the patient still has it, and sees that the institution has not');
	like($alice->cmd('status'), qr/erased: North Hospital has erased record $first/, 'there is a notice');
	my ($status, undef, $error) = $alice->try_cmd('erase', $kept);
	is($status, 1, 'a copy of what the institution still has is not erased');
	like($error, qr/has not erased record/, 'with a clear word');
	$alice->cmd('erase', $first);
	$north->wait_for("SELECT answer FROM hdms.erasures WHERE record = '$first'", 'erased');
	pass('when the patient erases it the institution learns of that');
	unlike($alice->cmd('show', $first), qr/$marker/, 'nothing is shown of it');
	like($alice->cmd('verify', $first), qr/erased/, 'and it still verifies');
	$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE type = 'erased'", '0');
	pass('nothing is owed any more');
};

subtest 'what is left is verified' => sub {
	is(failures($first), '', 'nothing fails');
	is($north->sql("SELECT string_agg(DISTINCT detail, ';') FROM hdms.verify('$first') WHERE check_name = 'erased' AND ok"),
		q(erased, authorised: the institution's tombstone is for this version), 'it is erased and authorised');
	is($north->sql("SELECT string_agg(check_name, ',' ORDER BY check_name) FROM hdms.verify('$first') WHERE version = 2 AND ok"),
		'chain,columns,content,erased,event,receipt,request,time', 'with what a notary saw of it');
	is($north->sql("SELECT string_agg(check_name || ': ' || detail, '; ') FROM hdms.verify_ledger() WHERE check_name <> 'summary'"), '', 'the whole ledger verifies');
	my $evidence = $north->sql("SELECT hdms.export_evidence('$first')");
	spew("$pg->{base}/run/erased.json", $evidence);
	like(HdmsCluster::command('state verify', "$build/hdms-tool", 'state', 'verify', '--network', $net->{fingerprint}, "$pg->{base}/run/erased.json"),
		qr/^1 verified, 0 failed$/m, 'what is left of its evidence verifies offline');
};

subtest 'an erased record is not read, amended or issued again' => sub {
	like($north->sql_error("SELECT hdms.read('$first', 'curiosity')"), qr/the record was erased on \d{4}-\d\d-\d\d/, 'reading says when it was erased');
	like($north->sql_error("SELECT hdms.read('$first', 'curiosity', 1)"), qr/the record was erased on/, 'also of an older version');
	like($north->sql_error("SELECT hdms.amend('$first', '{\"resourceType\": \"Observation\"}')"), qr/the record has been erased/, 'amending is refused');
	like($north->sql_error("SELECT hdms.issue('A-1', '{\"resourceType\": \"Observation\"}', 'lab-1')"), qr/the record has been erased/, 'and its source_id');
	like($north->sql_error("SELECT hdms.resend('$first')"), qr/the record has been erased/, 'and sending it again');
	is($north->sql("SELECT hdms.erase('$first', 'again'); SELECT count(*) FROM hdms.audit WHERE action = 'erase'"), "\n1", 'erasing again changes nothing');
};

subtest 'without a tombstone it is no erasure' => sub {
	my $good = $north->sql("SELECT tombstone FROM hdms_internal.tombstones WHERE record = '$first'");
	$north->sql("UPDATE hdms_internal.tombstones SET tombstone = regexp_replace(tombstone, '.{10}\$', 'AAAAAAAAAA') WHERE record = '$first'");
	like(failures($first), qr/erased: the signature is wrong|erased: .*signature/, 'a tombstone that is not the institution\'s fails');
	$north->sql("DELETE FROM hdms_internal.tombstones WHERE record = '$first'");
	like(failures($first), qr/no tombstone of this institution/, 'a missing one fails');
	like($north->sql("SELECT string_agg(detail, '; ') FROM hdms.verify_ledger() WHERE record = '$first'"), qr/no tombstone of this institution/, 'hdms.verify_ledger() reports it');
	$north->sql("INSERT INTO hdms_internal.tombstones (record, number, vk, tombstone, receiver)
		SELECT '$first', 1, vk, '$good', (SELECT node_id FROM hdms.patients WHERE patient_ref = 'A-1') FROM hdms_internal.versions WHERE record = '$first' AND ordinal = 1");
	is(failures($first), '', 'the right one is enough');
	$north->sql("UPDATE hdms_internal.payloads SET content = '{}' WHERE id = (SELECT min(id) FROM hdms_internal.versions WHERE record = '$first')");
	like(failures($first), qr/what was erased is in the table again/, 'content that is there again fails');
	$north->sql("UPDATE hdms_internal.payloads SET content = NULL WHERE id = (SELECT min(id) FROM hdms_internal.versions WHERE record = '$first')");

	my @before = split /\|/, $north->sql("SELECT p.id, p.content, p.state FROM hdms_internal.payloads p JOIN hdms_internal.versions v ON v.id = p.id WHERE v.record = '$kept'");
	$north->sql("UPDATE hdms_internal.payloads SET content = NULL, state = NULL WHERE id = $before[0]");
	like(failures($kept), qr/digest|state/, 'content that disappeared without being erased fails');
	$north->sql("UPDATE hdms_internal.versions SET status = 'erased' WHERE id = $before[0]");
	like(failures($kept), qr/no tombstone of this institution/, 'also where somebody calls it erased');
	$north->sql("INSERT INTO hdms_internal.tombstones (record, number, vk, tombstone) SELECT '$kept', 1, vk, '$good' FROM hdms_internal.versions WHERE record = '$kept'");
	like(failures($kept), qr/no tombstone of this institution/, 'also with the tombstone of another record');
	$north->sql("DELETE FROM hdms_internal.tombstones WHERE record = '$kept'; UPDATE hdms_internal.versions SET status = 'committed' WHERE id = $before[0];
		UPDATE hdms_internal.payloads SET content = '$before[1]', state = '$before[2]' WHERE id = $before[0]");
	is(failures($kept), '', 'and put back it verifies');
};

subtest 'what was under way ends' => sub {
	$alice->cmd('policy', 'North Hospital', 'ask');
	my $open = $north->issue('A-1', '{"resourceType": "Observation", "open": true}');
	$north->wait_status($open, 'delivered');
	my $early = $north->sql("SELECT hdms.register_patient('Z-1'); SELECT hdms.issue('Z-1', '{\"resourceType\": \"Observation\", \"nobody\": true}')");
	$early =~ s/\s//g;
	$north->sql("SELECT hdms.erase('$_', 'a mistake')") for $open, $early;
	$north->wait_status($_, 'erased') for $open, $early;
	wait_until('the device to end it', sub { grep { $_->{record} eq $open && $_->{status} eq 'withdrawn' } @{$alice->json('records', '--all')} });
	is(scalar(@{$alice->json('inbox')}), 0, 'the patient is not asked any more');
	is(failures($open), '', 'a record that waits for the patient is erased, and that is authorised');
	is(failures($early), '', 'also one that was never signed');
	is($north->sql("SELECT string_agg(vk IS NULL || ' ' || (receiver IS NULL), ',') FROM hdms_internal.tombstones WHERE record = '$early'"), 'true true', 'of which nobody has to be told');
	$north->sql(as('boss', "SELECT hdms.erase('$kept', 'a court said so')"));
	$north->wait_status($kept, 'erased');
	is($north->sql("SELECT action FROM hdms.audit WHERE record = '$kept' AND action LIKE 'erase%'"), 'erase before end', 'an administrator may erase before the end, and the trail says so');
};

subtest 'a record goes together with the one that it continues' => sub {
	$alice->cmd('policy', 'North Hospital', 'accept');
	my ($old, $new) = map { $north->issue('A-1', qq({"resourceType": "Observation", "part": $_})) } 1, 2;
	$north->wait_status($_, 'committed') for $old, $new;
	$north->sql("UPDATE hdms_internal.records SET replaces = '$old', retain_until = now() + interval '1 day' WHERE record = '$new'");
	like($north->sql_error(as('emr', "SELECT hdms.erase('$old', 'x')")), qr/record $new has to be kept until/, 'not before the time of both is over');
	$north->sql("UPDATE hdms_internal.records SET retain_until = NULL WHERE record = '$new'");
	$north->sql(as('emr', "SELECT hdms.erase('$old', 'x')"));
	$north->wait_status($_, 'erased') for $old, $new;
	pass('both are erased');
};

done_testing;
