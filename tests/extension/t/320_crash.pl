# Everything is killed again and again while records flow; in the end each record is on both sides exactly once.
# HDMS_CRASH_SEED repeats a run, HDMS_CRASH_RECORDS and HDMS_CRASHES make it longer.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use HdmsCluster;

my $records = $ENV{HDMS_CRASH_RECORDS} // 100;
my $crashes = $ENV{HDMS_CRASHES} // 10;
my $seed = $ENV{HDMS_CRASH_SEED} // int(rand(1 << 31));
srand $seed;
$SIG{PIPE} = 'IGNORE';			# psql ends without reading while the cluster is down
note "HDMS_CRASH_SEED=$seed";

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 5\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my @devices = map { $net->device($_) } qw(alice bob);
for my $i (0 .. $#devices)
{
	$devices[$i]->pair($north->invite("P$i"));
	$devices[$i]->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'P$i'", 'paired');
	$devices[$i]->cmd('policy', 'North Hospital', 'accept');
}

# SQL that may fail while the cluster is down.
sub sql_somehow
{
	my ($hospital, $sql) = @_;
	return wait_until($sql, sub { my $got = eval { $hospital->sql($sql) }; defined $got ? [$got] : undef })->[0];
}

sub worker_of
{
	my ($hospital) = @_;
	return sql_somehow($hospital, "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE datname = '$hospital->{db}' AND application_name = 'hdms worker'");
}

sub kill_worker { my ($hospital) = @_; my $pid = worker_of($hospital); kill 'KILL', $pid if $pid; return $pid; }

my @incidents = (
	['the hospital\'s worker', sub { kill_worker($north) }],
	['the notary\'s worker', sub { kill_worker($south) }],
	['the server', sub { $net->stop('KILL'); $net->start }],
	['a device', sub { my $device = $devices[rand @devices]; $device->stop('KILL'); unlink "$device->{home}/socket"; $device->start }],
	['PostgreSQL', sub { $pg->stop('immediate'); $pg->start }],
);

# Records are issued in small portions between the incidents, so that each finds something under way.
my $issued = 0;
sub issue_some
{
	my ($count) = @_;
	while ($count-- > 0 && $issued < $records)
	{
		my $ref = 'P' . ($issued % @devices);

		# source_id makes this safe to repeat when it is not known whether it was committed.
		sql_somehow($north, "SELECT hdms.issue('$ref', '{\"n\": $issued}', 'source-$issued')");
		$issued++;
	}
}

my $portion = int($records / $crashes) + 1;
for my $n (0 .. $crashes - 1)
{
	issue_some($portion);
	my ($what, $strike) = @{$incidents[$n < @incidents ? $n : rand @incidents]};
	my $patience = time + rand 0.6;
	wait_until('the moment', sub { time > $patience });
	note "killing $what";
	$strike->();

	# Some of it must get through before the next blow: what is hit twice in a row is quarantined, as it should be.
	my $before = sql_somehow($north, "SELECT count(*) FROM hdms.records WHERE status = 'committed'");
	wait_until("records to be committed after killing $what", sub {
		sql_somehow($north, "SELECT count(*) FROM hdms.records WHERE status = 'committed'") > $before
			|| sql_somehow($north, "SELECT count(*) FROM hdms.records WHERE status <> 'committed'") == 0 }, 120);
}
issue_some($records);

# A message that was being acted upon at two blows waits for a person, who lets it in again.
wait_until('all records to be committed', sub {
	sql_somehow($_, "UPDATE hdms_internal.inbox SET status = 'waiting', attempts = 0, next_try = now() WHERE status = 'quarantined'") for $north, $south;
	sql_somehow($north, "SELECT count(*) FROM hdms.records WHERE status = 'committed'") == $records }, 240);
is($north->sql('SELECT count(*) FROM hdms.records'), $records, 'each record is there once');
is($north->sql("SELECT count(*), count(DISTINCT record) FROM hdms_internal.versions"), "$records|$records", 'with one version');
is($north->sql("SELECT count(*), count(DISTINCT record) FROM hdms.events WHERE status = 'committed'"), "$records|$records", 'and one event that it was committed');
is($north->sql("SELECT count(*) FROM (SELECT record FROM hdms.events WHERE kind = 'status' GROUP BY record, status HAVING count(*) > 1) AS twice"), '0', 'and no status twice');
is($north->sql("SELECT max(id) = count(*) FROM hdms.events"), 't', 'events have no gaps');
is($north->sql("SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok"), '0', 'the whole ledger verifies');
my @final;
wait_until('the devices to hold all as final', sub {
	@final = map { @{$_->json('records')} } @devices;
	@final == $records && !grep { $_->{status} ne 'final' } @final }, 120);
my %once = map { $_->{record} => 1 } @final;
is(scalar(keys %once), $records, 'each is final on a device exactly once');
is_deeply([sort keys %once], [sort split /\n/, $north->sql('SELECT record FROM hdms.records')], 'and they are the same records');
is($south->sql("SELECT count(*), count(DISTINCT tag), max(index) + 1 FROM hdms_internal.log_entries"), "$records|$records|$records", 'and in the log exactly once');
$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE awaited", '0');
pass('nothing is owed any more');
done_testing;
