# The whole storing flow under load, in this one machine: records a second, processor time, and the memory of the parts.
package Throughput;
use strict;
use warnings;
use Bench;
use List::Util qw(max sum);

sub measure
{
	my $records = $ENV{RECORDS} // 2000;
	my $devices = $ENV{DEVICES} // 1000;
	note("three hospitals, $devices devices, $records records each");
	my $network = Bench::network_with_devices(devices => $devices);
	$network->issue_everywhere(max($records / 10, int(4 * $devices / 3)));		# until sessions are open and nearly every notary has met nearly every device
	my (@yard, @yard_ms);
	my $take = sub { my ($rate, $ms) = Bench::flow_yardstick(); push @yard, $rate; push @yard_ms, $ms; };
	my (@rate, @ms);
	for (1 .. 2)
	{
		$take->();
		my %run = $network->issue_everywhere($records / 2);
		push @rate, $run{per_second};
		push @ms, $run{processor_ms};
	}
	$take->();
	my $mean = sub { sum(@_) / @_ };
	figure(figure => 'records committed, everything on this machine', unit => '1/s', value => $mean->(@rate),
		yardstick => "the flow's cryptography alone, raw EVP", yard => $mean->(@yard), aim => 'at least 0.4; 300/s');
	figure(figure => 'processor time of one record, all parties', unit => 'ms', value => $mean->(@ms),
		yardstick => "the flow's cryptography alone, raw EVP", yard => $mean->(@yard_ms), aim => 'at most 2.5', less_is_better => 1);
	my %process = $network->processes;
	my @workers = map { $process{$_} } grep { /^worker/ } keys %process;
	figure(figure => "a worker's memory after the load, its own", unit => 'MB', value => max(map { memory_kb($_, 'Anonymous') } @workers) / 1000, aim => 'below 64', less_is_better => 1);
	figure(figure => "a worker's memory with its share of shared memory", unit => 'MB', value => max(map { memory_kb($_, 'Pss') } @workers) / 1000, less_is_better => 1);
	$network->end;
}

1;
