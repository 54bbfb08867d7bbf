# An institution, a notary and a stranger that are puppets, against a real device: it takes nothing that it cannot prove to others.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my $south = $net->hospital('south', notary => 1);
my ($clinic, $rival) = map {
	my $puppet = Puppet->new;
	$puppet->do('join', server => $net->{url}, name => "Clinic $_");
	$net->admit($puppet->{node});
	$puppet;
} 1 .. 2;
my $person = Puppet->new;
$person->do('join', server => $net->{url}, voucher => $clinic->do('voucher')->{voucher});

my $device = $net->device('alice', conf => "notary_patience = 1h\npair_timeout = 1s\n");
my $voucher = $clinic->do('voucher');
# The command gives up waiting for an answer; the service goes on with it.
$device->try_cmd('pair', $clinic->do('invite', voucher => $voucher->{voucher}, jti => $voucher->{jti}, network => $net->{fingerprint})->{uri});
$device->start;
my $pair = $clinic->wait_message('pair');
my $alice = $pair->{iss};
my %member = (name => 'Clinic 1', confirm => JSON::PP::false);

sub pairing_status { return $device->json('status')->{pairings}[0]{status}; }
sub records { return {map { $_->{record} . ' ' . $_->{version} => $_->{status} } @{$device->json('records', '--all')}}; }

# A record that is refused: when the answer is here, everything that was put before has been dealt with.
sub fence
{
	my $state = $clinic->do('state', sub => $person->{node}, content => '{"fence": true}');
	my $sent = $clinic->send($alice, 'record', {state => $state->{state}, commit => $state->{commit}});
	return $clinic->wait_message('refused', re => $sent->{jti});
}

subtest 'pairing' => sub {
	$rival->send($alice, 'paired', {%member, membership => $rival->do('voucher', sub => $alice)->{voucher}}, re => $pair->{jti});
	$clinic->send($alice, 'paired', {%member, membership => $rival->do('voucher', sub => $alice)->{voucher}}, re => $pair->{jti});
	$clinic->send($alice, 'paired', {%member, membership => $clinic->do('voucher', sub => $person->{node})->{voucher}}, re => $pair->{jti});
	$rival->send($alice, 'pair_refused', {code => 'used', detail => 'no'}, re => $pair->{jti});
	fence();
	is(pairing_status(), 'sent', 'is not ended by strangers, nor by a membership that is none');
	my $sent = $clinic->send($alice, 'paired', {%member, membership => $clinic->do('voucher', sub => $alice)->{voucher}}, re => $pair->{jti});
	$clinic->wait_message('ack');
	is(pairing_status(), 'paired', 'is by the institution\'s own');
};
$device->cmd('policy', 'Clinic 1', 'accept');

my $good = $clinic->do('state', sub => $alice, content => '{"good": 1}');
my $second = $clinic->do('state', sub => $alice, content => '{"good": 2}');
my $stranger_history = $person->do('history')->{history};
my %body = (state => $good->{state}, commit => $good->{commit});

subtest 'records that are not right' => sub {
	my $foreign = $rival->do('state', sub => $alice, content => '{"by": "another"}');
	my $other_person = $clinic->do('state', sub => $person->{node}, content => '{"for": "another"}');
	my $other_vrf = $clinic->do('state', sub => $alice, content => '{"vrf": "another"}', history => $stranger_history);
	my $late = $clinic->do('state', sub => $alice, content => '{"late": 1}', accept_until => time - 5);
	my @parts = split /~/, $good->{state}, -1;
	my @more = split /~/, $second->{state}, -1;
	my @rows = (
		['signed by another institution', qr/^(unknown-key|bad-signature|wrong-sender)$/, $foreign->{state}, $foreign->{commit}],
		['for another person', qr/^wrong-receiver$/, $other_person->{state}, $other_person->{commit}],
		['with the commit of another', qr/^(digest-mismatch|bad-chain)$/, $good->{state}, $second->{commit}],
		['with a commit by another institution', qr/^(unknown-key|bad-signature|digest-mismatch|wrong-)/, $good->{state}, $foreign->{commit}],
		['that binds another VRF key', qr/^bad-key$/, $other_vrf->{state}, $other_vrf->{commit}],
		['whose time is over', qr/^too-late$/, $late->{state}, $late->{commit}],
		['without its content', qr/^(digest-mismatch|bad-)/, "$parts[0]~", $good->{commit}],
		['with the content of another', qr/^(digest-mismatch|bad-)/, join('~', $parts[0], $more[1], ''), $good->{commit}],
		['with its content twice', qr/^(digest-mismatch|bad-)/, join('~', @parts[0, 1, 1], ''), $good->{commit}],
		['with an altered signature', qr/^bad-/, do { my $s = $parts[0]; substr($s, -10, 1) =~ tr/A-Za-z/B-ZAb-za/ or substr($s, -10, 1) = 'A'; join '~', $s, @parts[1 .. $#parts] }, $good->{commit}],
		['that is no state', qr/^bad-/, 'x~', $good->{commit}],
	);
	for my $row (@rows)
	{
		my ($what, $code, $state, $commit) = @$row;
		my $sent = $clinic->send($alice, 'record', {state => $state, commit => $commit});
		like($clinic->wait_message('refused', re => $sent->{jti})->{body}{code}, $code, $what);
	}
	is_deeply(records(), {}, 'none of them is on the device');
};

subtest 'record messages that are not right' => sub {
	my $before = $device->json('status')->{refused_messages};
	my %wrong = (
		'sealed to another node' => [seal_to => $south->{node}],
		'addressed to another node' => [aud => $south->{node}],
		'signed with a key that is nobody\'s' => [strange_key => JSON::PP::true],
		'past its end' => [iat => time - 7200, exp => time - 3600],
	);
	$clinic->send($alice, 'record', \%body, @{$wrong{$_}}) for sort keys %wrong;
	my $sealed = $clinic->do('seal', to => $alice, type => 'record', body => \%body);
	for my $part (0 .. 4)
	{
		my @parts = split /\./, $sealed->{envelope}, -1;
		substr($parts[$part], int(length($parts[$part]) / 2), 1) =~ tr/A-Za-z0-9_-/B-Za-z0-9_A-/;
		$clinic->do('put', to => $alice, envelope => join('.', @parts));
	}
	$rival->send($alice, 'record', \%body);
	$rival->send($alice, 'record', \%body, iss => $clinic->{node});
	$person->send($alice, 'record', \%body);
	$clinic->send($alice, 'record', {state => 'x'});
	$clinic->send($alice, 'record', '{"state": "a", "state": "b"}');
	$clinic->send($alice, $_, {vk => $good->{vk}}) for qw(nonsense probe accepted);
	fence();
	is_deeply(records(), {}, 'none of them has brought a record');
	cmp_ok($device->json('status')->{refused_messages}, '>=', $before + 9, 'and they are counted');
};

# From here on the notary does not answer, so that the version stays where it is.
$pg->configure("hdms.databases = ''\n");
$pg->reload;
$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hdms worker'", '0');
my $record = $clinic->send($alice, 'record', \%body);
wait_until('the device to ask the notary', sub { (records()->{"$good->{record} 1"} // '') eq 'notarising' });

subtest 'while the notary is silent' => sub {
	$clinic->send($alice, 'committed', {vk => $good->{vk}});
	$rival->send($alice, 'committed', {vk => $good->{vk}});
	$rival->send($alice, 'withdrawn', {vk => $good->{vk}, code => 'expired'});
	$person->send($alice, 'withdrawn', {vk => $good->{vk}, code => 'expired'});
	my $hers = $clinic->do('state', sub => $person->{node}, content => '{"hers": 1}');
	my $mine = $person->do('accept', state => $hers->{state}, commit => $hers->{commit});
	$clinic->send($alice, 'receipt', {receipt => $clinic->do('receipt', request => $mine->{request})->{receipt}});
	$clinic->send($alice, 'receipt', {receipt => $clinic->do('receipt', request => $mine->{request}, origin => $south->{node})->{receipt}});
	$rival->send($alice, 'receipt', {receipt => $rival->do('receipt', request => $mine->{request}, origin => $south->{node})->{receipt}});
	$rival->send($alice, 'skip', {vk => $good->{vk}, skip => $rival->do('skip', sub => $alice, vk => $good->{vk}, notary => $south->{node})->{skip}});
	$clinic->send($alice, 'skip', {vk => $good->{vk}, skip => $rival->do('skip', sub => $alice, vk => $good->{vk}, notary => $south->{node})->{skip}});
	$clinic->send($alice, 'refused', {code => 'too-late', detail => 'no'});
	$rival->send($alice, 'alive', {vk => $good->{vk}, notary => $south->{node}});
	fence();
	is(records()->{"$good->{record} 1"}, 'notarising', 'nobody else can end, confirm or redirect it');
	my $again = $clinic->send($alice, 'record', \%body);
	fence();
	is_deeply(records(), {"$good->{record} 1" => 'notarising'}, 'the same record again changes nothing');
};

$pg->configure("hdms.databases = 'south'\n");
$pg->reload;
my $accepted = $clinic->wait_message('accepted');
subtest 'evidence' => sub {
	is($accepted->{body}{vk}, $good->{vk}, 'comes when the notary has answered');
	$rival->send($alice, 'committed', {vk => $good->{vk}}, re => $accepted->{jti});
	$clinic->send($alice, 'committed', {vk => $second->{vk}}, re => $accepted->{jti});
	fence();
	is(records()->{"$good->{record} 1"}, 'notarised', 'a confirmation by another, or of another version, does not make it final');
	my $committed = $clinic->send($alice, 'committed', {vk => $good->{vk}}, re => $accepted->{jti});
	wait_until('the version to be final', sub { records()->{"$good->{record} 1"} eq 'final' });
	$clinic->send($alice, 'withdrawn', {vk => $good->{vk}, code => 'expired'});
	$clinic->do('put', to => $alice, envelope => $committed->{envelope});
	fence();
	is(records()->{"$good->{record} 1"}, 'final', 'and then nothing undoes it');
};

subtest 'successors' => sub {
	my $rewritten = $clinic->do('state', sub => $alice, content => '{"rewritten": true}', record => $good->{record});
	my $sent = $clinic->send($alice, 'record', {state => $rewritten->{state}, commit => $rewritten->{commit}});
	is($clinic->wait_message('refused', re => $sent->{jti})->{body}{code}, 'bad-chain', 'a second first version of a final record is refused');
	my $skipping = $clinic->do('state', sub => $alice, content => '{"v": 3}', record => $good->{record}, version => 3, prev => $good->{vk});
	$sent = $clinic->send($alice, 'record', {state => $skipping->{state}, commit => $skipping->{commit}});
	is($clinic->wait_message('refused', re => $sent->{jti})->{body}{code}, 'bad-chain', 'so is one that leaves a number out');
	my $of_another = $clinic->do('state', sub => $alice, content => '{"v": 2}', version => 2, prev => $good->{vk});
	$sent = $clinic->send($alice, 'record', {state => $of_another->{state}, commit => $of_another->{commit}});
	is($clinic->wait_message('refused', re => $sent->{jti})->{body}{code}, 'bad-chain', 'and one of another record');
	my $next = $clinic->do('state', sub => $alice, content => '{"v": 2}', record => $good->{record}, version => 2, prev => $good->{vk});
	my $fork = $clinic->do('state', sub => $alice, content => '{"v": "two"}', record => $good->{record}, version => 2, prev => $good->{vk});
	$clinic->send($alice, 'record', {state => $next->{state}, commit => $next->{commit}});
	my $evidence = $clinic->wait_message('accepted', vk => $next->{vk});
	$clinic->send($alice, 'committed', {vk => $next->{vk}}, re => $evidence->{jti});
	wait_until('the successor to be final', sub { (records()->{"$good->{record} 2"} // '') eq 'final' });
	$sent = $clinic->send($alice, 'record', {state => $fork->{state}, commit => $fork->{commit}});
	is($clinic->wait_message('refused', re => $sent->{jti})->{body}{code}, 'bad-chain', 'a fork of the past is refused');
	is($south->sql('SELECT count(*) FROM hdms_internal.log_entries'), '2', 'and never reaches the notary');
};
my ($status) = $device->try_cmd('verify', $good->{record});
is($status, 0, 'what the device has verifies');
is($device->json('status')->{quarantined}, 0, 'nothing took it by surprise');
done_testing;
