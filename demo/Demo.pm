# Demo: what the acts of the demo share: lines with the time, patients from FHIR files, pairing all of them, importing.
package Demo;
use strict;
use warnings;
use HdmsCluster;
use JSON::PP;
use IPC::Run qw(run start finish);
use Time::HiRes qw(time);
use Exporter qw(import);

our @EXPORT = qw(say_step progress progress_end patients_of pair_all import_all $started);
our $started = time;
my $json = JSON::PP->new->utf8;
my $interactive = -t STDOUT;
$| = 1;
binmode STDOUT, ':utf8';

sub say_step { printf "%5.1f s  %s\n", time - $started, shift; }

# A line that is written over while something is counted, on a terminal; nothing otherwise.
sub progress { print "\r         ", shift, "\e[K" if $interactive; }
sub progress_end { print "\r\e[K" if $interactive; }

# A file is one patient's. The reference is the medical record number, else the Patient resource's id, as hdms.import_bundle() has it.
sub patient_of
{
	my ($file) = @_;
	my $text = slurp($file);
	my @resources = $file =~ /\.ndjson$/ ? map { $json->decode($_) } grep { /\S/ } split /\n/, $text
		: map { $_->{resource} // {} } @{$json->decode($text)->{entry} // []};
	my ($patient) = grep { ($_->{resourceType} // '') eq 'Patient' } @resources;
	my $name = $patient->{name}[0] // {};
	my ($mr) = map { $_->{value} } grep { grep { ($_->{code} // '') eq 'MR' } @{$_->{type}{coding} // []} } @{$patient->{identifier} // []};
	my ($stem) = $file =~ m{([^/]+)\.\w+$};
	return +{
		file => $file, text => $text, ndjson => scalar($file =~ /\.ndjson$/),
		ref => $mr // $patient->{id} // $stem,
		name => join(' ', @{$name->{given} // []}, $name->{family} // '?'),
	};
}

sub patients_of
{
	my ($folder) = @_;
	my @patients = map { patient_of($_) } sort glob("'$folder'/*.json '$folder'/*.ndjson");
	die "demo: no *.json or *.ndjson files in $folder\n" unless @patients;
	return @patients;
}

# Gives each patient a hospital and a device and pairs them, all at the same time, as people do.
sub pair_all
{
	my ($net, $hospitals, @patients) = @_;
	my @pairing;
	for my $i (0 .. $#patients)
	{
		my $patient = $patients[$i];
		$patient->{hospital} = $hospitals->[$i % @$hospitals];
		$patient->{device} = $net->device("patient" . ($i + 1));
		$patient->{device}->start;
		my $uri = $patient->{hospital}->invite($patient->{ref}) . "\n";
		$patient->{said} = '';
		push @pairing, start([$patient->{device}->command_line('pair', '-')], '<', \$uri, '>&', \$patient->{said});
	}
	for my $i (0 .. $#patients)
	{
		my $patient = $patients[$i];
		finish($pairing[$i]) or die "demo: $patient->{name} could not pair: $patient->{said}";
		$patient->{hospital}->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$patient->{ref}'", 'paired');
		say_step("$patient->{name} has paired a device with $patient->{hospital}{db}");
	}
}

# Issues all resources of a patient's file. How many became records.
sub import_all
{
	my ($pg, $patient) = @_;
	my $function = $patient->{ndjson} ? 'import_ndjson' : 'import_bundle';
	my ($out, $err);
	my $quoted = $patient->{text};
	$quoted =~ s/'/''/g;
	my $sql = "SELECT count(record), count(problem) FROM hdms.$function('$quoted', '$patient->{ref}');";
	run([$pg->psql_command($patient->{hospital}{db})], '<', \$sql, '>', \$out, '2>', \$err) or die "importing $patient->{file} failed: $err";
	my ($records, $problems) = $out =~ /(\d+)\|(\d+)/;
	say_step("$patient->{hospital}{db} issues $records records of $patient->{name}" . ($problems ? " ($problems entries are not about the patient)" : ''));
	return $records;
}

1;
