# One patient's device with a disk: latency of a single record, bytes on disk on both sides, memory of the device's service.
package Device;
use strict;
use warnings;
use Bench;
use HdmsCluster;
use List::Util qw(sum);

sub bytes_of_tables
{
	my ($hospital) = @_;
	$hospital->sql('VACUUM');
	return $hospital->sql("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'hdms_internal'::regnamespace");
}

sub bytes_of_home
{
	my ($device) = @_;
	return sum(map { -s $_ } grep { -f $_ } glob "$device->{home}/*");
}

sub wait_final
{
	my ($hospital, $device, $count, $limit) = @_;
	$hospital->wait_for("SELECT count(*) FROM hdms_internal.versions WHERE status = 'committed'", $count, $limit // 1200);
	$hospital->wait_for('SELECT count(*) FROM hdms_internal.outbox', 0, 60);
}

sub issue
{
	my ($hospital, $patients, $records, $size) = @_;
	HdmsCluster::command('emr', "$Bench::out/emr", 'issue', $hospital->{pg}->conninfo($hospital->{db}), $patients, $records, $size);
}

sub measure
{
	my ($latency, $disk, $memory) = @_;
	my $pg = HdmsCluster->new(conf => "shared_buffers = 256MB\nautovacuum_naptime = 5s\n");
	my $net = $pg->network;
	my ($north, $east) = $net->hospitals(['north', notary => 1], ['east', notary => 1]);
	my $device = $net->device('alice');
	$device->start;
	$device->pair($north->invite('P-1'));
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'P-1'", 'paired');
	$device->cmd('policy', $north->{node}, 'accept');

	if ($latency)
	{
		note('latency of a single record');
		my $lines = HdmsCluster::command('emr', "$Bench::out/emr", 'latency', $pg->conninfo('north'), 'P-1', 110, 0);
		my @ms = (split /\n/, $lines)[10 .. 109];
		figure(figure => 'latency of a single record, p50', unit => 'ms', value => percentile(50, @ms), aim => 'below 60', less_is_better => 1);
		figure(figure => 'latency of a single record, p99', unit => 'ms', value => percentile(99, @ms), aim => 'below 150', less_is_better => 1);
	}
	my $count = $north->sql("SELECT count(*) FROM hdms_internal.versions WHERE status = 'committed'");
	if ($disk)
	{
		my $states = 2000;
		note("bytes on disk of $states records of 2 kB");
		my ($tables, $home) = (bytes_of_tables($north), bytes_of_home($device));
		issue($north, 1, $states, 2000);
		wait_final($north, $device, $count += $states);
		my $hospital_bytes = (bytes_of_tables($north) - $tables) / $states;
		$device->stop;			# its write-ahead log goes into the file
		my $device_bytes = (bytes_of_home($device) - $home) / $states;
		$device->start;
		figure(figure => 'bytes on disk of a committed 2 kB record, hospital', unit => 'B', value => $hospital_bytes, less_is_better => 1);
		figure(figure => 'bytes on disk of a committed 2 kB record, device', unit => 'B', value => $device_bytes, less_is_better => 1);
		figure(figure => 'bytes on disk of a committed 2 kB record, both', unit => 'B', value => $hospital_bytes + $device_bytes, aim => 'at most 14000', less_is_better => 1);
		$pg->wait_sql($net->{database}, 'SELECT count(*) FROM hdms_server.mailbox', 0);
		figure(figure => 'rows left in the mailboxes', unit => '', value => 0 + $pg->sql($net->{database}, 'SELECT count(*) FROM hdms_server.mailbox'), aim => '0', less_is_better => 1);
	}
	if ($memory)
	{
		my $records = $ENV{DEVICE_RECORDS} // 10000;
		note("a device's service with $records records");
		issue($north, 1, $records - $count, 1000) if $count < $records;
		wait_final($north, $device, $records);
		my $after_load = memory_kb($device->{pid}, 'Pss');
		$device->stop;
		$device->start;
		$device->cmd('status');
		figure(figure => "device service with $records records, after receiving them", unit => 'MB', value => $after_load / 1000, aim => 'below 24', less_is_better => 1);
		figure(figure => "device service with $records records, after a restart", unit => 'MB', value => memory_kb($device->{pid}, 'Pss') / 1000, aim => 'below 24', less_is_better => 1);
	}
	Bench::end_cluster($pg);
}

1;
