# hdms-tool on a folder of evidence: every file is checked, what failed is named, the last line counts, the exit status tells.
use strict;
use warnings;
use Test::More;
use HdmsCluster;
use IPC::Run qw(run);

my $pg = HdmsCluster->new;
$pg->sql('postgres', 'CREATE DATABASE north');
$pg->sql('north', 'CREATE EXTENSION hdms CASCADE');
HdmsCluster::command('reading the signed rows', $pg->psql_command('north', '-f', "$top/tests/data/evidence.sql"));
my $network = $pg->sql('north', 'SELECT network FROM hdms_internal.node');
my @records = split /\n/, $pg->sql('north', 'SELECT record FROM hdms.records WHERE committed_versions > 0 ORDER BY record');
cmp_ok(scalar @records, '>=', 2, 'there are records with evidence');

my $folder = "$pg->{base}/evidence";
mkdir $folder or die "$folder: $!\n";
my %evidence = map { $_ => $pg->sql('north', "SELECT hdms.export_evidence('$_')") } @records;
spew("$folder/$_.json", $evidence{$_}) for @records;
spew("$folder/README.txt", 'not evidence, and not named so');

# (exit status, lines of standard output)
sub verify
{
	my ($fingerprint, @paths) = @_;
	my $out = '';
	run(["$build/hdms-tool", 'state', 'verify', @paths, '--network', $fingerprint], '<', \undef, '>', \$out, '2>', \my $err);
	return ($? >> 8, split /\n/, $out);
}

my ($status, @lines) = verify($network, $folder);
is($status, 0, 'a sound folder: the exit status is 0');
is_deeply(\@lines, [@records . ' verified, 0 failed'], 'and a count is all that is said');

($status, @lines) = verify($network, "$folder/$records[0].json");
is($status, 0, 'a single file: the exit status is 0');
ok(scalar(grep { /: version 1: receipt: ok$/ } @lines), 'and every check is shown');

# One character of each part of a version, in a file of its own.
my $sound = $evidence{$records[0]};
my %damage;
for my $part (qw(state acceptance request receipt))
{
	my ($text) = $sound =~ /"$part": ?"((?:[^"\\]|\\.)*)"/ or die "no $part in the evidence\n";
	my $altered = $text;
	my $at = int(length($text) * 0.6);
	$at++ while substr($altered, $at, 2) !~ /^[a-zA-Z]{2}/ || substr($altered, $at - 1, 1) eq '\\';
	substr($altered, $at, 1) = substr($altered, $at, 1) eq 'A' ? 'B' : 'A';
	my $place = index $sound, $text;
	$damage{$part} = substr($sound, 0, $place) . $altered . substr($sound, $place + length $text);
}
$damage{renamed} = $sound =~ s/\Q$records[0]\E/$records[1]/r;
$damage{truncated} = substr $sound, 0, length($sound) / 2;
$damage{empty} = '';
$damage{'another object'} = '{"record": 1}';
for my $name (sort keys %damage)
{
	die "the damage \"$name\" changes nothing\n" if $damage{$name} eq $sound;
	spew("$folder/damaged.json", $damage{$name});
	($status, @lines) = verify($network, $folder);
	is($status, 1, "$name: the exit status is 1");
	is(pop @lines, @records . ' verified, 1 failed', "$name: one file failed");
	ok(@lines > 0, "$name: the check that failed is named");
	is(scalar(grep { !m{^\Q$folder\E/damaged\.json: } } @lines), 0, "$name: and of no other file") or diag join "\n", @lines;
}
unlink "$folder/damaged.json";

($status, @lines) = verify('A' x 43, $folder);
is($status, 1, 'another network\'s fingerprint: nothing is believed');
is($lines[-1], '0 verified, ' . @records . ' failed', 'not one file');
mkdir "$folder/nothing" or die;
($status, @lines) = verify($network, "$folder/nothing");
is($status, 1, 'a folder without evidence is a failure');
($status, @lines) = verify($network, "$folder/missing");
is($status, 1, 'a path that is not there is one, too');
done_testing();
