# Keys are replaced while records flow: nothing is lost, nothing commits twice, everything verifies with the keys of its time.
use strict;
use warnings;
use Test::More;
use FindBin;
use JSON::PP;
use MIME::Base64 qw(decode_base64url);
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\nhdms.rotation_grace = 3\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $node = $north->{node};
my $folder = "$pg->{base}/keys/$node";
my %device;
for my $name (qw(alice bob))
{
	my $device = $device{$name} = $net->device($name, conf => "retry_max = 1s\nresend_initial = 2s\n");
	$device->pair($north->invite($name));
	$device->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired');
}
$device{alice}->cmd('policy', 'North Hospital', 'accept');
my $puppet = Puppet->new;
$puppet->pair($north->invite('puppet'));
my $serial = 0;

sub entries { my ($hospital) = @_; return $hospital->sql('SELECT json_array_length(history::json) FROM hdms_internal.node'); }
sub kid { my ($key) = @_; return $north->sql("SELECT kid FROM hdms.keys WHERE key = '$key' AND until IS NULL"); }
sub rotated { $north->wait_for("SELECT count(*) FROM hdms.key_changes WHERE registered_at IS NULL OR (resign_at IS NOT NULL AND resigned_at IS NULL)", '0', 90); }
sub issue { my ($ref, %options) = @_; return $north->issue($ref, '{"n": ' . ++$serial . '}', %options); }

# The next message with a state of that record; acknowledged, so that it does not come again.
sub state_of
{
	my ($record) = @_;
	my @others;
	while (1)
	{
		my $message = $puppet->wait_message('record');
		my ($payload) = $message->{body}{state} =~ /^[^.]+\.([^.]+)/;
		if (decode_json(decode_base64url($payload))->{record} eq $record)
		{
			$puppet->send($node, 'ack', {acks => [$message->{jti}]});
			push @{$puppet->{kept}}, @others;
			return $message->{body};
		}
		push @others, $message;
	}
}
sub all_verify
{
	my ($what) = @_;
	is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', "$what: everything verifies");
	is($north->sql("SELECT count(*) FROM (SELECT version_id FROM hdms_internal.events WHERE status = 'committed' GROUP BY version_id HAVING count(*) > 1) AS twice"), '0', "$what: nothing committed twice");
}

subtest 'asking' => sub {
	like($north->sql_error("SELECT hdms.rotate_keys('{recovery}')"), qr/must name keys of this node/, 'for a key that is none');
	like($north->sql_error("SELECT hdms.rotate_keys('{}')"), qr/must name keys of this node/, 'for none');
	like($south->sql_error("SELECT hdms.rotate_keys('{log}')"), qr/log key of a notary cannot be replaced/, "for a notary's log key");
	like($north->sql_error("SET ROLE hdms_emr; SELECT hdms.rotate_keys()"), qr/permission denied/, 'by an EMR');
	is($north->sql("SELECT string_agg(key, ' ' ORDER BY key) FROM hdms.keys WHERE until IS NULL"), 'cosigner encryption log signing', 'the keys are shown');
	is($north->sql("SELECT kid FROM hdms.keys WHERE key = 'signing'"), $node, 'by their thumbprints');
};

subtest 'three rotations while records flow' => sub {
	my $asked = issue('bob');
	$north->wait_status($asked, 'delivered');
	my @records;
	my %seen = map { $_ => 1 } kid('signing'), kid('encryption');
	for my $round (1 .. 3)
	{
		push @records, map { issue('alice') } 1 .. 20;
		$north->sql('SELECT hdms.rotate_keys()');
		push @records, map { issue('alice') } 1 .. 20;
		rotated();
		ok(!$seen{$_}++, "round $round: another key") for kid('signing'), kid('encryption');
	}
	is(entries($north), 4, 'the history has an entry for each');
	my $list = join ', ', map { "'$_'" } @records;
	ok(eval { $north->wait_for("SELECT count(*) FROM hdms.records WHERE record IN ($list) AND status <> 'committed'", '0', 120) }, 'all records that were issued meanwhile are committed')
		or diag $north->sql('SELECT string_agg(t::text, E\'\n\') FROM hdms.deliveries t');
	wait_until('the record that waits for a person to be signed anew', sub { my @asked = grep { $_->{record} eq $asked && $_->{status} eq 'asked' } @{$device{bob}->json('records', '--all')}; @asked == 1 });
	is($north->sql("SELECT count(*) FROM hdms.events WHERE record = '$asked' AND status = 'queued' AND reason = 'keys-rotated'"), '3', 'it was, with each rotation');
	$device{bob}->cmd('accept', $asked);
	$north->wait_status($asked, 'committed', 90);
	pass('and commits when the person accepts');
	all_verify('after three rotations');
	is($north->sql("SELECT count(*) FROM hdms_internal.former_states f JOIN hdms_internal.versions v ON v.id = f.version_id WHERE v.record = '$asked'"), '3', 'former signatures are remembered');
	$north->wait_for("SELECT count(*) FROM hdms_internal.former_states WHERE state IS NOT NULL", '0', 90);
	pass('without what they say');
	is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'keys_rotated' AND reason = 'signing,encryption'"), '3', 'each rotation is an event');
	is($north->sql("SELECT count(*) FROM hdms.audit WHERE action = 'rotate keys' AND purpose = 'signing, encryption'"), '3', 'and in the trail');
};

subtest 'what is left of old keys' => sub {
	opendir my $dir, $folder or die;
	my @files = sort grep { /jwk/ } readdir $dir;
	is(scalar(grep { /^signing/ } @files), 1, 'no private signing key that was replaced');
	is(scalar(grep { /^encryption-/ } @files), 3, 'the encryption keys, for envelopes under way');
	is(scalar(grep { /next/ } @files), 0, 'nothing unfinished');
	is(slurp("$folder/history"), $north->sql('SELECT history FROM hdms_internal.node'), 'and the history, beside them');
};

subtest 'others know' => sub {
	$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE type = 'keys'", '0', 60);
	pass('those who were told have acknowledged');
	is($south->sql("SELECT json_array_length(history::json) FROM hdms_internal.peers WHERE node_id = '$node'"), 4, 'the notary has the whole history');
	is($pg->sql('hdms_server', "SELECT json_array_length(history::json) FROM hdms_server.nodes WHERE id = '$node'"), 4, 'so has the directory');
	is($north->sql("SELECT count(*) FROM hdms.events WHERE kind IN ('false_key', 'quarantined', 'keys_not_changed')"), '0', 'nothing went wrong here');
	is($south->sql("SELECT count(*) FROM hdms.events WHERE kind IN ('false_key', 'quarantined')"), '0', 'nor there');
};

# The puppet's envelopes are sealed to the key that it saw first.
subtest 'evidence for a signature that was replaced' => sub {
	my $record = issue('puppet');
	my $good = $puppet->notarise($puppet->do('accept', %{state_of($record)}));
	my $in_time = issue('puppet');
	my $old = $puppet->notarise($puppet->do('accept', %{state_of($in_time)}));
	$north->sql('SELECT hdms.rotate_keys()');
	rotated();
	$puppet->wait_message('withdrawn', code => 'outdated', vk => $_->{vk}) for $good, $old;
	my @anew = map { state_of($_) } $record, $in_time;
	pass('both versions are signed anew');

	# The old leaf was in time.
	$puppet->send($node, 'accepted', Puppet::evidence($good));
	$north->wait_status($record, 'committed');
	pass('it commits the version when its leaf was in time, sealed to an old key');
	$puppet->do('forget');
	is($north->sql("SELECT vk FROM hdms.states WHERE record = '$record'"), $good->{vk}, 'which has the old signature again');
	all_verify('with a signature that came back');

	# The other version: the new signature first, then the old.
	for my $accepted (map { $puppet->do('accept', %$_) } @anew)
	{
		$puppet->notarise($accepted);
		$puppet->send($node, 'accepted', Puppet::evidence($accepted));
	}
	$north->wait_status($in_time, 'committed');
	isnt($north->sql("SELECT vk FROM hdms.states WHERE record = '$in_time'"), $old->{vk}, 'the new signature commits as well');
	my $sent = $puppet->send($node, 'accepted', Puppet::evidence($old));
	my $answer = $puppet->wait_message('refused', re => $sent->{jti});
	is($answer->{body}{code}, 'outdated', 'and then the old one is too late');
	my $sent_again = $puppet->wait_message('refused', code => 'outdated');
	ok($sent_again, 'as is the new one of the version that the old one committed');
	is($north->sql("SELECT committed FROM hdms_internal.records WHERE record = '$_'"), '1', 'one version each') for $record, $in_time;
	all_verify('after both');

	# A second version has the same tag, whoever signed it: there the old leaf is the only one that there can be.
	$north->sql("SELECT hdms.amend('$record', '{\"second\": true}')");
	my $next = state_of($record);
	my $before = {request => $good->{request}, receipt => $good->{receipt}};
	my $second = $puppet->do('accept', %$next, prev_request => $good->{request}, notary => $south->{node});
	$puppet->notarise($second, %$before);
	$north->sql("SELECT hdms.rotate_keys('{signing}')");
	rotated();
	$puppet->wait_message('withdrawn', vk => $second->{vk});
	my $third = $puppet->do('accept', %{state_of($record)}, prev_request => $good->{request}, notary => $south->{node});
	my $asked = $puppet->send($south->{node}, 'notarise', {request => $third->{request}, map { ("prev_$_" => $before->{$_}) } keys %$before});
	is($puppet->wait_message('refused', re => $asked->{jti})->{body}{code}, 'conflict', 'the notary has the tag of a second version already');
	$puppet->send($node, 'accepted', Puppet::evidence($second));
	$north->wait_for("SELECT committed FROM hdms_internal.records WHERE record = '$record'", '2');
	pass('so the evidence for the old signature commits it');
	all_verify('with a second version');
};

subtest 'a server that was put back from before a rotation' => sub {
	my $dump = "$net->{folder}/backup.sql";
	HdmsCluster::command('pg_dump', HdmsCluster::pg_bin() . '/pg_dump', '-f', $dump, '-d', $pg->conninfo('hdms_server'));
	my $known = entries($north);
	$north->sql("SELECT hdms.rotate_keys('{signing,cosigner,log}')");
	rotated();
	$net->stop('KILL');
	$pg->sql('postgres', 'DROP DATABASE hdms_server');
	$pg->sql('postgres', 'CREATE DATABASE hdms_server');
	HdmsCluster::command('restore', $pg->psql_command('hdms_server', '-f', $dump, '-o', '/dev/null'));
	is($pg->sql('hdms_server', "SELECT json_array_length(history::json) FROM hdms_server.nodes WHERE id = '$node'"), $known, 'it knows the node by a key that is gone');
	$net->start;
	my $record = issue('alice');
	ok(eval { $north->wait_status($record, 'committed', 120) }, 'the node registers its keys again, and goes on') or diag $@;
	is($pg->sql('hdms_server', "SELECT json_array_length(history::json) FROM hdms_server.nodes WHERE id = '$node'"), $known + 1, 'with its longer history');
	all_verify('afterwards');
	is($north->sql("SELECT string_agg(check_name || ': ' || detail, E'\n') FROM hdms.verify_ledger() WHERE check_name <> 'summary'"), '', 'and so does the own log, under another log key');
};

subtest 'a database that was put back from before a rotation' => sub {
	my $before = $north->sql('SELECT history FROM hdms_internal.node');
	$north->sql("SELECT hdms.rotate_keys()");
	rotated();
	my $after = $north->sql('SELECT history FROM hdms_internal.node');
	$pg->stop;
	$pg->start;
	$north->sql("UPDATE hdms_internal.node SET history = '$before'; DELETE FROM hdms_internal.key_changes WHERE entries = (SELECT max(entries) FROM hdms_internal.key_changes)");
	$pg->restart;
	$north->wait_for('SELECT history FROM hdms_internal.node', $after);
	pass('learns of it from the key directory');
	my $record = issue('alice');
	ok(eval { $north->wait_status($record, 'committed', 90) }, 'and goes on') or diag $@;
};

is($north->sql("SELECT status FROM hdms.doctor() WHERE check_name = 'key changes'"), 'ok', 'the doctor finds nothing');
done_testing;
