#!/usr/bin/perl
# The storing flow, shown: three hospitals (each a notary for the others) and the operator's server in a temporary
# PostgreSQL, a node on disk for each patient, real FHIR resources. Every record is verified on both sides by hdms-tool.
use strict;
use warnings;
use HdmsCluster;
use Demo;
use IPC::Run qw(run);
use Time::HiRes qw(time);

my $folder = shift or die "usage: store.pl FOLDER\n";
my $keep = $ENV{KEEP} ? 1 : 0;
my @patients = patients_of($folder);

say_step('starting PostgreSQL, hdms-server and three hospitals');
my $pg = HdmsCluster->new(keep => $keep, conf => "hdms.poll_interval = 1\n");
my $net = $pg->network(name => 'operator');
my @hospitals = $net->hospitals(['north', notary => 1], ['east', notary => 1], ['west', notary => 1]);
say_step("network $net->{fingerprint} at $net->{url}");

pair_all($net, \@hospitals, @patients);

# The first patient is asked about each record until one was rejected; the others' devices follow a standing rule.
my $asked = $patients[0];
$_->{device}->cmd('policy', $_->{hospital}{node}, $_ == $asked ? 'ask' : 'accept') for @patients;

my $imported = 0;
$imported += import_all($pg, $_) for @patients;

# One rejection by the person, with a reason.
my $inbox = wait_until('something to decide', sub { my $list = $asked->{device}->json('inbox'); @$list ? $list : undef });
my $refused = $inbox->[0];
$asked->{device}->cmd('reject', $refused->{id}, '--reason', 'This is not about me');
say_step("$asked->{name} rejects one record: \"This is not about me\"");
$asked->{device}->cmd('policy', $asked->{hospital}{node}, 'accept');
my %decided = ($refused->{id} => 1);
# What was waiting to be asked about before the rule changed is accepted one by one; what comes now follows the rule.
sub accept_waiting
{
	for my $waiting (@{$asked->{device}->json('inbox')})
	{
		$asked->{device}->try_cmd('accept', $waiting->{id}) unless $decided{$waiting->{id}}++;
	}
}

sub counts
{
	my %count;
	for my $hospital (@hospitals)
	{
		for (split /\n/, $hospital->sql('SELECT status, count(*) FROM hdms.records GROUP BY status'))
		{
			my ($status, $n) = split /\|/;
			$count{$status} += $n;
		}
	}
	return \%count;
}

sub wait_settled
{
	my ($what) = @_;
	my $before = '';
	my $changed = time;
	while (1)
	{
		accept_waiting();
		my $count = counts();
		my $ended = ($count->{committed} // 0) + ($count->{rejected} // 0);
		my $now = join ', ', map { "$count->{$_} $_" } sort keys %$count;
		progress("$what: $now");
		last if $ended == $imported;
		($before, $changed) = ($now, time) if $now ne $before;
		die "demo: nothing moves any more: $now\n" if time - $changed > 60;
		select undef, undef, undef, 0.2;
	}
	progress_end();
}
my $storing = time;
wait_settled('storing');
say_step(sprintf 'every record is committed or rejected (%.0f a second)', $imported / (time - $storing || 1));

# One amendment: the second version names the first.
my $last = $patients[-1];
my $record = $last->{hospital}->sql("SELECT record FROM hdms.records WHERE status = 'committed' AND patient_ref = '$last->{ref}' ORDER BY record LIMIT 1");
$last->{hospital}->sql("SELECT hdms.amend('$record', (hdms.read('$record', 'amendment shown by the demo')::jsonb || '{\"language\": \"en\"}')::json)");
$last->{hospital}->wait_for("SELECT committed_versions FROM hdms.records WHERE record = '$record'", '2');
say_step("$last->{hospital}{db} amends one record, $last->{name}'s device accepts");

# The patients' copies are final when the hospital's confirmation arrived.
for my $patient (@patients)
{
	my $committed = $patient->{hospital}->sql("SELECT count(*) FROM hdms.records WHERE patient_ref = '$patient->{ref}' AND status = 'committed'");
	wait_until("$patient->{name}'s device to have all as final", sub {
		my $final = () = grep { $_->{status} eq 'final' } @{$patient->{device}->json('records')};
		$final >= $committed;
	});
}

# The independent check: evidence files of both sides, hdms-tool, the network's fingerprint and nothing else.
my $evidence = "$pg->{base}/evidence";
mkdir $evidence;
my ($verified, $failed) = (0, 0);
my $committed = 0;
for my $patient (@patients)
{
	my ($name, $db) = ($patient->{device}{name}, $patient->{hospital}{db});
	my %side = (hospital => "$evidence/$name-hospital", device => "$evidence/$name-device");
	mkdir $_ for values %side;
	for my $line (split /\n/, $patient->{hospital}->sql("SELECT record, hdms.export_evidence(record) FROM hdms.records WHERE patient_ref = '$patient->{ref}' AND committed_versions > 0"))
	{
		my ($id, $file) = split /\|/, $line, 2;
		spew("$side{hospital}/$id.json", $file);
		$committed++;
	}
	$patient->{device}->cmd('export', '--all', '--out', $side{device});
	my %ids;
	for my $which (sort keys %side)
	{
		my @files = glob "$side{$which}/*.json";
		$ids{$which} = join ' ', sort map { s{.*/}{}r } @files;
		my ($out, $err);
		my $ok = run(["$build/hdms-tool", 'state', 'verify', $side{$which}, '--network', $net->{fingerprint}], '<', \undef, '>', \$out, '2>', \$err);
		my ($good, $bad) = $out =~ /^(\d+) verified, (\d+) failed/m;
		$verified += $good // 0;
		$failed += $bad // 1;
		print $out =~ s/^/         /mgr if !$ok;
	}
	if ($ids{hospital} ne $ids{device})
	{
		print "         $patient->{name}: hospital and device do not hold the same records\n";
		$failed++;
	}
}
say_step("hdms-tool verified $verified evidence files: $committed of the hospitals, the rest of the patients");
$failed += 2 * $committed - $verified if $verified != 2 * $committed;

my $rejected = counts()->{rejected} // 0;
my $amended = 0;
$amended += $_->sql('SELECT count(*) FROM hdms.records WHERE committed_versions > 1') for @hospitals;

if ($keep)
{
	@HdmsCluster::stoppers = ();
	my $psql = join ' ', map { /\s/ ? "'$_'" : $_ } HdmsCluster::pg_bin() . '/psql', '-d', $pg->conninfo('north');
	my $node = join ' ', $asked->{device}->command_line();
	print <<"LOOK";

Still running. Look around:
  hospital north   $psql
                   SELECT * FROM hdms.records;  SELECT * FROM hdms.events ORDER BY id;  SELECT * FROM hdms.doctor();
  first patient    $node inbox        (records, show ID, verify ID, status)
  evidence files   $evidence
Stop it:           $top/demo/stop.sh $pg->{base}

LOOK
	spew("$pg->{base}/pids", join("\n", (map { $_->{device}{pid} } @patients), @{$net->{servers}}) . "\n");
}
print "demo: $committed records committed and verified on both sides, $rejected rejected, $amended amended, $failed failed\n";
exit($failed == 0 && $rejected >= 1 && $amended >= 1 ? 0 : 1);
