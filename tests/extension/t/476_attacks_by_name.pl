# Attacks that take more than one column: rewriting all that a superuser can compute, replaying what was signed once, putting an older copy back;
# and the two denials, of having accepted and of having issued, against evidence that an outsider checks.
use strict;
use warnings;
use Test::More;
use HdmsCluster;
use IPC::Run qw(run);

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for('SELECT status FROM hdms.patients', 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');
my ($amended, $other) = map { $north->issue('A-1', "{\"diagnosis\": \"J$_\", \"by\": \"Dr. North\"}") } 1 .. 2;
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", 2);
$north->sql('CREATE TABLE old_records AS SELECT * FROM hdms_internal.records; CREATE TABLE old_versions AS SELECT * FROM hdms_internal.versions;
	CREATE TABLE old_payloads AS SELECT * FROM hdms_internal.payloads; CREATE TABLE old_events AS SELECT * FROM hdms_internal.events');
$north->sql("SELECT hdms.amend('$amended', '{\"diagnosis\": \"J9\", \"by\": \"Dr. North\"}')");
$north->wait_for("SELECT string_agg(status, ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$amended'", 'superseded,committed');
wait_until('the device to hold the new version', sub { grep { $_->{record} eq $amended && $_->{version} == 2 && $_->{status} eq 'final' } @{$alice->json('records')} });
$north->wait_for('SELECT count(*) FROM hdms_internal.audit_queue', 0);
$north->wait_for('SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries)', 't');

# The checks that fail after an attack, which is taken back.
sub found
{
	my (@attack) = @_;
	my $sql = join ";\n", 'BEGIN', @attack, "SELECT 'found ' || coalesce(string_agg(DISTINCT check_name, ' '), '') FROM hdms.verify_ledger() WHERE check_name <> 'summary'", 'ROLLBACK';
	my ($found) = $north->sql($sql) =~ /^found (.*)$/m or die "the attack said nothing\n";
	return {map { $_ => 1 } split / /, $found};
}
sub is_found { my ($found, $what, @checks) = @_; ok($found->{$_}, "$what: by the check \"$_\"") or diag join ' ', sort keys %$found for @checks; }

is_deeply(found('SELECT 1'), {}, 'nothing is found before the attacks');
my ($first, $second) = split /\|/, $north->sql("SELECT min(id), max(id) FROM hdms_internal.versions WHERE record = '$amended'");

my $lie = '{"diagnosis":"Z99","by":"Dr. North"}';
my $content = "UPDATE hdms_internal.payloads SET content = '$lie' WHERE id = $second";
my $digest = "UPDATE hdms_internal.versions SET content_digest = sha256('$lie'::bytea) WHERE id = $second";
# The disclosure of the diagnosis, made anew; its digest is in what the institution signed.
my $disclosure = "UPDATE hdms_internal.payloads p SET state = (SELECT string_agg(CASE WHEN n > 1 AND part <> '' AND position('\"diagnosis\"' in convert_from(decode(rpad(translate(part, '-_', '+/'),
	(length(part) + 3) / 4 * 4, '='), 'base64'), 'UTF8')) > 0 THEN rtrim(translate(replace(encode(convert_to(replace(convert_from(decode(rpad(translate(part, '-_', '+/'), (length(part) + 3) / 4 * 4, '='),
	'base64'), 'UTF8'), 'J9', 'Z99'), 'UTF8'), 'base64'), E'\\n', ''), '+/', '-_'), '=') ELSE part END, '~' ORDER BY n) FROM regexp_split_to_table(p.state, '~') WITH ORDINALITY AS s (part, n)) WHERE id = $second";
is_found(found($content), 'a rewritten diagnosis', 'digest', 'projection');
is_found(found($content, $digest), 'and its digest', 'projection');
is_found(found($content, $digest, $disclosure), 'and its disclosure', 'state');
is_found(found("UPDATE hdms_internal.payloads p SET acceptance = q.acceptance FROM hdms_internal.payloads q WHERE p.id = $second AND q.id = $first"), 'an old acceptance', 'acceptance');
is_found(found("UPDATE hdms_internal.payloads p SET acceptance = q.acceptance, request = q.request, receipt = q.receipt FROM hdms_internal.payloads q WHERE p.id = $second AND q.id = $first",
	"UPDATE hdms_internal.versions v SET leaf_at = w.leaf_at FROM hdms_internal.versions w WHERE v.id = $second AND w.id = $first"), 'old evidence for a new version', 'acceptance');

sub older { my @tables = @_; return map { ("DELETE FROM hdms_internal.$_", "INSERT INTO hdms_internal.$_ " . ($_ eq 'versions' ? 'OVERRIDING SYSTEM VALUE ' : '') . "SELECT * FROM old_$_") } @tables; }
is_found(found(older('payloads')), 'an older copy of the bytes', 'rows');
is_found(found(older('versions')), 'an older copy of the versions', 'rows', 'versions');
is_found(found(older(qw(records versions payloads))), 'older copies of all that fits together', 'missing');
is_found(found(older(qw(records versions payloads events))), 'and of the events', 'event');
is_found(found(older(qw(records versions payloads events)), 'DELETE FROM hdms_internal.ledger_entries e WHERE e.kind = \'events\' AND e.last_id > (SELECT max(id) FROM old_events)'),
	'and of the log\'s entries', 'log');
is_found(found("DELETE FROM hdms_internal.$_ WHERE " . ($_ eq 'payloads' ? 'id' : 'record') . ($_ eq 'payloads' ? " IN ($first, $second)" : " = '$amended'"))
	, "a record that is deleted from $_", $_ eq 'records' ? 'rows' : $_ eq 'versions' ? 'rows' : 'rows') for qw(records versions payloads);
is_found(found("DELETE FROM hdms_internal.payloads WHERE id IN ($first, $second)", "DELETE FROM hdms_internal.versions WHERE record = '$amended'", "DELETE FROM hdms_internal.records WHERE record = '$amended'"),
	'a record that is deleted everywhere', 'missing');

# (exit status, output) of the program that an outsider has, who knows the network's fingerprint.
sub outsider
{
	my ($file) = @_;
	my $out = '';
	run(["$build/hdms-tool", 'state', 'verify', $file, '--network', $net->{fingerprint}], '<', \undef, '>', \$out, '2>', \my $err);
	return ($? >> 8, $out);
}

subtest 'a patient who denies having accepted' => sub {
	my $file = "$pg->{base}/from-the-hospital.json";
	spew($file, $north->sql("SELECT hdms.export_evidence('$amended')"));
	$alice->stop;
	my ($status, $out) = outsider($file);
	is($status, 0, 'is contradicted by the hospital\'s evidence, without their device');
	like($out, qr/version $_: acceptance: ok/, "which has the signature under version $_") for 1, 2;
};

subtest 'an institution that denies having issued' => sub {
	my $file = "$pg->{base}/from-the-patient.json";
	spew($file, $alice->cmd('export', $amended));
	$pg->stop('immediate');
	my ($status, $out) = outsider($file);
	is($status, 0, 'is contradicted by the patient\'s evidence, without its database') or diag $out;
	like($out, qr/version $_: state: ok/, "which has its signature under version $_") for 1, 2;
	like($out, qr/version 2: receipt: ok/, 'and the notary\'s promise');
};
done_testing();
