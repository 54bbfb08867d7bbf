# What an administrator does about a message in quarantine: lets it be tried again, or gives it up for good.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\nhdms.expiry_grace = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice', conf => "resend_initial = 1s\nresend_max = 2s\n");
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

# Acting upon any message of the database fails, or works again.
sub poison
{
	$north->sql(<<'SQL');
CREATE OR REPLACE FUNCTION public.poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poisonous'; END $$;
CREATE TRIGGER poison BEFORE INSERT ON hdms_internal.processed FOR EACH ROW EXECUTE FUNCTION public.poison()
SQL
}
sub cure { $north->sql('DROP TRIGGER poison ON hdms_internal.processed'); }
sub as_admin { my ($sql) = @_; return $north->sql("SET ROLE hdms_admin; SET hdms.actor = 'dba'; $sql"); }
sub mailbox { return $pg->sql('hdms_server', "SELECT count(*) FROM hdms_server.mailbox WHERE recipient = '$north->{node}'"); }

# A record whose evidence, all that this device answers with, is in quarantine; the transports of what is there.
sub put_away
{
	my ($content, %options) = @_;
	poison();
	my $record = $north->issue('A-1', $content, %options);
	$north->wait_for('SELECT count(*) FROM hdms.quarantine', '1');
	wait_until('the device to wait for an answer', sub { $alice->json('status')->{outbox} > 0 });
	cure();
	return ($record, split /\n/, $north->sql('SELECT transport FROM hdms.quarantine ORDER BY received_at'));
}

subtest 'released' => sub {
	my ($record, @transports) = put_away('{"n": 1}');
	like(as_admin("SELECT hint FROM hdms.doctor() WHERE check_name = 'quarantine'"), qr/hdms\.release_message.*hdms\.discard_message/, 'the doctor says what can be done');
	wait_until('the server to forget them', sub { mailbox() eq '0' });
	is($north->status($record), 'issued', 'what is in quarantine has no effect');
	as_admin("SELECT hdms.release_message('$_')") for @transports;
	$north->wait_status($record, 'committed');
	pass('what was released is acted upon');
	$north->wait_for('SELECT count(*) FROM hdms_internal.inbox', '0');
	is($north->sql("SELECT count(*) FROM hdms.audit WHERE action = 'release message' AND role = 'hdms_admin' AND actor = 'dba'"), scalar @transports, 'each release is audited');
};

subtest 'released too early' => sub {
	my ($record, @transports) = put_away('{"n": 2}');
	poison();
	my $events = $north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'quarantined'");
	as_admin("SELECT hdms.release_message('$transports[0]')");
	$north->wait_for("SELECT count(*) > $events FROM hdms.events WHERE kind = 'quarantined' AND reason = '$transports[0]' OR id <= $events", 't');
	$north->wait_for("SELECT attempts FROM hdms.quarantine WHERE transport = '$transports[0]'", '2');
	pass('it gets two attempts and is back');
	cure();
	as_admin("SELECT hdms.release_message(transport) FROM hdms.quarantine");
	$north->wait_status($record, 'committed');
};

subtest 'discarded' => sub {
	my ($record, @transports) = put_away('{"n": 3}', accept_within => '40 seconds');
	as_admin("SELECT hdms.discard_message('$_', 'defect 17')") for @transports;
	is($north->sql('SELECT count(*) FROM hdms.quarantine'), '0', 'the quarantine is empty');
	is($north->sql("SELECT count(*) FROM hdms.deliveries WHERE direction = 'refused' AND problem = 'discarded: defect 17'"), scalar @transports, 'the reason is among the refusals');
	is($north->sql("SELECT count(*) FROM hdms.audit WHERE action = 'discard message' AND purpose LIKE 'message %: defect 17'"), scalar @transports, 'and in the audit trail');

	# The device has no answer and puts the same envelopes again and again.
	my $put = "SELECT coalesce(sum(calls), 0) FROM (SELECT n_tup_ins AS calls FROM pg_stat_user_tables WHERE schemaname = 'hdms_server' AND relname = 'mailbox') AS x";
	my $before = $pg->sql('hdms_server', $put);
	wait_until('the device to repeat itself', sub { $pg->sql('hdms_server', $put) > $before });
	wait_until('the repetition to be acknowledged', sub { mailbox() eq '0' });
	is($north->status($record), 'issued', 'what was discarded is not acted upon when its sender repeats it');
	is($north->sql("SELECT count(*) FROM hdms_internal.inbox WHERE status <> 'discarded'"), '0', 'nor kept again');

	my $later = $north->issue('A-1', '{"n": 4}');
	$north->wait_status($later, 'committed');
	pass('others are');
	$north->wait_status($record, 'expired');
	$north->sql("SELECT hdms.resend('$record')");
	$north->wait_status($record, 'committed');
	pass('the record is committed when it is asked for anew after it has expired');
};
done_testing;
