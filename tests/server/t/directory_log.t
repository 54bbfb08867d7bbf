# The directory as a log: what it accepts becomes leaves of one tree, whoever writes it and however that ends. Trees and proofs are checked by the
# few lines of RFC 6962 below, signatures by the openssl program: nothing of what is tested is used to test it.
use strict;
use warnings;
use Test::More;
use Digest::SHA qw(sha256);
use MIME::Base64 qw(decode_base64 decode_base64url encode_base64url);
use HdmsTest;

my $t = HdmsTest->new(config => 'log_rate_per_second = 100000');
my $second = $t->start_server(public_url => $t->{url});
my @there = (url => $second->{url}, authority => $t->{url} =~ s{.*//}{}r);

sub leaf_hash { return sha256("\0$_[0]"); }
sub tree_root
{
	my (@hashes) = @_;
	return sha256('') if !@hashes;
	return $hashes[0] if @hashes == 1;
	my $k = 1;
	$k *= 2 while $k * 2 < @hashes;
	return sha256("\1" . tree_root(@hashes[0 .. $k - 1]) . tree_root(@hashes[$k .. $#hashes]));
}

# The root that a proof leads to: RFC 9162, 2.1.3.2.
sub proof_root
{
	my ($index, $size, $hash, @proof) = @_;
	my ($fn, $sn) = ($index, $size - 1);
	for my $p (@proof)
	{
		return '' if $sn == 0;
		if ($fn & 1 || $fn == $sn)
		{
			$hash = sha256("\1$p$hash");
			if (!($fn & 1)) { do { $fn >>= 1; $sn >>= 1 } until $fn & 1 || !$fn; }
		}
		else { $hash = sha256("\1$hash$p"); }
		$fn >>= 1; $sn >>= 1;
	}
	return $sn == 0 ? $hash : '';
}

# The network key as openssl reads it.
my $jwk = $t->request('-', GET => '/v1/network')->{json}{network};
my $pem = "$t->{base}/network.pem";
{
	my $der = pack('H*', '302a300506032b6570032100') . decode_base64url($jwk->{x});
	open my $out, '|-', 'openssl', 'pkey', '-pubin', '-inform', 'DER', '-out', $pem or die;
	print $out $der;
	close $out or die;
}
my $thumbprint = encode_base64url(sha256(qq({"crv":"Ed25519","kty":"OKP","x":"$jwk->{x}"})));

# A checkpoint in its parts; dies when it is not signed.
sub checkpoint
{
	my ($note) = @_;
	utf8::encode($note) if utf8::is_utf8($note);		# what comes out of JSON
	my ($text, $signature) = $note =~ /\A(.*?\n)\n\x{e2}\x{80}\x{94} \S+ (\S+)\n\z/s or die "not a note: $note";
	my ($origin, $size, $root) = split /\n/, $text;
	my $bytes = decode_base64($signature);
	$t->write_file("$t->{base}/text", $text);
	$t->write_file("$t->{base}/signature", substr $bytes, 4);
	system("openssl pkeyutl -verify -pubin -inkey $pem -rawin -in $t->{base}/text -sigfile $t->{base}/signature >/dev/null 2>&1") == 0 or die "bad signature: $note";
	die 'bad key id' if substr($bytes, 0, 4) ne substr(sha256("$origin\n\1" . decode_base64url($jwk->{x})), 0, 4);
	my ($generation) = $origin =~ m{^hdms\.v1/directory/\Q$thumbprint\E/(\d+)$} or die "bad origin: $origin";
	return {note => $note, size => $size, root => decode_base64($root), generation => $generation};
}
sub newest { return checkpoint($t->request('-', GET => '/v1/log/directory/checkpoint', @_)->{body}); }

sub entries_tile
{
	my ($index, $width, @options) = @_;
	my $path = sprintf('/v1/log/directory/tile/entries/%03d', $index) . ($width < 256 ? ".p/$width" : '');
	my $response = $t->request('-', GET => $path, @options);
	die "$path: $response->{status}" if $response->{status} != 200;
	return unpack "(n/a)$width", $response->{body};
}

# All leaves below a checkpoint; dies when they are not what it promises.
sub leaves
{
	my ($checkpoint, @options) = @_;
	my @leaves;
	for (my $at = 0; $at < $checkpoint->{size}; $at += 256)
	{
		my $width = $checkpoint->{size} - $at;
		push @leaves, entries_tile($at / 256, $width > 256 ? 256 : $width, @options);
	}
	die "not the tree that was promised" if tree_root(map { leaf_hash($_) } @leaves) ne $checkpoint->{root};
	return @leaves;
}

sub subject { return substr $_[0], 1, 32; }
sub leaves_of { my ($node, @leaves) = @_; return grep { subject($_) eq sha256($node->{id}) } @leaves; }
sub soon { my ($condition, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; ok(HdmsTest::wait_until(sub { eval { $condition->() } }), $name) or diag $@; }
sub logged { my ($node, $count) = @_; return sub { leaves_of($node, leaves(newest())) == $count }; }
sub history { my ($node) = @_; return @{$t->request($node, GET => "/v1/nodes/$node->{id}")->{json}{history}}; }

# What becomes a leaf.
my $first = newest();
is(scalar leaves($first), $first->{size}, 'a new network has a signed log');
my $h = $t->institution('Hospital');
my @leaves = leaves(newest());
my ($keys, $admission) = leaves_of($h, @leaves);
is(scalar leaves_of($h, @leaves), 2, 'an admission puts the institution\'s keys and the admission into the log before it returns');
my ($entry) = history($h);
is($keys, pack('C a32 N a32', 0, sha256($h->{id}), 0, sha256($entry =~ s/\.[^.]*\z//r)), 'the leaf of an entry has the form that is documented');
is(unpack('C', $admission), 1, 'so has the one of an admission');
my $waiting = $t->node('Stranger');
$t->register($waiting);
my $p = $t->person($h);
soon(logged($p, 1), 'a person\'s node gets in');
is(scalar leaves_of($waiting, leaves(newest())), 0, 'who waits to be admitted does not');
HdmsTest::client('rotate', $p->{dir});
is($t->register($p)->{status}, 200, 'a new key is registered');
soon(logged($p, 2), 'and logged');
is($t->register($p)->{status}, 200, 'the same again');
$t->person($h);
soon(sub { newest()->{size} >= 5 }, 'with what comes after it');
is(scalar leaves_of($p, leaves(newest())), 2, 'it is no second leaf');

# The directory's answer proves that the newest entry is in the log.
my $answer = $t->request($p, GET => "/v1/nodes/$p->{id}")->{json};
my $named = checkpoint($answer->{log}{checkpoint});
@leaves = leaves($named);
is(proof_root($answer->{log}{index}, $named->{size}, leaf_hash($leaves[$answer->{log}{index}]), map { decode_base64url($_) } @{$answer->{log}{proof}}), $named->{root},
	'the proof in the answer about a node leads to the root');
is((leaves_of($p, @leaves))[-1], $leaves[$answer->{log}{index}], 'from the newest entry');

# What is no tile.
for my $path (qw(tile/0/000.p/0 tile/0/000.p/256 tile/0/00 tile/0/0000 tile/entries/x000/000 tile/07/000 tile/9/000 tile/0/001 tile/entries/001 tile/8/000 tile/1/000.p/1 tile/), 'tile/0/000.p/200')
{
	is($t->request('-', GET => "/v1/log/directory/$path")->{status}, 404, "$path is none");
}
is($t->request('-', GET => '/v1/log/directory/tile/0/000.p/1?generation=' . ($named->{generation} + 1))->{status}, 404, 'nor is one of another generation');
is($t->request('-', GET => '/v1/log/directory/tile/0/000.p/1?generation=' . $named->{generation})->{body}, leaf_hash($leaves[0]), 'one of this is');
unlike($t->request('-', GET => '/v1/log/directory/tile/0/000.p/1')->{head}, qr/immutable/, 'a partial tile is not to be kept for ever');
like($t->request('-', POST => '/v1/log/directory/checkpoint', text => $named->{note} =~ s/\n\d+\n/\n7\n/r, type => 'text/plain')->{body}, qr/bad-signature/, 'an altered checkpoint is not looked at');

# Two processes, many nodes, one of the processes killed again and again.
my $before = newest();
my @nodes;
for my $round (1 .. 8)
{
	my @later;
	for my $i (1 .. 32)
	{
		my $node = $t->node('person');
		my $body = HdmsTest::client('registration', $node->{dir}, 'voucher=' . HdmsTest::client('voucher', $h->{dir}));
		push @nodes, $node;
		$node->{body} = $body;
		push @later, [$node, $t->request_later($node, POST => '/v1/nodes', text => $body, $i % 2 ? @there : ())];
	}
	if ($round % 3 == 0)
	{
		kill 'KILL', $second->{pid};
		$t->wait_server($second);
		$second = $t->start_server(public_url => $t->{url});
		@there = (url => $second->{url}, authority => $t->{url} =~ s{.*//}{}r);
	}
	$_->[0]{status} = $_->[1]->()->{status} for @later;
	$_->[0]{status} =~ /^20[01]$/ or $t->request($_->[0], POST => '/v1/nodes', text => $_->[0]{body}) for @later;
}
soon(sub { newest()->{size} >= $before->{size} + @nodes }, 'all that registered gets into the log, though a process was killed meanwhile');
my $after = newest();
@leaves = leaves($after);
my %count;
$count{subject($_)}++ for @leaves;
is_deeply([grep { ($count{sha256($_->{id})} // 0) != 1 } @nodes], [], 'each node once');
is_deeply([map { $_->{root} eq tree_root(map { leaf_hash($_) } @leaves[0 .. $_->{size} - 1]) ? () : $_->{size} } $first, $named, $before], [], 'every earlier checkpoint is a beginning of the tree');
is(newest(@there)->{root}, newest()->{root}, 'both processes tell the same');
my $full = $t->request('-', GET => '/v1/log/directory/tile/0/000');
is($full->{body}, join('', map { leaf_hash($_) } @leaves[0 .. 255]), 'a full tile has the hashes of 256 leaves');
like($t->request('-', GET => "/v1/log/directory/tile/0/000?generation=$after->{generation}")->{head}, qr/^cache-control: public, max-age=31536000, immutable/mi, 'and is to be kept for ever where the generation was named');
is($t->request('-', GET => '/v1/log/directory/tile/1/000.p/1')->{body}, tree_root(map { leaf_hash($_) } @leaves[0 .. 255]), 'the tile above it has its root');
is(join('', entries_tile(0, 17)), join('', @leaves[0 .. 16]), 'the beginning of a full bundle can be asked for, too');
$answer = $t->request($h, GET => "/v1/nodes/$nodes[3]{id}")->{json};
$named = checkpoint($answer->{log}{checkpoint});
is(proof_root($answer->{log}{index}, $named->{size}, leaf_hash($leaves[$answer->{log}{index}]), map { decode_base64url($_) } @{$answer->{log}{proof}}), $named->{root}, 'proofs go through several tiles');

# The database is put back from a backup.
$t->psql("CREATE TABLE old_$_ AS SELECT * FROM hdms_server.$_") for qw(log_checkpoints log_tiles nodes);
my $late = $t->person($h);
soon(logged($late, 1), 'a node registers after a backup was made');
my $seen = newest();
$t->psql("BEGIN; TRUNCATE hdms_server.log_checkpoints, hdms_server.log_tiles, hdms_server.nodes; INSERT INTO hdms_server.log_checkpoints SELECT * FROM old_log_checkpoints;"
	. ' INSERT INTO hdms_server.log_tiles SELECT * FROM old_log_tiles; INSERT INTO hdms_server.nodes SELECT * FROM old_nodes; COMMIT');
is(newest()->{size}, $after->{size}, 'which is put back');
is($t->request('-', POST => '/v1/log/directory/checkpoint', text => $after->{note}, type => 'text/plain')->{status}, 202, 'a checkpoint from before the backup is shown');
my $other = $t->person($h);
soon(logged($other, 1), 'and the log goes on');
is(newest()->{generation}, $after->{generation}, 'in the same generation, as nobody can know what is missing');
is($t->request('-', POST => '/v1/log/directory/checkpoint', text => $seen->{note}, type => 'text/plain')->{status}, 202, 'until somebody shows what was seen of it');
soon(sub { newest()->{generation} > $seen->{generation} }, 'then a new generation begins');
soon(logged($other, 1), 'with all that the directory has');
is(scalar leaves_of($h, leaves(newest())), 2, 'from the beginning');
like($t->logs, qr/"directory_log_restarted"/, 'and the log of the server says so');
is($t->request('-', POST => '/v1/log/directory/checkpoint', text => $seen->{note}, type => 'text/plain')->{status}, 202, 'the old one again');
my $now = newest();
$late = $t->person($h);
soon(logged($late, 1), 'later nodes come in');
is(newest()->{generation}, $now->{generation}, 'without another generation');

# Somebody changes the log's tables by hand.
$now = newest();
$t->psql("UPDATE hdms_server.log_tiles SET data = sha256('x') || substr(data, 33) WHERE log = 'directory' AND level = 0 AND index = (SELECT max(index) FROM hdms_server.log_tiles WHERE log = 'directory' AND level = 0)");
$late = $t->person($h);
soon(logged($late, 1), 'a log that was changed by hand is given up');
cmp_ok(newest()->{generation}, '>', $now->{generation}, 'rather than continued in a way that contradicts what was signed');

# The database is lost.
$now = newest();
$t->psql('TRUNCATE hdms_server.log_checkpoints, hdms_server.log_tiles, hdms_server.nodes');
soon(sub { newest()->{size} == 0 }, 'a lost database begins with an empty log');
cmp_ok(newest()->{generation}, '>', $now->{generation}, 'in a later generation');
done_testing;
