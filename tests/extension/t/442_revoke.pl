# A signing key is stolen and revoked. What was witnessed before stays; nothing that the thief signs afterwards is accepted by anybody, whatever time it says.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\nhdms.rotation_grace = 300\n");
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
my ($thief, $carrier, $patient) = map { Puppet->new } 1 .. 3;
$_->[0]->pair($north->invite($_->[1])) for [$thief, 'thief'], [$carrier, 'carrier'], [$patient, 'patient'];

my $serial = 0;
sub issue { my ($ref) = @_; return $north->issue($ref, '{"n": ' . ++$serial . '}'); }
sub fails { my ($record) = @_; return $north->sql("SELECT string_agg(DISTINCT check_name, ' ' ORDER BY check_name) FROM hdms.verify('$record') WHERE NOT ok"); }
sub refused { my ($sent, $what) = @_; ok(eval { $south->wait_for("SELECT count(*) FROM hdms_internal.refusals WHERE transport = '$sent->{id}' AND reason = 'unknown-key'", '1') }, $what) or diag $@; }
# Carried by somebody else, because the server takes nothing from the thief.
sub smuggle { my ($to, $type, $body, %more) = @_; my $sealed = $thief->do('seal', to => $to, type => $type, body => $body, %more); $carrier->do('put', to => $to, envelope => $sealed->{envelope}); return $sealed; }

my $early = issue('alice');
$north->wait_status($early, 'committed');
my $since = wait_until('two seconds to pass since', sub { my $at = $north->sql("SELECT floor(extract(epoch FROM clock_timestamp())) FROM hdms.states WHERE record = '$early' AND leaf_at < clock_timestamp() - interval '2 seconds'"); $at =~ /\d/ ? $at : undef });
my $late = issue('alice');
$north->wait_status($late, 'committed');
my $asked = issue('bob');
$north->wait_status($asked, 'delivered');

# The theft: a copy of the file, which works as long as nobody knows.
my $jwk = slurp("$folder/signing.jwk");
my $peer = $patient->{node};
my $alice = $north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'alice'");
$thief->do('seal', to => $_, type => 'probe', body => {}) for $south->{node}, $peer, $alice;	# reads their keys while it may
my $forged = do { $thief->do('steal', node => $node, signing => $jwk); $thief->do('state', sub => $peer, content => '{"forged": 1}') };
is($thief->try('fetch')->{ok} ? 'yes' : 'no', 'yes', 'before the revocation the server takes the thief for the hospital');
my $probe = smuggle($south->{node}, 'probe', {}, iat => time - 60);
$south->wait_for("SELECT count(*) FROM hdms_internal.processed WHERE jti = '$probe->{jti}'", '1');
pass('and so does the notary');

subtest 'asking' => sub {
	like($north->sql_error("SELECT hdms.revoke_key('$south->{node}')"), qr/never had a key/, "for another node's key");
	like($north->sql_error("SELECT hdms.revoke_key('$node', now() - interval '8 days')"), qr/cannot reach back further than seven days/, 'for long ago');
	like($north->sql_error("SELECT hdms.revoke_key('$node', now() + interval '1 minute')"), qr/must not be in the future/, 'for later');
	like($north->sql_error("SET ROLE hdms_emr; SELECT hdms.revoke_key('$node')"), qr/permission denied/, 'by an EMR');
};

$north->sql("SELECT hdms.revoke_key('$node', to_timestamp($since))");
$north->wait_for("SELECT status FROM hdms.key_changes", 'done');
is($north->sql("SELECT extract(epoch FROM revoked_since)::bigint || ' ' || (until IS NOT NULL) FROM hdms.keys WHERE kid = '$node'"), "$since true", 'the key is revoked, and replaced');
is($north->sql("SELECT string_agg(kind, ' ' ORDER BY id) FROM hdms.events WHERE kind ~ '^key'"), 'keys_rotated key_revoked', 'both are told as events');

subtest 'what was signed' => sub {
	is(fails($early), '', 'what was witnessed before stays valid');
	isnt(fails($late), '', 'what was witnessed since does not');
	like($north->sql("SELECT string_agg(record::text, ' ') FROM hdms.verify_ledger() WHERE record IS NOT NULL"), qr/\Q$late\E/, 'and the check of the ledger names it');
	wait_until('the record under way to be signed anew', sub { $north->sql("SELECT count(*) FROM hdms.events WHERE record = '$asked' AND reason = 'keys-rotated'") eq '1' && $north->status($asked) eq 'delivered' });
	$device{bob}->cmd('accept', $asked);
	ok(eval { $north->wait_status($asked, 'committed') }, 'what was under way was signed anew at once, and commits') or diag $@;
	is(fails($asked), '', 'validly');
	my $again = issue('alice');
	ok(eval { $north->wait_status($again, 'committed') }, 'and records flow') or diag $@;
	is(fails($again), '', 'validly');
};

subtest 'the thief' => sub {
	$south->wait_for("SELECT json_array_length(history::json) FROM hdms_internal.peers WHERE node_id = '$node'", '2');
	my $answer = $thief->try('fetch');
	is($answer->{status} // $answer->{error}, 401, 'gets nothing out of the mailbox');
	refused(smuggle($south->{node}, 'probe', {}), 'is not heard with a message of now');
	refused(smuggle($south->{node}, 'probe', {}, iat => $since - 5), 'nor with one that says it is from before');

	# A person who believes it gets no witness.
	my $accepted = $patient->do('accept', %$forged);
	my $sent = $patient->send($south->{node}, 'notarise', {request => $accepted->{request}});
	is($patient->wait_message('refused', re => $sent->{jti})->{body}{code}, 'unknown-key', 'has no record witnessed');

	# A device does not believe it.
	my $before = @{$device{alice}->json('records', '--all')};
	my $record = smuggle($alice, 'record', {state => $forged->{state}, commit => $forged->{commit}}, iat => $since - 5);
	my $notice = wait_until('the device to refuse it', sub { my ($of) = grep { $_->{text} =~ /\Q$record->{id}\E/ } @{$device{alice}->json('status')->{notices}}; $of });
	like($notice->{text}, qr/key/, "is not heard by a device: $notice->{text}");
	is(scalar(@{$device{alice}->json('records', '--all')}), $before, 'gives a device no record');
};

is($south->sql("SELECT count(*) FROM hdms.events WHERE kind = 'false_key'"), '0', 'nobody took the revocation for a false key');
done_testing;
