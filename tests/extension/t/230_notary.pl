# The notary: a tag is used once, the log is the tree that RFC 6962 says, and a damaged log falls silent.
use strict;
use warnings;
use Test::More;
use Digest::SHA qw(sha256);
use FindBin;
use MIME::Base64 qw(decode_base64);
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($south) = $net->hospitals(['south', notary => 1]);

# An institution and a patient of its own, both puppets.
my $mallory = Puppet->new;
$mallory->do('join', server => $net->{url}, name => 'Mallory Clinic');
$net->admit($mallory->{node});
my $patient = newcomer();

sub newcomer
{
	my $puppet = Puppet->new;
	$puppet->do('join', server => $net->{url}, voucher => $mallory->do('voucher')->{voucher});
	return $puppet;
}

sub first_version { return $mallory->do('state', sub => $patient->{node}, content => '{"a": 1}', @_); }
sub next_version { my ($before, %more) = @_; return $mallory->do('state', sub => $patient->{node}, content => '{"a": 2}', record => $before->{record},
	version => 2, prev => $before->{vk}, %more); }
sub entries { return $south->sql('SELECT count(*) FROM hdms_internal.log_entries'); }
sub agree { my ($state, %more) = @_; return $patient->do('accept', state => $state->{state}, commit => $state->{commit}, %more); }

# The code of the refusal of a request.
sub refusal
{
	my ($puppet, $body) = @_;
	my $sent = $puppet->send($south->{node}, 'notarise', $body);
	return $puppet->wait_message('refused', re => $sent->{jti})->{body};
}

# RFC 6962, 2.1.
sub tree_hash
{
	my @level = map { sha256("\0" . $_) } @_;
	return sha256('') unless @level;
	while (@level > 1)
	{
		my @above;
		while (my ($left, $right) = splice @level, 0, 2)
		{
			push @above, defined $right ? sha256("\1" . $left . $right) : $left;
		}
		@level = @above;
	}
	return $level[0];
}

sub check_tree
{
	my ($what) = @_;
	my @leaves = map { pack 'H*', $_ } split /\n/, $south->sql("SELECT encode(leaf, 'hex') FROM hdms_internal.log_entries ORDER BY index");
	my ($note) = $south->sql('SELECT note FROM hdms_internal.log_checkpoints ORDER BY size DESC LIMIT 1');
	my (undef, $size, $root) = split /\n/, $note;
	is($size, scalar(@leaves), "$what: the newest checkpoint covers all entries");
	is(unpack('H*', decode_base64($root)), unpack('H*', tree_hash(@leaves)), "$what: its root is the one of RFC 6962");
}

my $v1 = first_version();
my $first = $patient->notarise(agree($v1));

subtest 'a request' => sub {
	my $receipt = $patient->do('check_receipt', receipt => $first->{receipt}, notary => $south->{node}, request => $first->{request});
	is_deeply([@$receipt{qw(index size same_request same_tag)}], [0, 1, JSON::PP::true, JSON::PP::true], 'gets a receipt for itself');
	my $again = $patient->notarise({%$first});
	is($patient->do('check_receipt', receipt => $again->{receipt}, notary => $south->{node})->{index}, 0, 'again: the same entry');
	is(entries(), '1', 'it is in the log once');
};

subtest 'two successors of one version' => sub {
	my $one = agree(next_version($v1), prev_request => $first->{request});
	my $two = agree(next_version($v1), prev_request => $first->{request});
	my %before = (prev_request => $first->{request}, prev_receipt => $first->{receipt});
	$patient->notarise($one, request => $first->{request}, receipt => $first->{receipt});
	my $refused = refusal($patient, {request => $two->{request}, %before});
	is($refused->{code}, 'conflict', 'the second is refused');
	my $proof = $patient->do('check_receipt', receipt => $refused->{receipt}, notary => $south->{node}, request => $two->{request});
	ok($proof->{same_tag} && !$proof->{same_request}, 'with proof that the tag is another request\'s');
	ok($patient->do('check_receipt', receipt => $refused->{receipt}, notary => $south->{node}, request => $one->{request})->{same_request}, 'namely the first\'s');
	is(entries(), '2', 'only one is in the log');
};

subtest 'two successors at the same moment' => sub {
	my $base_state = first_version();
	my $base = $patient->notarise(agree($base_state));
	my @rivals = map { agree(next_version($base_state), prev_request => $base->{request}) } 1 .. 2;
	$pg->configure("hdms.databases = ''\n");
	$pg->reload;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'south'", '0');
	my @sent = map { $patient->send($south->{node}, 'notarise', {request => $_->{request}, prev_request => $base->{request}, prev_receipt => $base->{receipt}}) } @rivals;
	$pg->configure("hdms.databases = 'south'\n");
	$pg->reload;
	my $receipt = $patient->wait_message('receipt', re => $sent[0]{jti})->{body}{receipt};
	my $refused = $patient->wait_message('refused', re => $sent[1]{jti})->{body};
	is($refused->{code}, 'conflict', 'the second is refused');
	ok($patient->do('check_receipt', receipt => $refused->{receipt}, notary => $south->{node}, request => $rivals[0]{request})->{same_request}, 'with the first\'s receipt');
	is(entries(), '4', 'only one is in the log');
};

subtest 'what a notary refuses' => sub {
	my $size = entries();
	my $good = agree(first_version());
	my $other = newcomer();
	is(refusal($other, {request => $good->{request}})->{code}, 'wrong-sender', 'a request that another node signed');
	my $late = agree(first_version(accept_until => time - 10));
	is(refusal($patient, {request => $late->{request}})->{code}, 'too-late', 'a request after its end');
	my $orphan = first_version();
	my $orphan_accepted = agree($orphan);
	my $child = agree(next_version($orphan), prev_request => $orphan_accepted->{request});
	is(refusal($patient, {request => $child->{request}, prev_request => $orphan_accepted->{request}, prev_receipt => $first->{receipt}})->{code}, 'unknown-predecessor', 'a predecessor that is not in the log');
	is(refusal($patient, {request => $child->{request}})->{code}, 'unknown-predecessor', 'or that does not come along');
	my $after_v1 = agree(next_version($orphan), prev_request => $orphan_accepted->{request});
	is(refusal($patient, {request => $after_v1->{request}, prev_request => $first->{request}, prev_receipt => $first->{receipt}})->{code}, 'unknown-predecessor', 'or that is another one');

	(my $broken = $good->{request}) =~ s/.$/substr($good->{request}, -1) eq 'A' ? 'Q' : 'A'/e;
	my $code = refusal($patient, {request => $broken})->{code};
	ok($code eq 'bad-signature' || $code eq 'bad-encoding', "an altered request ($code)");
	my $skip = $patient->do('skip', sub => $patient->{node}, vk => $good->{vk}, notary => $south->{node});
	is($patient->try('accept', state => $v1->{state}, commit => $v1->{commit}, skips => [$skip->{skip}])->{ok}, JSON::PP::true, 'a skip for another version does not move the draw');
	is(entries(), $size, 'none of them is in the log');
};

subtest 'an issuer that was never admitted' => sub {
	my $stranger = Puppet->new;
	$stranger->do('join', server => $net->{url}, name => 'Stranger');
	my $size = entries();
	my $state = $stranger->do('state', sub => $patient->{node}, content => '{"a": 1}', history => $patient->do('history')->{history});
	my $sent = $patient->send($south->{node}, 'notarise', {request => agree($state)->{request}});
	$south->wait_for("SELECT count(*) FROM hdms_internal.lookups WHERE subject = 'node:$stranger->{node}' AND attempts > 0", '1');
	is($south->sql("SELECT problem FROM hdms_internal.inbox WHERE transport = '$sent->{id}'"), "the issuer $stranger->{node}", 'is looked for');
	is(entries(), $size, 'and has nothing notarised');
};

subtest 'many entries' => sub {
	my @accepted = map { agree(first_version()) } 1 .. 300;

	# They are all there when the notary looks, so that it takes many at a time.
	$pg->configure("hdms.databases = '" . join(', ', grep { $_ ne 'south' } @{$pg->{databases}}) . "'\n");
	$pg->reload;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'south' AND application_name = 'hdms worker'", '0');
	my %jti = map { $patient->send($south->{node}, 'notarise', {request => $_->{request}})->{jti} => $_ } @accepted;
	$pg->configure("hdms.databases = '" . join(', ', @{$pg->{databases}}) . "'\n");
	$pg->reload;
	my $good = 0;
	for my $jti (keys %jti)
	{
		my $receipt = $patient->wait_message('receipt', re => $jti)->{body}{receipt};
		$good++ if $patient->do('check_receipt', receipt => $receipt, notary => $south->{node}, request => $jti{$jti}{request})->{same_request};
	}
	is($good, 300, 'each get their own receipt');
	check_tree('300 more');
	is($south->sql('SELECT count(*) < 300 FROM hdms_internal.log_checkpoints'), 't', 'with fewer checkpoints than requests');
};

subtest 'a crash between entries and checkpoint' => sub {
	# The state that it leaves: entries without tiles.
	$pg->configure("hdms.databases = ''\n");
	$pg->reload;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'south'", '0');
	$south->sql("INSERT INTO hdms_internal.log_entries (index, leaf, tag, request_digest, request)
		SELECT i, sha256(i::text::bytea) || sha256(('b' || i)::bytea) || '\\x0000000000000000', sha256(('t' || i)::bytea), sha256(('r' || i)::bytea), ''
		FROM generate_series((SELECT max(index) + 1 FROM hdms_internal.log_entries), 70000) i");
	$pg->configure("hdms.databases = 'south'\n");
	$pg->reload;
	my $new = $patient->notarise(agree(first_version()));
	is($patient->do('check_receipt', receipt => $new->{receipt}, notary => $south->{node}, request => $new->{request})->{index}, 70001, 'loses none of them');
	check_tree('70002 entries');
	my $old = $patient->notarise({%$first});
	my $receipt = $patient->do('check_receipt', receipt => $old->{receipt}, notary => $south->{node}, request => $first->{request});
	is_deeply([@$receipt{qw(index size)}], [0, 70002], 'the first entry gets a receipt against the newest checkpoint');
	is($south->sql("SELECT string_agg(level || ':' || n, ' ' ORDER BY level) FROM (SELECT level, count(*) n FROM hdms_internal.log_tiles GROUP BY level) t"),
		'0:274 1:2 2:1', 'the tiles are those of the whole tree');
};

subtest 'a log that was cut' => sub {
	my $checkpoints = $south->sql('SELECT count(*) FROM hdms_internal.log_checkpoints');
	$south->sql('CREATE TABLE saved AS SELECT * FROM hdms_internal.log_entries WHERE index = 70001');
	$south->sql('DELETE FROM hdms_internal.log_entries WHERE index = 70001');
	$pg->configure("hdms.databases = ''\n");
	$pg->reload;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'south'", '0');
	$pg->configure("hdms.databases = 'south'\n");
	$pg->reload;
	my $sent = $patient->send($south->{node}, 'notarise', {request => agree(first_version())->{request}});
	$south->wait_for("SELECT problem FROM hdms_internal.inbox WHERE transport = '$sent->{id}'",
		"the notary's log is damaged: it is shorter than a checkpoint that was signed");
	pass('answers nobody');
	is($south->sql('SELECT count(*) FROM hdms_internal.log_checkpoints'), $checkpoints, 'and signs nothing');
	$south->sql('INSERT INTO hdms_internal.log_entries SELECT * FROM saved');
	ok($patient->wait_message('receipt', re => $sent->{jti}), 'and works again when it is whole');
	check_tree('after that');
};

subtest 'a log whose tiles were altered' => sub {
	$pg->configure("hdms.databases = ''\n");
	$pg->reload;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'south'", '0');
	my $checkpoints = $south->sql('SELECT count(*) FROM hdms_internal.log_checkpoints');
	$south->sql('UPDATE hdms_internal.log_tiles SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE level = 2');
	$pg->configure("hdms.databases = 'south'\n");
	$pg->reload;
	my $sent = $patient->send($south->{node}, 'notarise', {request => agree(first_version())->{request}});
	$south->wait_for("SELECT problem FROM hdms_internal.inbox WHERE transport = '$sent->{id}'",
		"the notary's log is damaged: its tree is not the one of the newest checkpoint");
	is($south->sql('SELECT count(*) FROM hdms_internal.log_checkpoints'), $checkpoints, 'signs nothing');
};
done_testing;
