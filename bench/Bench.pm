# What the parts of the benchmark share: printing figures, looking at processes, a network with simulated devices.
package Bench;
use strict;
use warnings;
use HdmsCluster;
use JSON::PP;
use List::Util qw(max min sum);
use Exporter qw(import);

our @EXPORT = qw(figure note median percentile memory_kb worker_pid);
our $json = JSON::PP->new->utf8->canonical->allow_nonref;
our $out;							# folder of the programs that bench.sh built

sub figure
{
	my %figure = @_;
	my $name = delete $figure{figure};
	print '{"figure":', join(',', $json->encode($name), map { "\"$_\":" . $json->encode($figure{$_}) } sort keys %figure), "}\n";
}

sub note { print STDERR "bench: @_\n"; }
sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[@sorted / 2]; }
sub percentile { my ($p, @values) = @_; my @sorted = sort { $a <=> $b } @values; return $sorted[min($#sorted, int(@sorted * $p / 100))]; }

# A line of a process's memory: Rss, Pss, or Anonymous, in kB.
sub memory_kb
{
	my ($pid, $which) = @_;
	my ($kb) = slurp("/proc/$pid/smaps_rollup") =~ /^$which:\s+(\d+) kB/m or die "no $which of process $pid\n";
	return $kb;
}

sub processor_seconds
{
	my ($pid) = @_;
	my @fields = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
	return ($fields[11] + $fields[12]) / 100;
}

sub worker_pid
{
	my ($pg, $db) = @_;
	return $pg->sql($db, "SELECT pid FROM pg_stat_activity WHERE datname = '$db' AND backend_type LIKE 'hdms worker%'");
}

# Three hospitals, each a notary for the others, and that many simulated devices that accept everything.
# Options: devices, hospitals (names), issuers (how many of them have patients).
sub network_with_devices
{
	my (%options) = @_;
	my $pg = HdmsCluster->new(conf => "shared_buffers = 512MB\nmax_wal_size = 4GB\n" . ($options{conf} // ''));
	my $net = $pg->network;
	my @hospitals = $net->hospitals(map { [$_, notary => 1] } @{$options{hospitals} // [qw(north east west)]});
	my @issuers = @hospitals[0 .. ($options{issuers} // @hospitals) - 1];
	my $each = int($options{devices} / @issuers);
	my $uris = join '', map { $_->sql("SELECT hdms.invite_patient('P-' || n, '2 hours') FROM generate_series(1, $each) n") . "\n" } @issuers;
	spew("$pg->{base}/invitations", $uris);
	my $devices = HdmsCluster::launch("$pg->{base}/load.log", "$build/hdms-load", '--homes', 3, "$pg->{base}/invitations");
	push @{$pg->{devices}}, bless {pid => $devices}, 'HdmsDevice';		# so that it is stopped whatever happens
	my $network = bless {pg => $pg, net => $net, hospitals => \@hospitals, issuers => \@issuers, each => $each, load => $devices}, __PACKAGE__;
	for my $hospital (@issuers)
	{
		$hospital->wait_for("SELECT count(*) FROM hdms.patients WHERE status = 'paired'", $each, 300);
		$hospital->wait_for('SELECT count(*) FROM hdms_internal.outbox', 0, 60);
	}
	return $network;
}

# Every part of it by name, with its process.
sub processes
{
	my ($self) = @_;
	return (server => $self->{net}{servers}[0], devices => $self->{load}, map { ("worker $_->{db}" => worker_pid($self->{pg}, $_->{db})) } @{$self->{hospitals}});
}

# Each hospital with patients issues that many records at the same time. Seconds from the first issue to the last commit, by the
# clock of the database, and processor time of all parts (the EMRs and their backends are not among them).
sub issue_everywhere
{
	my ($self, $records, $limit) = @_;
	my @issuers = @{$self->{issuers}};
	my $all = $records * @issuers;
	my %process = $self->processes;
	my %newest = map { $_->{db} => $_->sql('SELECT coalesce(max(id), 0) FROM hdms_internal.versions') } @issuers;
	my %before = map { $_ => processor_seconds($process{$_}) } keys %process;
	my @emrs = map { HdmsCluster::launch("$self->{pg}{base}/emr.log", "$out/emr", 'issue', $self->{pg}->conninfo($_->{db}), $self->{each}, $records, 0) } @issuers;
	for my $emr (@emrs)
	{
		waitpid $emr, 0;
		die 'the EMR failed: ' . slurp("$self->{pg}{base}/emr.log") if $? != 0;
	}
	local $HdmsCluster::look_every = 1;		# each look is a new session: not for nothing
	$_->wait_for("SELECT count(*) FROM hdms_internal.versions WHERE status = 'committed' AND id > $newest{$_->{db}}", $records, $limit // 600) for @issuers;
	my %spent = map { $_ => processor_seconds($process{$_}) - $before{$_} } keys %process;
	my @ends = map { [split /\|/, $_->sql("SELECT extract(epoch FROM min(created_at)), extract(epoch FROM max(ended_at)), extract(epoch FROM max(created_at)) FROM hdms_internal.versions WHERE id > $newest{$_->{db}}")] } @issuers;
	my $start = min(map { $_->[0] } @ends);
	my $seconds = max(map { $_->[1] } @ends) - $start;
	note(sprintf '%d records in %.2f s, issued after %.2f s; processor time, ms a record: %s', $all, $seconds, max(map { $_->[2] } @ends) - $start,
		join ', ', map { sprintf '%s %.2f', $_, $spent{$_} * 1000 / $all } sort keys %spent);
	return (per_second => $all / $seconds, processor_ms => sum(values %spent) * 1000 / $all);
}

sub end
{
	my ($self) = @_;
	end_cluster($self->{pg});
}

sub end_cluster
{
	my ($pg) = @_;
	$pg->cleanup;
	@HdmsCluster::stoppers = grep { $_ != $pg } @HdmsCluster::stoppers;
}

# The flow's operations in raw EVP, now: (per_second over all cores, processor milliseconds for one).
sub flow_yardstick
{
	my $cores = `nproc` + 0;
	my $line = $json->decode(HdmsCluster::command('micro', "$out/micro", $cores, 'flow'));
	return ($line->{per_second}, $line->{processor_ms});
}

1;
