# What is damaged on a patient's device comes back from the hospital; the commands say what is wrong, and what came of it.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my $device = $net->device('a');
$device->pair($north->invite('A'));
$device->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A'", 'paired');
$device->cmd('policy', 'North Hospital', 'accept');
my @records = map { $north->issue('A', "{\"n\": $_.10}") } 1 .. 5;
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", 5);
$north->sql("SELECT hdms.amend('$records[0]', '{\"n\": \"second\"}')");
$north->wait_for("SELECT committed_versions FROM hdms.records WHERE record = '$records[0]'", 2);
my $final = sub { scalar(@{$device->json('records')}) == 5 };
wait_until('all records to be final on the device', $final);

sub verify { return $device->try_cmd('verify', '--all'); }
sub damage
{
	my ($sql) = @_;
	$device->stop;
	HdmsCluster::command('damaging the device', 'sqlite3', "$device->{home}/node.db", $sql);
	$device->start;
}

my ($status, $out) = verify();
is($status, 0, 'verify --all ends with 0 where all is well');
is($out, "5 records, 0 of them damaged\n", 'and says how many');
is($device->cmd('repair'), "5 records, 0 of them damaged\n", 'nothing is to be repaired');

subtest 'records that were damaged' => sub {
	my $before = $device->cmd('export', $records[0]);
	damage("UPDATE part SET sealed = zeroblob(300) WHERE id IN (SELECT id * 64 FROM version); DELETE FROM part WHERE id % 64 = 2 AND id < 200");
	($status, $out, my $err) = verify();
	is($status, 1, 'verify --all ends with 1');
	like($out, qr/^BAD   record \Q$records[1]\E version 1: /m, 'names them');
	like($err, qr/5 of 5 records do not verify/, 'and counts them');
	like($device->cmd('repair', $records[1]), qr/^1 records, 1 of them damaged\nasked the institutions for 1 versions/m, 'one is asked for');
	wait_until('it to be back', sub { (verify())[1] =~ /^5 records, 4 of them damaged/m });
	like($device->cmd('repair'), qr/asked the institutions for 5 versions/, 'then the others');
	wait_until('all to be back', sub { (verify())[0] == 0 });
	is($device->cmd('export', $records[0]), $before, 'bit for bit');
	like($device->cmd('status'), qr/is as it was signed again/, 'the person is told');
};

subtest 'a hospital whose copy is damaged, too' => sub {
	damage("UPDATE part SET sealed = zeroblob(300) WHERE id = (SELECT id * 64 FROM version ORDER BY id DESC LIMIT 1 OFFSET 1)");
	$north->sql("UPDATE hdms_internal.payloads SET state = NULL");
	$device->cmd('repair');
	wait_until('the answer', sub { $device->cmd('status') =~ /has no copy of it/ });
	is((verify())[0], 1, 'has nothing to give, and it stays damaged');
	is($north->sql('SELECT hdms.repair_ledger()'), 5, 'the hospital asks for what it lost');
	$north->wait_for("SELECT count(*) FROM hdms.repairs WHERE status = 'asked'", 0);
	is($north->sql("SELECT status, count(*) FROM hdms.repairs GROUP BY 1 ORDER BY 1"), "impossible|1\nrepaired|4", 'and gets back all but what neither has');
};

done_testing();
