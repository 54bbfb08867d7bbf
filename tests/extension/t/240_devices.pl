# What real devices do when things do not go straight: a notary is gone, time runs out, the device or the server is away.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.expiry_grace = 0\nhdms.probe_patience = 2\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south, $west) = $net->hospitals(['north'], ['south', notary => 1], ['west', notary => 1]);
my $alice = $net->device('alice', conf => "notary_patience = 2s\nresend_initial = 2s\nexpiry_grace = 0s\nretry_max = 2s\n");
$alice->pair($north->invite('A'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A'", 'paired');

sub serve
{
	my (@hospitals) = @_;
	$pg->configure("hdms.databases = '" . join(', ', map { $_->{db} } @hospitals) . "'\n");
	$pg->reload;
	my $names = join ', ', map { "'$_->{db}'" } @hospitals;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hdms worker' AND datname NOT IN ($names)", '0');
}

sub on_device { my ($record) = @_; my ($found) = grep { $_->{record} eq $record } @{$alice->json('records', '--all')}; return $found ? $found->{status} : ''; }

subtest 'a person who does not answer in time' => sub {
	my $record = $north->issue('A', '{"slow": true}', accept_within => '3 seconds');
	$north->wait_status($record, 'delivered');
	$north->wait_status($record, 'expired');
	wait_until('the device to see the end', sub { on_device($record) =~ /^(expired|withdrawn)$/ });
	my ($status) = $alice->try_cmd('accept', $record);
	isnt($status, 0, 'cannot accept any more');
	is($north->sql("SELECT hdms.resend('$record') > 0"), 't', 'the hospital asks anew');
	wait_until('the device to ask again', sub { grep { $_->{record} eq $record } @{$alice->json('inbox')} });
	$alice->cmd('accept', $record);
	$north->wait_status($record, 'committed');
	pass('and that can be accepted');
};

$alice->cmd('policy', 'North Hospital', 'accept');
subtest 'a notary that is gone' => sub {
	my $kept = $north->issue('A', '{"before": true}');
	$north->wait_status($kept, 'committed');
	my $its_notary = $north->sql("SELECT notary FROM hdms_internal.versions WHERE record = '$kept'");
	my ($gone, $here) = $its_notary eq $south->{node} ? ($south, $west) : ($west, $south);
	serve($north, $here);
	my @records = map { $north->issue('A', "{\"during\": $_}") } 1 .. 12;
	$north->sql("SELECT hdms.amend('$kept', '{\"before\": false}')");
	$north->wait_status($_, 'committed', 90) for @records;
	is($north->sql("SELECT count(DISTINCT notary) FROM hdms_internal.versions WHERE record IN (" . join(', ', map { "'$_'" } @records) . ')'), '1', 'is skipped for first versions');
	is($north->sql("SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok"), '0', 'with evidence that verifies');
	isnt($north->sql("SELECT status FROM hdms_internal.versions WHERE record = '$kept' AND ordinal = 2"), 'committed', 'a later version waits for it');
	wait_until('the hospital to say so', sub { $pg->log_text =~ /version 2 of record \Q$kept\E waits for its notary \Q$gone->{node}\E/ });
	pass('and the log says for whom');
	$north->wait_for("SELECT reason FROM hdms.states WHERE record = '$kept' AND version = 2", 'notary-silent');
	pass('and so does the version');
	serve($north, $south, $west);
	$north->wait_for("SELECT status FROM hdms_internal.versions WHERE record = '$kept' AND ordinal = 2", 'committed', 90);
	pass('and is committed when it is back');
	is($north->sql("SELECT count(DISTINCT notary) FROM hdms_internal.versions WHERE record = '$kept'"), '1', 'by the notary of the version before');
};

subtest 'the server is away for a while' => sub {
	$net->stop('KILL');
	my $record = $north->issue('A', '{"offline": true}');
	$north->wait_status($record, 'issued');
	$net->start;
	$north->wait_status($record, 'committed');
	pass('what was issued meanwhile is committed');
};

subtest 'the mailbox is lost' => sub {
	$alice->stop;
	my $record = $north->issue('A', '{"lost": true}');
	$north->wait_for("SELECT status FROM hdms_internal.outbox WHERE type = 'record'", 'sent');
	$net->stop('KILL');
	my $tables = $pg->sql($net->{database}, "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE tablename ~ 'envelope|mailbox'");
	note "emptied: $tables";
	$pg->sql($net->{database}, "TRUNCATE $tables CASCADE");
	$net->start;
	$alice->start;
	$north->wait_status($record, 'committed', 90);
	pass('the hospital sends again what it had sent');
};

subtest 'a device that was away' => sub {
	$alice->stop('KILL');
	unlink "$alice->{home}/socket";
	my @records = map { $north->issue('A', "{\"away\": $_}") } 1 .. 20;
	$north->wait_for("SELECT count(*) FROM hdms.records WHERE status IN ('queued', 'waiting_for_patient')", '0');
	$alice->start;
	$north->wait_status($_, 'committed', 90) for @records;
	pass('gets everything when it is back');
};
is($north->sql("SELECT max(id) = count(*) FROM hdms.events"), 't', 'events have no gaps');
is($_->sql("SELECT count(*) FROM hdms_internal.inbox WHERE status = 'quarantined'"), '0', "nothing is quarantined at $_->{db}") for $north, $south, $west;
done_testing;
