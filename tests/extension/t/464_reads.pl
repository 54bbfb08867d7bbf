# Patients see on their own device when the institution read their records, where it has that on.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my %device;
for my $name ('alice', 'bob')
{
	my $device = $device{$name} = $net->device($name);
	$device->pair($north->invite($name));
	$device->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired');
	$device->cmd('policy', 'North Hospital', 'accept');
}
my $record = $north->issue('alice', '{"note": "one"}');
my $other = $north->issue('bob', '{"note": "two"}');
$north->wait_status($_, 'committed') for $record, $other;
sub reads { my ($name, @id) = @_; return join '; ', map { "$_->{action} $_->{purpose}" } grep { defined $_->{purpose} } reverse @{$device{$name}->json('reads', @id)}; }

$north->sql("SELECT hdms.read('$record', 'before it was on')");
$north->wait_for('SELECT count(*) FROM hdms_internal.audit_queue', '0');
$pg->configure("hdms.tell_patients_of_reads = on\n");
$pg->reload;
$north->wait_for('SELECT reads_told IS NOT NULL FROM hdms_internal.node', 't');
is($device{alice}->cmd('reads'), "nothing was told\n", 'nothing is told while it is off');
$north->sql("SET hdms.actor = 'dr.who'; SELECT hdms.read('$record', 'treatment'); SELECT hdms.read('$record', 'a \"second\" opinion'); SELECT hdms.verify('$record')");
$north->sql("BEGIN; SELECT hdms.read('$record', 'rolled back'); ROLLBACK");
$north->sql("SELECT hdms.read('$other', 'invoice'); SELECT hdms.export_evidence('$other')");
wait_until('alice to be told', sub { reads('alice') =~ /second/ });
is(reads('alice'), 'read treatment; read a "second" opinion', 'the device shows each reading with its purpose, in order, from when it was turned on');
wait_until('bob to be told', sub { @{$device{bob}->json('reads')} == 2 });
is(reads('bob'), 'read invoice', 'each patient sees the readings of their own records');
is(scalar(grep { $_->{action} eq 'export' && $_->{record} eq $other && $_->{institution} eq 'North Hospital' } @{$device{bob}->json('reads', $other)}), 1,
	'exports, too, with record and institution');
unlike($device{alice}->cmd('--json', 'reads'), qr/who|postgres/, 'who it was is not told');
like($device{alice}->cmd('reads', $record), qr/^20\d\d-\d\d-\d\d \d\d:\d\d  read   treatment  \(North Hospital, $record\)$/m, 'for a person to read');
$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE type = 'reads'", '0');
pass('and the device has acknowledged it');

# A crash between telling and the next look tells nothing twice.
$pg->restart('immediate');
$north->sql("SELECT hdms.read('$record', 'after a crash')");
wait_until('alice to be told again', sub { reads('alice') =~ /after/ });
is(reads('alice'), 'read treatment; read a "second" opinion; read after a crash', 'each is told once');

$pg->configure("hdms.tell_patients_of_reads = off\n");
$pg->reload;
$north->wait_for('SELECT reads_told IS NULL FROM hdms_internal.node', 't', 90);
$north->sql("SELECT hdms.read('$record', 'off again')");
$north->wait_status($north->issue('alice', '{"note": "later"}'), 'committed');
unlike(reads('alice'), qr/off again/, 'turned off, nothing more is told');
done_testing;
