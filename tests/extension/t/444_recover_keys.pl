# A hospital has lost its private keys: with the recovery key it goes on as the same node, and nothing that it signed is lost.
use strict;
use warnings;
use File::Path qw(make_path remove_tree);
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\nhdms.rotation_grace = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $node = $north->{node};
my $folder = "$pg->{base}/keys/$node";
my $safe = "$pg->{base}/safe";
make_path($safe, "$safe.second");
my %device;
for my $name (qw(alice bob))
{
	my $device = $device{$name} = $net->device($name, conf => "retry_max = 1s\nresend_initial = 2s\n");
	$device->pair($north->invite($name));
	$device->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired');
}
$device{alice}->cmd('policy', 'North Hospital', 'accept');

my @owner = (stat "$pg->{base}/keys")[4, 5];
sub keep { my ($to) = @_; HdmsCluster::command('cp', 'cp', '-a', "$folder/recovery.jwk", "$folder/history", $to); }
sub lose { $pg->stop; remove_tree($folder); $pg->start; $pg->wait_sql('north', "SELECT state FROM hdms_internal.worker_status() WHERE database = 'north'", 'without_keys'); }
sub put_back
{
	my ($from, @files) = @_;
	mkdir $folder, 0700;
	HdmsCluster::command('cp', 'cp', '-a', (map { "$from/$_" } @files), $folder);
	chown @owner, $folder, map { "$folder/$_" } @files;
}
sub recover
{
	$north->sql('SELECT hdms.recover_keys()');
	$north->wait_for('SELECT made_at IS NOT NULL OR problem IS NOT NULL FROM hdms_internal.key_changes ORDER BY id DESC LIMIT 1', 't');
	return $north->sql('SELECT problem FROM hdms_internal.key_changes ORDER BY id DESC LIMIT 1');
}
sub commits
{
	my ($what) = @_;
	my $record = $north->issue('alice', "{\"what\": \"$what\"}");
	ok(eval { $north->wait_status($record, 'committed', 90) }, $what) or diag $@, $north->sql("SELECT string_agg(t::text, E'\n') FROM hdms.deliveries t");
	return $record;
}
sub all_verify { is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', $_[0]); }

my $first = commits('before anything is lost');
$north->sql('SELECT hdms.rotate_keys()');
$north->wait_for('SELECT count(*) FROM hdms.key_changes WHERE registered_at IS NULL OR resigned_at IS NULL', '0');
commits('after a rotation');
keep($safe);
unlink "$folder/recovery.jwk";
my $asked = $north->issue('bob', '{"for": "bob"}');
$north->wait_status($asked, 'delivered');

subtest 'without the recovery key' => sub {
	lose();
	is($north->sql("SELECT status FROM hdms.doctor() WHERE check_name = 'keys'"), 'fail', 'the doctor says that the keys are gone');
	like(recover(), qr/make the folder .*\Q$node\E.* and put recovery.jwk into it/, 'and asking says what is missing');
	put_back("$pg->{base}/keys/$south->{node}", 'recovery.jwk');
	like(recover(), qr/is not the recovery key that the node's history commits to/, "another node's does not do");
	is($north->sql("SELECT status FROM hdms.doctor() WHERE check_name = 'key changes'"), 'fail', 'which the doctor says, too');
	is($north->sql('SELECT json_array_length(history::json) FROM hdms_internal.node'), 2, 'nothing was changed');
};

subtest 'with it' => sub {
	put_back($safe, qw(recovery.jwk history));
	is(recover(), '', 'the keys are made anew');
	$north->wait_for("SELECT status FROM hdms.key_changes ORDER BY id DESC LIMIT 1", 'done', 90);
	$north->wait_for("SELECT state FROM hdms.workers WHERE database = 'north'", 'active');
	is($north->sql('SELECT node_id FROM hdms.node'), $node, 'of the same node');
	is($pg->sql('hdms_server', "SELECT json_array_length(history::json) || status FROM hdms_server.nodes WHERE id = '$node'"), '3active', 'which the server takes');
	commits('records flow again');
	wait_until('the record under way to be signed anew', sub { grep { $_->{record} eq $asked && $_->{status} eq 'asked' } @{$device{bob}->json('records', '--all')} });
	$north->wait_for("SELECT status FROM hdms.records WHERE record = '$asked'", 'delivered');
	$device{bob}->cmd('accept', $asked);
	ok(eval { $north->wait_status($asked, 'committed', 90) }, 'what was under way commits') or diag $@;
	$north->sql("SELECT hdms.amend('$first', '{\"what\": \"amended\"}')");
	$north->wait_status($first, 'committed', 90);
	is($north->sql("SELECT committed_versions FROM hdms.records WHERE record = '$first'"), 2, 'and an old record is amended');
	all_verify('everything verifies');
	$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE type = 'keys'", '0');
	is($south->sql("SELECT json_array_length(history::json) FROM hdms_internal.peers WHERE node_id = '$node'"), 3, 'the notary knows');
	ok(!-e "$folder/recovery.next.jwk" && slurp("$folder/recovery.jwk") ne slurp("$safe/recovery.jwk"), 'there is another recovery key');
};

subtest 'again' => sub {
	keep("$safe.second");
	lose();
	put_back($safe, 'recovery.jwk');
	like(recover(), qr/is not the recovery key/, 'the first recovery key is used up');
	put_back("$safe.second", qw(recovery.jwk history));
	is(recover(), '', 'the second one does it');
	$north->wait_for("SELECT state FROM hdms.workers WHERE database = 'north'", 'active', 90);
	commits('records flow once more');
	all_verify('and everything verifies');
};

is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'keys_not_changed'"), '3', 'what was refused is told as an event');
done_testing;
