# A device that comes back to a large backlog, at a server that lets it send little at a time: it waits as it is told, and loses nothing.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $records = $ENV{HDMS_BACKLOG_RECORDS} // 40;
my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network(conf => "rate_per_second = 20\nrate_burst = 40\nlog_level = debug\n");
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');
$alice->stop;

$north->sql("SELECT hdms.issue('A-1', json_build_object('n', n)) FROM generate_series(1, $records) n");
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'issued'", $records);
$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE status = 'queued'", '0');
$alice->start;
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", $records, 180);
pass("$records records are committed");
my @refused = $net->log_text =~ /"event":"request"[^\n]*"status":429/g;
cmp_ok(scalar @refused, '>', 0, 'the device was told to wait');
cmp_ok(scalar @refused, '<', $records * 2, 'and did not ask all the time meanwhile');
is($south->sql('SELECT count(*) FROM hdms_internal.log_entries'), $records, 'each was notarised once');
is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'undeliverable'"), '0', 'nothing was given up');
wait_until('the device to have nothing left to send', sub { my $status = $alice->json('status'); $status->{outbox} == 0 && $status->{inbox} == 0 });
is($alice->json('status')->{quarantined}, 0, 'nor put aside');
done_testing;
