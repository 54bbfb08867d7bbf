#!/usr/bin/perl
# Measures the parts of the system, each beside its yardstick in the same run. Prints figures as JSON lines for report.pl;
# what it is doing goes to standard error.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HdmsCluster;
use Bench;
use Device;
use Growth;
use JSON::PP;
use Notary;
use Throughput;
use Trust;
use Waiting;

$Bench::out = shift // die "usage: bench.pl FOLDER\n";
my $json = JSON::PP->new->utf8->canonical;
my %only = map { $_ => 1 } split ' ', $ENV{ONLY} // '';
my $cores = `nproc` + 0;
$| = 1;

sub wanted { my $part = shift; return !%only || $only{$part}; }

# An Observation as an EMR sends it, about 1 kB.
sub observation
{
	my ($n) = @_;
	return $json->encode({
		resourceType => 'Observation', id => "o-$n", status => 'final',
		meta => {profile => ['http://hl7.org/fhir/StructureDefinition/vitalsigns'], lastUpdated => '2026-03-01T08:15:00Z'},
		category => [{coding => [{system => 'http://terminology.hl7.org/CodeSystem/observation-category', code => 'laboratory', display => 'Laboratory'}]}],
		code => {coding => [{system => 'http://loinc.org', code => '4548-4', display => 'Hemoglobin A1c/Hemoglobin.total in Blood'}], text => 'HbA1c'},
		subject => {reference => 'Patient/example'}, encounter => {reference => 'Encounter/example'},
		effectiveDateTime => '2026-03-01T08:00:00+00:00', issued => '2026-03-01T08:15:00.000+00:00',
		valueQuantity => {value => 6.9, unit => '%', system => 'http://unitsofmeasure.org', code => '%'},
		referenceRange => [{low => {value => 4.0, unit => '%'}, high => {value => 5.6, unit => '%'}, text => 'normal'}],
		note => [{text => 'x' x 200}],
	});
}

sub pgbench
{
	my ($pg, $db, $script, $seconds) = @_;
	my $file = "$pg->{base}/pgbench.sql";
	spew($file, $script);
	my $text = HdmsCluster::command('pgbench', HdmsCluster::pg_bin() . '/pgbench', '-n', '-M', 'prepared', '-c', 16, '-j', 2, '-T', $seconds, '-f', $file,
		'-h', "$pg->{base}/run", '-p', $pg->{port}, '-U', 'postgres', $db);
	my ($tps) = $text =~ /tps = ([\d.]+)/ or die "pgbench said: $text";
	return $tps;
}

# hdms.issue() beside a plain durable INSERT, in turns. The worker is off: this is what the EMR's transaction pays.
sub bench_issue
{
	note('hdms.issue, 16 clients');
	my $pg = HdmsCluster->new(conf => "shared_buffers = 512MB\n");
	$pg->sql('postgres', 'CREATE DATABASE emr');
	$pg->sql('emr', 'CREATE EXTENSION hdms CASCADE');
	$pg->sql('emr', 'CREATE TABLE plain (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), patient_ref text NOT NULL, content json NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp())');
	$pg->sql('emr', q{SELECT hdms.register_patient('MRN-' || n) FROM generate_series(1, 1000) n});
	my $content = observation(1);
	my (@plain, @issue);
	for (1 .. 3)
	{
		push @plain, pgbench($pg, 'emr', "\\set p random(1, 1000)\nINSERT INTO plain (patient_ref, content) VALUES ('MRN-' || :p, '$content');\n", 5);
		push @issue, pgbench($pg, 'emr', "\\set p random(1, 1000)\nSELECT hdms.issue('MRN-' || :p, '$content');\n", 5);
	}
	figure(figure => 'hdms.issue of an Observation, 16 clients', unit => '1/s', value => median(@issue), yardstick => 'plain durable INSERT of the row', yard => median(@plain), aim => 'at least 0.5');
	Bench::end_cluster($pg);
}

# Figures of the protocol library are printed when asked to. The answer: a notary's operations a second, and processor milliseconds for one.
sub micro
{
	my ($print) = @_;
	my @notary;
	for my $line (split /\n/, HdmsCluster::command('micro', "$Bench::out/micro", $cores))
	{
		my $one = $json->decode($line);
		@notary = ($one->{per_second_and_core}, $one->{processor_ms}) if ($one->{yard} // '') eq 'notary_operations';
		print $line, "\n" if $print && $one->{figure};
	}
	return @notary;
}

my @parts = (
	[['micro'], sub { note('protocol library and raw EVP'); micro(1); }],
	[['issue'], \&bench_issue],
	[['system'], \&Throughput::measure],
	[['notary'], sub { Notary::measure(sub { micro(0) }) }],
	[['latency', 'disk', 'device'], sub { Device::measure(wanted('latency'), wanted('disk'), wanted('device')) }],
	[['waiting'], \&Waiting::measure],
	[['growth'], \&Growth::measure],
	[['trust'], \&Trust::measure],
);
my $failed = 0;

# A part that fails is named, and the others are measured nevertheless.
for my $part (@parts)
{
	my ($names, $run) = @$part;
	next unless grep { wanted($_) } @$names;
	next if eval { $run->(); 1 };
	note("@$names failed: $@");
	$failed = 1;
	Bench::end_cluster($_) for @HdmsCluster::stoppers;
}
exit $failed;
