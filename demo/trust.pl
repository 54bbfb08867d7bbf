#!/usr/bin/perl
# What the ledger is for, shown: somebody with all rights in a hospital's database forges, deletes, denies; a phone is lost; an old
# backup is put back. Each is an attack that must be found; what can be repaired is repaired, bit for bit.
use strict;
use warnings;
use HdmsCluster;
use Demo;
use HdmsForger;
use IPC::Run qw(run);
use Time::HiRes qw(time);

my $folder = shift or die "usage: trust.pl FOLDER\n";
my @patients = patients_of($folder);
my ($attacks, $detected, $repaired) = (0, 0, 0);

# One attack: what was done, by what it was found (nothing: it was missed), and whether all is as it was before.
sub outcome
{
	my ($what, $found, $is_repaired) = @_;
	$attacks++;
	$detected++ if $found;
	$repaired++ if $is_repaired;
	say_step("  attack: $what");
	say_step($found ? "  found: $found" : '  MISSED');
	say_step('  repaired: all is as it was') if $is_repaired;
}

say_step('starting PostgreSQL, hdms-server and three hospitals');
my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\n");
my $net = $pg->network(name => 'operator');
my @hospitals = $net->hospitals(['north', notary => 1], ['east', notary => 1], ['west', notary => 1]);
pair_all($net, \@hospitals, @patients);
$_->{device}->cmd('policy', $_->{hospital}{node}, 'accept') for @patients;
$_->{records} = import_all($pg, $_) for @patients;

sub wait_committed
{
	for my $patient (@patients)
	{
		$patient->{hospital}->wait_for("SELECT count(*) FROM hdms.records WHERE patient_ref = '$patient->{ref}' AND status = 'committed'", $patient->{records});
		wait_until("$patient->{name}'s device to have all as final", sub {
			$patient->{records} == grep { $_->{status} eq 'final' } @{$patient->{device}->json('records')};
		});
	}
}
wait_committed();
say_step('every record is committed');

my ($anna) = grep { $_->{hospital}{db} eq 'north' } @patients;
my $north = $anna->{hospital};

# What verify_ledger() finds, as "check of record ...: detail"; nothing when all is well.
sub failures
{
	my ($hospital) = @_;
	return split /\n/, $hospital->sql("SELECT check_name || ': ' || detail FROM hdms.verify_ledger() WHERE check_name <> 'summary' ORDER BY 1");
}

# All that the tables of the ledger have of one record, but for white space between the members of the content and when a row was written.
sub bytes_of
{
	my ($hospital, $record) = @_;
	return $hospital->sql("SELECT r.patient_ref, r.source_id, r.type, r.committed, v.id, v.ordinal, v.status, v.version, v.vk, v.prev, v.notary, v.content_digest,"
		. " p.content::jsonb, p.state, p.acceptance, p.request, p.receipt FROM hdms_internal.records r JOIN hdms_internal.versions v USING (record)"
		. " JOIN hdms_internal.payloads p ON p.id = v.id WHERE record = '$record' ORDER BY v.ordinal");
}

sub sound { my ($hospital) = @_; my @found = failures($hospital); die "demo: the ledger is not sound to begin with: @found\n" if @found; }
sound($_) for @hospitals;
say_step('hdms.verify_ledger() finds nothing wrong at any hospital');


# What was kept of the hospital's database on Sunday.
my $backup = "$pg->{base}/run/sunday.sql";
HdmsCluster::command('pg_dump', @HdmsCluster::as_postgres, HdmsCluster::pg_bin() . '/pg_dump', '-f', $backup, '-d', $pg->conninfo('north'));
say_step("a backup of the database of $north->{db} is put aside");
my $tuesday = $north->issue($anna->{ref}, '{"resourceType": "Observation", "status": "final", "code": {"text": "Body temperature"}, "valueQuantity": {"value": 36.60, "unit": "Cel"}}');
$north->wait_status($tuesday, 'committed');
$anna->{records}++;
wait_committed();

# Waits until the newest checkpoint covers all that was written.
sub wait_signed
{
	$north->wait_for('SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries)'
		. ' AND NOT EXISTS (SELECT FROM hdms_internal.audit_queue)', 't');
}

# What was found, in a line; undef when nothing was.
sub found
{
	my ($hospital) = @_;
	my %first;
	for (failures($hospital))
	{
		my ($check) = /^(\w+)/;
		$first{$check} //= $_;
	}
	return %first ? 'hdms.verify_ledger() says ' . join('; ', map { $first{$_} } sort keys %first) : undef;
}
sub wait_sound { my ($hospital) = @_; wait_until('the ledger to be sound again', sub { !failures($hospital) }); return 1; }

# 1. A diagnosis is rewritten, and every hash in the database with it.
my $diagnosis = $north->sql("SELECT record FROM hdms.records WHERE type = 'fhir/R4/Condition' AND patient_ref = '$anna->{ref}'");
my $before = bytes_of($north, $diagnosis);
forge_record($north, $diagnosis, 'Type 2 diabetes', 'Type 1 diabetes');
my $found = found($north);
$north->sql("SELECT hdms.repair('$diagnosis')");
$north->wait_for("SELECT status FROM hdms.repairs WHERE record = '$diagnosis' ORDER BY id DESC LIMIT 1", 'repaired');
outcome("the administrator rewrites $anna->{name}'s diagnosis, and every digest and hash of it in the database", $found,
	wait_sound($north) && bytes_of($north, $diagnosis) eq $before);

# 2. A record is made to vanish, with every row that belongs to it.
my $allergy = $north->sql("SELECT record FROM hdms.records WHERE type = 'fhir/R4/AllergyIntolerance' AND patient_ref = '$anna->{ref}'");
$before = bytes_of($north, $allergy);
wait_signed();
$north->sql(<<"SQL");
DELETE FROM hdms_internal.payloads p USING hdms_internal.versions v WHERE v.id = p.id AND v.record = '$allergy';
DELETE FROM hdms_internal.versions WHERE record = '$allergy';
DELETE FROM hdms_internal.records WHERE record = '$allergy';
SQL
$found = found($north);
$north->sql('SELECT hdms.repair_ledger()');
outcome('a record is deleted, with all its rows', $found, wait_sound($north) && bytes_of($north, $allergy) eq $before);

# 3. Who read a record is rewritten.
$north->sql("SET hdms.actor = 'Dr. Curious'; SELECT hdms.read('$diagnosis', 'curiosity')");
wait_signed();
$north->sql("UPDATE hdms_internal.audit SET actor = 'Dr. Scapegoat' WHERE actor = 'Dr. Curious'");
$found = found($north);
$north->sql("UPDATE hdms_internal.audit SET actor = 'Dr. Curious' WHERE actor = 'Dr. Scapegoat'");
outcome('the audit trail names somebody else as the reader of a record', $found, 0);

# 4. A patient's records are to go to another device.
my $other = $patients[1]{hospital}->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = '$patients[1]{ref}'");
my $own = $north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = '$anna->{ref}'");
$north->sql("UPDATE hdms_internal.patients SET node_id = '$other' WHERE patient_ref = '$anna->{ref}'");
$found = found($north);
$north->sql("UPDATE hdms_internal.patients SET node_id = '$own' WHERE patient_ref = '$anna->{ref}'");
outcome("$anna->{name} is bound to somebody else's device", $found, 0);

# 5. The hospital denies that it ever issued the record. The patient's file is all that it takes to show otherwise.
my $file = "$pg->{base}/evidence.json";
$anna->{device}->cmd('export', $diagnosis, '--out', $file);
my ($out, $err);
my $proves = run(["$build/hdms-tool", 'state', 'verify', $file, '--network', $net->{fingerprint}], '<', \undef, '>', \$out, '2>', \$err);
outcome('the hospital denies having issued the diagnosis', $proves ? "the patient's evidence file verifies for anyone who has hdms-tool and the network's fingerprint" : undef, 0);

# 6. The phone is thrown away; whoever finds it goes on using it.
my $kit = $anna->{device}->json('kit');
my $records = join ' ', sort map { $_->{record} } @{$anna->{device}->json('records')};
my $lost = $anna->{device};
$lost->stop('KILL');
unlink "$lost->{home}/socket";
my $phone = $anna->{device} = $net->device('new-phone', empty => 1);
spew("$pg->{base}/words", $kit->{words});
$phone->cmd('recover', '--server', $kit->{kits}[0]{server}, '--network', $kit->{kits}[0]{network}, '--words-file', "$pg->{base}/words");
unlink "$pg->{base}/words";
$phone->start;
wait_until('all records to be on the new phone', sub { !grep { $_->{recovering} } @{$phone->json('status')->{pairings}} });
my $is_back = $records eq join ' ', sort map { $_->{record} } @{$phone->json('records')};
say_step("$anna->{name} has lost the phone; the words of the kit bring " . scalar(split / /, $records) . ' records to a new one, verified');
$lost->start;
wait_until('the server to refuse the lost phone', sub { $lost->log_text =~ /HTTP 401/ });
outcome('the finder of the lost phone goes on using it', 'the server refuses it: its key was replaced', $is_back);
$lost->stop('KILL');
$phone->cmd('policy', $north->{node}, 'accept');

# 7. Sunday's backup is put in the place of the database.
wait_signed();
$pg->sql('postgres', 'DROP DATABASE north');
$pg->sql('postgres', 'CREATE DATABASE north');
HdmsCluster::command('restore', $pg->psql_command('north', '-f', $backup, '-o', '/dev/null'));
$pg->serve_database('north');
$north->wait_for("SELECT problem LIKE '%adopt_keys%' FROM hdms.node", 't');
$north->sql('SELECT hdms.adopt_keys()');
$north->wait_for("SELECT status FROM hdms.doctor() WHERE check_name = 'signing'", 'fail');
$found = 'the node stops signing; hdms.doctor() says ' . $north->sql("SELECT detail FROM hdms.doctor() WHERE check_name = 'signing'");
$north->sql("SELECT hdms.accept_lost_ledger('shown by the demo')");
$north->wait_for("SELECT status FROM hdms.doctor() WHERE check_name = 'signing'", 'ok');
$north->sql('SELECT hdms.recover_ledger()');
$north->wait_for("SELECT bool_and(status = 'complete') FROM hdms.recovery", 't');
outcome('a backup from before the last record is put in the place of the database', $found,
	$north->sql("SELECT count(*) FROM hdms.records WHERE record = '$tuesday' AND status = 'committed'") == 1 && wait_sound($north));

my $missed = $attacks - $detected;
print "trust: $attacks attacks, $detected detected, $repaired repaired, $missed missed\n";
exit($missed == 0 ? 0 : 1);
