# Witnesses: who cosigns a log, who finds one that was rewritten or put back from a copy, and what hostile and dead witnesses can do.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../../flow";
use Digest::SHA qw(sha256);
use IPC::Run;
use JSON::PP;
use MIME::Base64 qw(encode_base64 encode_base64url);
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.witness_interval = 1\nhdms.witnesses = 3\n");
my $net = $pg->network;
my ($north, $south, $west) = $net->hospitals(['north', notary => 1], ['south', notary => 1], ['west', notary => 1]);
my ($puppet, $rival) = map {
	my $node = Puppet->new;
	$node->do('join', server => $net->{url}, name => "Clinic $_");
	$net->admit($node->{node}, $_ == 1 ? '--notary' : ());
	$node;
} 1 .. 2;

# A node asks for the newest list of notaries when it starts, and then not for an hour: all are to know all four.
$pg->restart;
$_->wait_for("SELECT json_array_length(convert_from(decode(rpad(p, (length(p) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::json -> 'notaries')
	FROM (SELECT translate(split_part(jws, '.', 2), '-_', '+/') AS p FROM hdms_internal.notary_lists ORDER BY iat DESC LIMIT 1) l", '4')
	for $north, $south, $west;

my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

sub tool { return HdmsCluster::command("hdms-tool @_", "$HdmsCluster::build/hdms-tool", @_); }
sub tool_refuses { my ($out, $err) = ('', ''); return !IPC::Run::run(["$HdmsCluster::build/hdms-tool", @_], '>', \$out, '2>', \$err); }
sub key_file { my ($hospital, $name) = @_; return "$pg->{base}/keys/$hospital->{node}/$name.jwk"; }
sub file { my ($name, $text) = @_; HdmsCluster::spew("$pg->{base}/$name", $text); return "$pg->{base}/$name"; }
sub newest { my ($hospital) = @_; return $hospital->sql('SELECT note FROM hdms_internal.log_checkpoints ORDER BY size DESC LIMIT 1'); }
sub entries { my ($hospital) = @_; return $hospital->sql('SELECT count(*) FROM hdms_internal.log_entries'); }

# Issues at north until these have notarised one more. The fourth notary is a puppet that never answers, so some records wait for ever.
my $issued = 0;
sub let_notarise
{
	my (@notaries) = @_;
	my %before = map { $_->{db} => entries($_) } @notaries;
	for (1 .. 10)
	{
		$north->issue('A-1', '{"n": ' . ++$issued . '}') for 1 .. 4;
		return if eval { wait_until('each to notarise', sub { !grep { entries($_) <= $before{$_->{db}} } @notaries }, 10) };
	}
	die "one of the notaries was never drawn\n";
}

sub wait_cosigned
{
	my ($hospital, @witnesses) = @_;
	$hospital->wait_for("SELECT cosigned_size >= (SELECT max(size) FROM hdms_internal.log_checkpoints) FROM hdms.witnesses
		WHERE log = 'log' AND witness = '$_->{node}'", 't') for @witnesses;
}

let_notarise($south, $west);
subtest 'the newest checkpoint of a notary' => sub {
	wait_cosigned($south, $north, $west);
	my $note = newest($south);
	is(scalar(() = $note =~ / hdms\.v1\/witness\//g), 2, 'is cosigned by its two living witnesses, and nobody waits for the dead one');
	my $file = file('checkpoint', $note);
	for my $witness ($north, $west)
	{
		like(tool('checkpoint', 'verify', $file, '--log', key_file($south, 'log'), '--witness', $witness->{node}, '--cosigner', key_file($witness, 'cosigner')),
			qr/^cosigned hdms\.v1\/witness\/\Q$witness->{node}\E \d+$/m, "verifies offline with the cosigner key of $witness->{db}");
	}
	ok(tool_refuses('checkpoint', 'verify', $file, '--log', key_file($south, 'log'), '--witness', $north->{node}, '--cosigner', key_file($west, 'cosigner')),
		'and not with another key');
	my $doctor = "SELECT status || ': ' || left(detail, 60) FROM hdms.doctor() WHERE check_name = 'witnesses'";
	like($south->sql($doctor), qr/^ok: 2 witnesses cosign /, 'the doctor counts two');
	$south->sql("UPDATE hdms_internal.witnesses SET asked_at = asked_at - interval '1 hour' WHERE node_id = '$puppet->{node}'");
	like($south->sql($doctor), qr/^warn: 3 witnesses are wanted; 2 witnesses cosign /, 'and says after a while that one is missing');
};

# Trees of one and two leaves, computed here.
my ($leaf_a, $leaf_b, $leaf_c) = map { sha256("\0$_") } qw(a b c);
sub node { return sha256("\1" . $_[0] . $_[1]); }
sub add_checkpoint { my ($old, $note, @proof) = @_; return "old $old\n" . join('', map { encode_base64($_, '') . "\n" } @proof) . "\n$note"; }
sub checkpoint { my ($size, $root, %more) = @_; return $puppet->do('checkpoint', size => $size, root => encode_base64url($root), %more)->{note}; }
sub ask_north
{
	my ($request) = @_;
	my $sent = $puppet->send($north->{node}, 'witness', {checkpoint => $request});
	return $puppet->wait_message('cosigned', re => $sent->{jti})->{body};
}

subtest 'a witness' => sub {
	my $one = checkpoint(1, $leaf_a);
	my $two = checkpoint(2, node($leaf_a, $leaf_b));
	is(ask_north('nonsense')->{code}, 'bad-format', 'refuses what is no request');
	is(ask_north(add_checkpoint(0, checkpoint(1, $leaf_a, origin => "hdms.v1/log/$south->{node}")))->{code}, 'wrong-sender', 'takes no checkpoint of another node');
	like(ask_north(add_checkpoint(0, $one))->{cosignatures}, qr/ hdms\.v1\/witness\/\Q$north->{node}\E /, 'cosigns the first checkpoint that it sees');
	my $early = ask_north(add_checkpoint(0, $two));
	is("$early->{code} $early->{size}", 'conflict 1', 'tells what it saw last to who does not prove from there');
	is($early->{checkpoint}, $one, 'with the note');
	like(ask_north(add_checkpoint(1, $two, $leaf_b))->{cosignatures}, qr/witness/, 'cosigns what is proved to continue that');
	like(ask_north(add_checkpoint(1, $two, $leaf_b))->{cosignatures}, qr/witness/, 'and the same again');
	is($north->sql("SELECT count(*) FROM hdms.forks"), '0', 'up to here nothing contradicts itself');

	my $forked = ask_north(add_checkpoint(1, checkpoint(2, node($leaf_a, $leaf_c)), $leaf_c));
	is("$forked->{code} $forked->{size}", 'conflict 2', 'does not cosign another tree of the same size');
	is($north->sql("SELECT kind || ' ' || node_id FROM hdms.forks"), "two-trees $puppet->{node}", 'keeps the evidence');
	is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'fork'"), '1', 'reports it');
	is($north->sql("SELECT status FROM hdms.doctor() WHERE check_name = 'forks'"), 'fail', 'and the doctor fails');
	my $evidence = $north->sql('SELECT evidence FROM hdms.forks');
	like(tool('fork', 'verify', file('fork.json', $evidence)), qr/^node \Q$puppet->{node}\E\n.*\nsize 2\n.*two different trees of one size/s,
		'the evidence verifies offline, with nothing else');
	(my $altered = $evidence) =~ s/\\n2\\n/\\n3\\n/;
	ok(tool_refuses('fork', 'verify', file('altered.json', $altered)), 'altered it does not');
	my $three = checkpoint(3, node(node($leaf_a, $leaf_b), $leaf_c));
	is(ask_north(add_checkpoint(2, $three, $leaf_c))->{code}, 'barred', 'nothing of that log is cosigned any more');
	like($north->sql_error("SELECT hdms.witness_again('hdms.v1/log/$south->{node}', 'no reason')"), qr/not one that this node has stopped to cosign/,
		'an administrator cannot forgive what was not done');
	$north->sql("SELECT hdms.witness_again('hdms.v1/log/$puppet->{node}', 'explained to us in person')");
	like(ask_north(add_checkpoint(0, $three))->{cosignatures}, qr/witness/, 'until an administrator says so');
	is($north->sql("SELECT count(*) FROM hdms.forks"), '1', 'and the evidence stays');
	is(ask_north(add_checkpoint(3, checkpoint(4, $leaf_a), $leaf_b))->{code}, 'conflict', 'a proof that does not hold is a contradiction, too');
	is($north->sql("SELECT evidence IS NULL FROM hdms.forks WHERE kind = 'no-proof'"), 't', 'though one that proves nothing to others');
	$north->sql("SELECT hdms.witness_again('hdms.v1/log/$puppet->{node}', 'once more')");
};

sub question { return $puppet->wait_message('witness', iss => $south->{node}); }
sub answer_south { my ($question, $body) = @_; return $puppet->send($south->{node}, 'cosigned', $body, re => $question->{jti}); }
sub note_of { my ($question) = @_; return $question->{body}{checkpoint} =~ s/\Aold.*?\n\n//sr; }
sub south_says { my ($like) = @_; $south->wait_for("SELECT problem LIKE '$like' FROM hdms.witnesses WHERE log = 'log' AND witness = '$puppet->{node}'", 't'); }

subtest 'a log' => sub {
	my $log_question = sub { my $q; do { $q = question() } until note_of($q) =~ /\Ahdms\.v1\/log\//; return $q };
	my $question = $log_question->();
	answer_south($question, {cosignatures => $rival->do('cosign', note => note_of($question), witness => $puppet->{node})->{line}});
	south_says('its cosignature is refused: %');
	pass('does not take a cosignature that is not the witness\'s');
	unlike(newest($south), qr/witness\/\Q$puppet->{node}\E /, 'it is not in the checkpoint');
	$question = $log_question->();
	answer_south($question, {cosignatures => $puppet->do('cosign', note => note_of($question), time => time + 4000)->{line}});
	south_says('its cosignature is from the future');
	pass('nor one from the future');
	$question = $log_question->();
	answer_south($question, {code => 'conflict', size => '1000', checkpoint => checkpoint(1000, $leaf_a, origin => "hdms.v1/log/$south->{node}")});
	south_says('it claims to have seen a checkpoint that this node did not sign');
	is($south->sql('SELECT halted IS NULL FROM hdms_internal.node'), 't', 'is not stopped by a witness that lies');
	$question = $log_question->();
	answer_south($question, {cosignatures => $puppet->do('cosign', note => note_of($question))->{line}});
	wait_cosigned($south, $puppet);
	like(newest($south), qr/witness\/\Q$puppet->{node}\E /, 'takes the right one');
	is($south->sql("SELECT status FROM hdms.doctor() WHERE check_name = 'signing'"), 'ok', 'and goes on signing');
};

subtest 'a notary whose database and keys were put back from an older copy' => sub {
	wait_cosigned($south, $north, $west);
	$pg->sql('postgres', 'CREATE DATABASE south_copy TEMPLATE south');
	HdmsCluster::command('copying keys', 'cp', '-a', "$pg->{base}/keys", "$pg->{base}/keys_copy");
	let_notarise($south);
	wait_cosigned($south, $north, $west);
	my $had = entries($south);
	$pg->sql('postgres', 'DROP DATABASE south');
	$pg->sql('postgres', 'ALTER DATABASE south_copy RENAME TO south');
	HdmsCluster::command('putting keys back', 'cp', '-a', "$pg->{base}/keys_copy/.", "$pg->{base}/keys");
	$south->wait_for("SELECT state FROM hdms.workers WHERE database = 'south'", 'without_keys');
	cmp_ok(entries($south), '<', $had, 'has fewer entries');
	$south->sql('SELECT hdms.adopt_keys()');
	$south->wait_for("SELECT state FROM hdms.workers WHERE database = 'south'", 'halted');
	pass('is found out by its witnesses, and stops signing');
	is($south->sql("SELECT kind FROM hdms.forks"), 'older-copy', 'the newer checkpoint is kept');
	like($south->sql("SELECT status || ': ' || detail || '; ' || hint FROM hdms.doctor() WHERE check_name = 'signing'"),
		qr/^fail: this node has stopped signing: witness .* older than what this node has signed; .*newest backup/, 'the doctor says why, and what to do');
	my $now = entries($south);
	$pg->restart;
	$south->wait_for("SELECT state FROM hdms.workers WHERE database = 'south'", 'halted');
	pass('also after a restart');
	let_notarise($west);
	is(entries($south), $now, 'nothing is notarised by it, while the others go on');
};

subtest 'a log that was rewritten with the right key' => sub {
	wait_cosigned($west, $north);
	my $size = entries($west);
	my @hashes = map { pack 'H*', $_ } split /\n/, $west->sql("SELECT encode(substring(hashes FROM 32 * i + 1 FOR 32), 'hex')
		FROM hdms_internal.log_tiles, generate_series(0, $size - 1) i WHERE level = 0 AND index = 0 ORDER BY i");
	is(scalar @hashes, $size, 'has one tile');
	# Another request in the first entry, and all hashes after it, as a superuser who can read the key file would.
	my $leaf = pack 'H*', $west->sql("SELECT encode(leaf, 'hex') FROM hdms_internal.log_entries WHERE index = 0");
	substr($leaf, -32) = sha256('another request');
	$hashes[0] = sha256("\0$leaf");
	my $root;
	$root = sub {
		my @part = @_;
		return $part[0] if @part == 1;
		my $left = 1;
		$left *= 2 while $left * 2 < @part;
		return node($root->(@part[0 .. $left - 1]), $root->(@part[$left .. $#part]));
	};
	my $note = tool('checkpoint', 'sign', '--origin', "hdms.v1/log/$west->{node}", '--size', $size, '--root', encode_base64($root->(@hashes), ''),
		'--log', key_file($west, 'log'));
	$west->sql("UPDATE hdms_internal.log_entries SET leaf = '\\x" . unpack('H*', $leaf) . "' WHERE index = 0;
		UPDATE hdms_internal.log_tiles SET hashes = '\\x" . unpack('H*', join '', @hashes) . "' WHERE level = 0 AND index = 0;
		UPDATE hdms_internal.log_checkpoints SET note = '$note' WHERE size = $size;");
	$pg->restart;
	$north->wait_for("SELECT count(*) FROM hdms.forks WHERE kind = 'two-trees' AND node_id = '$west->{node}'", '1');
	pass('is found by its witness');
	like(tool('fork', 'verify', file('west.json', $north->sql("SELECT evidence FROM hdms.forks WHERE node_id = '$west->{node}'"))),
		qr/^node \Q$west->{node}\E$/m, 'which can prove it to anyone');
	$west->wait_for("SELECT state FROM hdms.workers WHERE database = 'west'", 'halted');
	pass('and the node stops signing');
};
is($north->sql('SELECT halted IS NULL FROM hdms_internal.node'), 't', 'the honest node goes on');
done_testing;
