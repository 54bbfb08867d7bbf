# A dump from before an erasure, restored as the node: what was erased goes again before anything is said to anybody.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\nhdms.resend_interval = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

my $marker = 'zebrafinch-' . join '', map { ('a' .. 'z')[rand 26] } 1 .. 12;
my $gone = $north->issue('A-1', qq({"note": "$marker one"}));
my $kept = $north->issue('A-1', '{"note": "stays"}');
$north->wait_status($_, 'committed') for $gone, $kept;

# One is on its way when the dump is made, one waits for a patient.
$alice->stop;
my $flying = $north->issue('A-1', qq({"note": "$marker flies"}));
$north->wait_status($flying, 'issued');
$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE status = 'sent' AND type = 'record'", '1');
$north->sql("SELECT hdms.register_patient('Z-1')");
my $waiting = $north->issue('Z-1', qq({"note": "$marker waits"}));
my $transport = $north->sql("SELECT transport FROM hdms_internal.outbox WHERE type = 'record'");
my @as = @HdmsCluster::as_postgres;
HdmsCluster::command('pg_dump', @as, HdmsCluster::pg_bin() . '/pg_dump', '-f', "$pg->{base}/run/north.sql", '-d', $pg->conninfo('north'));

my @erased = ($gone, $flying, $waiting);
$north->sql("SELECT hdms.erase('$_', 'asked for')") for @erased;
$north->wait_status($_, 'erased') for @erased;
my ($journal) = glob "$pg->{base}/keys/$north->{node}/erasures";
is(scalar(split /\n/, slurp($journal)), 3, 'the journal beside the keys has a tombstone for each');
is((stat $journal)[2] & 0777, 0600, 'and is nobody else\'s to read');

# The server forgets what it had, so that whatever is there later was put later. A crash has left half a line, somebody has written another.
$pg->sql('hdms_server', "DELETE FROM hdms_server.mailbox");
open my $out, '>>', $journal or die;
print $out "eyJhbGciOiJFUzI1NiJ9.e30.AAAA\neyJ0";
close $out;

$north->wait_for('SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries) AND NOT EXISTS (SELECT FROM hdms_internal.audit_queue)', 't');
$pg->sql('postgres', 'DROP DATABASE north');
$pg->sql('postgres', 'CREATE DATABASE again');
HdmsCluster::command('restore', $pg->psql_command('again', '-f', "$pg->{base}/run/north.sql", '-o', '/dev/null'));
is($pg->sql('again', "SELECT count(*) FROM hdms_internal.payloads WHERE content::text LIKE '%$marker%'"), '3', 'the older backup has the content again');
$pg->sql('again', "UPDATE hdms_internal.outbox SET status = 'queued', next_try = now()");
$pg->serve_database('again');
$pg->wait_sql('again', "SELECT problem LIKE '%adopt_keys%' FROM hdms.node");
is($pg->sql('again', "SELECT count(*) FROM hdms_internal.payloads WHERE content::text LIKE '%$marker%'"), '3', 'without the keys nothing happens to it');
$pg->sql('again', 'SELECT hdms.adopt_keys()');
$pg->wait_sql('again', "SELECT problem LIKE '%older than what was signed%' FROM hdms.node");
$pg->sql('again', "SELECT hdms.accept_lost_ledger('there is no newer backup')");
my $again = bless {pg => $pg, network => $net, db => 'again', node => $north->{node}}, 'HdmsHospital';
$again->wait_status($_, 'erased') for @erased;
is($again->sql("SELECT count(*) FROM hdms_internal.payloads p JOIN hdms_internal.versions v ON v.id = p.id WHERE v.status = 'erased' AND (content IS NOT NULL OR state IS NOT NULL)"), '0',
	'with the keys the content goes again');
is($again->sql("SELECT string_agg(record::text, ',' ORDER BY record) FROM hdms.events WHERE kind = 'erased_again'"), join(',', sort @erased), 'an event tells of each');
is($again->sql("SELECT string_agg(DISTINCT again || status, ',') FROM hdms.erasures"), '1erased', 'and so does the view');
is($again->sql("SELECT string_agg(check_name || ': ' || detail, '; ') FROM hdms.verify('$_') WHERE NOT ok"), '', 'what is left verifies') for @erased;
is($again->status($kept), 'committed', 'what was not erased is as it was');

$alice->start;
$again->wait_for("SELECT string_agg(answer, ',') FROM hdms.erasures WHERE record = '$gone'", 'kept');
pass('the patient\'s device answers anew');
$again->wait_for("SELECT count(*) FROM hdms_internal.outbox", '0');
is(scalar(grep { $_->{record} eq $flying } @{$alice->json('records', '--all')}), 0, 'what was on its way never went out again');
unlike($pg->sql('hdms_server', "SELECT coalesce(string_agg(id::text, ' '), '') FROM hdms_server.mailbox"), qr/$transport/, 'nor is it on the server');
$again->wait_status($again->issue('A-1', '{"note": "new"}'), 'committed');
pass('and the node goes on');
like($pg->log_text, qr/which was erased, is here again and is erased again/, 'the log says what was done');

subtest 'the journal counts while the node runs, too' => sub {
	my $line = (split /\n/, slurp($journal))[0];
	$again->sql("UPDATE hdms_internal.payloads SET content = '{\"note\": \"$marker one\"}' WHERE id = (SELECT id FROM hdms_internal.versions WHERE record = '$gone')");
	like($again->sql("SELECT string_agg(detail, '; ') FROM hdms.verify('$gone') WHERE NOT ok"), qr/in the table again/, 'content that is put back is seen');
	$pg->sql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'again' AND backend_type ~ 'hdms'");
	$again->wait_for("SELECT count(*) FROM hdms_internal.payloads WHERE content::text LIKE '%$marker%'", '0');
	pass('and erased when the worker starts');
	is(scalar(grep { $_ eq $line } split /\n/, slurp($journal)), 1, 'without another tombstone');
};

subtest 'nor does the patient\'s copy bring it back' => sub {
	$again->sql("DELETE FROM hdms_internal.$_ WHERE record = '$gone'") for qw(tombstones erasures);
	$again->sql("DELETE FROM hdms_internal.payloads WHERE id IN (SELECT id FROM hdms_internal.versions WHERE record = '$gone')");
	$again->sql("DELETE FROM hdms_internal.$_ WHERE record = '$gone'") for qw(versions records);
	$pg->sql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'again' AND backend_type ~ 'hdms'");
	$again->wait_for("SELECT answer FROM hdms.erasures WHERE record = '$gone'", 'kept');
	pass('a tombstone that was deleted is back from the journal');
	$again->sql('SELECT hdms.recover_ledger()');
	$again->wait_for("SELECT string_agg(DISTINCT status, ',') FROM hdms.recovery WHERE patient_ref = 'A-1'", 'complete');
	is($again->sql("SELECT count(*) FROM hdms_internal.payloads WHERE content::text LIKE '%$marker%'"), '0', 'and what the patient still has is not taken');
};

done_testing;
