# Every type of message that a hospital takes, each manipulated in every way: nothing happens, and the reason is written down.
# Then the right message does what it should, and doubled, sealed anew or sent to somebody else it does nothing more.
use strict;
use warnings;
use Test::More;
use Digest::SHA qw(sha256_base64);
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my ($n, $s) = ($north->{node}, $south->{node});
my $clinic = Puppet->new;
$clinic->do('join', server => $net->{url}, name => 'Clinic');
$net->admit($clinic->{node});
my $accomplice = Puppet->new;
$accomplice->do('join', server => $net->{url}, name => 'Accomplice');
$net->admit($accomplice->{node});
my $stranger = Puppet->new;
$stranger->pair($north->invite('stranger'));

# What must not change when something is refused.
my $state_sql = "SELECT md5(concat(
	(SELECT string_agg(concat(id, status, version, vk, reason, notary), ',' ORDER BY id) FROM hdms_internal.versions),
	(SELECT string_agg(concat(patient_ref, status, node_id), ',' ORDER BY patient_ref) FROM hdms_internal.patients WHERE patient_ref <> 'stranger'),
	(SELECT string_agg(concat(record, committed), ',' ORDER BY record) FROM hdms_internal.records),
	(SELECT count(*) FROM hdms_internal.log_entries),
	(SELECT count(*) FROM hdms_internal.probes),
	(SELECT count(*) FROM hdms_internal.quarantined_view)))";
$state_sql =~ s/hdms_internal\.quarantined_view/hdms_internal.inbox WHERE status = 'quarantined'/;
sub snapshot { return join ' ', map { $_->sql($state_sql) } $north, $south; }
sub hospital_of { return $_[0] eq $n ? $north : $south; }

# Changes one bit of a part of a compact JWE.
sub alter
{
	my ($envelope, $part) = @_;
	my @parts = split /\./, $envelope, -1;
	my $at = int(length($parts[$part]) / 2);
	my $alphabet = join '', 'A' .. 'Z', 'a' .. 'z', '0' .. '9', '-', '_';
	my $value = index $alphabet, substr($parts[$part], $at, 1);
	substr($parts[$part], $at, 1) = substr($alphabet, $value ^ 1, 1);
	return join '.', @parts;
}

# Waits until a hospital has dealt with everything that was put before.
sub fence
{
	my ($to) = @_;
	my $sent = $stranger->send($to, 'silent', {vk => 'A' x 43, notary => 'A' x 43});
	$stranger->wait_message('refused', re => $sent->{jti});
}

sub refused
{
	my ($to, $envelope_id, $reason, $what) = @_;
	my $hospital = hospital_of($to);
	my $found = eval { $hospital->wait_for("SELECT count(*) > 0 FROM hdms_internal.refusals WHERE transport = '$envelope_id'", 't', 20) };
	my $got = $found ? $hospital->sql("SELECT reason FROM hdms_internal.refusals WHERE transport = '$envelope_id' ORDER BY id LIMIT 1")
		: 'waits: ' . $hospital->sql("SELECT concat(status, ' ', problem) FROM hdms_internal.inbox WHERE transport = '$envelope_id'");
	like($got, $reason, $what);
}

# A new patient with a record that was delivered to it.
my $serial = 0;
sub patient_with_record
{
	my $puppet = Puppet->new;
	my $ref = 'P' . ++$serial;
	$puppet->pair($north->invite($ref));
	my $record = $north->issue($ref, "{\"n\": $serial}");
	my $message = $puppet->wait_message('record');
	return {puppet => $puppet, record => $record, message => $message,
		accepted => $puppet->do('accept', state => $message->{body}{state}, commit => $message->{body}{commit}),
		status => "SELECT status FROM hdms.records WHERE record = '$record'"};
}

# One row for each type: how the right message is made, and what it brings about.
my @types = (
	{
		type => 'pair', to => $n,
		make => sub {
			my $puppet = Puppet->new;
			$puppet->do('pair', uri => $north->invite('new'));
			return {puppet => $puppet, body => $puppet->do('pair_body')->{body}};
		},
		effect => sub { $north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'new'", 'paired') },
	},
	{
		type => 'ack', to => $n,
		make => sub { my $p = patient_with_record(); return {%$p, body => {acks => [$p->{message}{jti}]}}; },
		effect => sub { $north->wait_for($_[0]{status}, 'delivered') },
		others => qr/^$/,			# somebody else's ack answers nothing, and is no offence
	},
	{
		type => 'rejected', to => $n,
		make => sub {
			my $p = patient_with_record();
			my $rejection = $p->{puppet}->do('reject', vk => $p->{accepted}{vk}, aud => $n, reason => 'no')->{rejection};
			return {%$p, body => {vk => $p->{accepted}{vk}, rejection => $rejection}, re => $p->{message}{jti}};
		},
		effect => sub { $north->wait_for($_[0]{status}, 'rejected') },
	},
	{
		type => 'accepted', to => $n,
		make => sub {
			my $p = patient_with_record();
			$p->{puppet}->notarise($p->{accepted});
			return {%$p, body => Puppet::evidence($p->{accepted}), re => $p->{message}{jti}};
		},
		effect => sub { $north->wait_for($_[0]{status}, 'committed') },
	},
	{
		type => 'refused', to => $n,
		make => sub { my $p = patient_with_record(); return {%$p, body => {code => 'bad-chain', detail => 'no'}, re => $p->{message}{jti}}; },
		effect => sub { $north->wait_for($_[0]{status}, 'rejected') },
		others => qr/^it answers nothing that is owed$/,
	},
	{
		type => 'silent', to => $n,
		make => sub { my $p = patient_with_record(); return {%$p, body => {vk => $p->{accepted}{vk}, notary => $s}}; },
		effect => sub { $_[0]{puppet}->wait_message('alive') },
	},
	{
		type => 'notarise', to => $s,
		make => sub { my $p = patient_with_record(); return {%$p, body => {request => $p->{accepted}{request}}}; },
		effect => sub { $_[0]{puppet}->wait_message('receipt') },
	},
	{
		type => 'probe', to => $s, kind => 'institution',
		make => sub { return {puppet => $clinic, body => {}}; },
		effect => sub { $clinic->wait_message('probe_reply') },
		others => qr/^$/,
		needs_nothing => 1,
	},
	{
		type => 'probe_reply', to => $n, kind => 'institution',
		make => sub { return {puppet => $clinic, body => {}, re => '00000000-0000-7000-8000-000000000001'}; },
		effect => sub { 1 },
		others => qr/^$/,
		needs_nothing => 1,
	},
);

# One row for each manipulation: what is sent instead, and the reason of its refusal.
my @manipulations = (
	(map { my $part = $_; {
		what => "altered in part $part of the envelope", reason => qr/^(cannot-decrypt|bad-|unknown-key)/,
		send => sub { my ($m, $to, $type) = @_; alter($m->{puppet}->do('seal', to => $to, type => $type, body => $m->{body}, re => $m->{re} // '')->{envelope}, $part) },
	} } 0 .. 4),
	{
		what => 'sealed to another node', reason => qr/^cannot-decrypt$/,
		options => sub { (seal_to => $_[1] eq $n ? $s : $n) },
	},
	{
		what => 'addressed to another node', reason => qr/^wrong-receiver$/,
		options => sub { (aud => $_[1] eq $n ? $s : $n) },
	},
	{
		what => 'signed with a key that is nobody\'s', reason => qr/^unknown-key$/,
		options => sub { (strange_key => JSON::PP::true) },
	},
	{
		what => 'past its end', reason => qr/^expired$/,
		options => sub { (iat => time - 7200, exp => time - 3600) },
	},
	{
		what => 'of an unknown type', reason => qr/^bad-type$/, type => 'nonsense',
	},
	{
		what => 'of a type that only institutions send', reason => qr/^an institution does not take messages of this type$/, type => 'committed',
		body => {vk => 'A' x 43},
	},
	{
		what => 'without its members', reason => qr/^bad-claim$/, body => {}, needs_members => 1,
	},
	{
		what => 'with a body that is no JSON', reason => qr/^bad-(json|format)$/, body => '{"vk": ',
	},
	{
		what => 'with a member twice', reason => qr/^bad-json$/, body => '{"vk": "a", "vk": "b"}',
	},
	{
		what => 'signed by another node in the sender\'s name', reason => qr/^unknown-key$/, by_other => 1,
		options => sub { (iss => $_[0]{puppet}{node}) },
	},
	{
		what => 'sent by another node as its own', reason => qr/./, by_other => 1, own_name => 1,
	},
	{
		what => 'sent by a node of the other kind', reason => qr/^the sender is not of the kind that sends such messages$/, by_kind => 1,
	},
);

for my $row (@types)
{
	my ($type, $to) = @$row{qw(type to)};
	subtest $type => sub {
		my $m = $row->{make}->();
		my @re = $m->{re} ? (re => $m->{re}) : ();
		my $is_institution = ($row->{kind} // '') eq 'institution';
		my $other = $is_institution ? $accomplice : $stranger;
		my $other_kind = $is_institution ? $stranger : $clinic;
		fence($to);
		my $before = snapshot();
		for my $how (@manipulations)
		{
			next if $how->{needs_members} && $row->{needs_nothing};
			next if $how->{by_kind} && ($type eq 'ack' || $type eq 'refused');
			my $by = $how->{by_other} ? $other : $how->{by_kind} ? $other_kind : $m->{puppet};
			my $as = $how->{type} // $type;
			my $body = $how->{body} // $m->{body};
			my $reason = $how->{own_name} && $row->{others} ? $row->{others} : $how->{reason};
			my $id;
			if ($how->{send})
			{
				my $envelope = $how->{send}->($m, $to, $type);
				$m->{puppet}->do('put', to => $to, envelope => $envelope);
				$id = sha256_base64($envelope) =~ tr{+/}{-_}r;
			}
			else
			{
				$id = $by->send($to, $as, $body, @re, $how->{options} ? $how->{options}->($m, $to) : ())->{id};
			}
			if ($reason eq qr/^$/)
			{
				fence($to);
				pass("$how->{what}: means nothing");
			}
			else
			{
				refused($to, $id, $reason, "$how->{what}: is refused");
			}
		}
		fence($to);
		is(snapshot(), $before, 'nothing has happened by any of them');

		my $sent = $m->{puppet}->send($to, $type, $m->{body}, @re);
		ok($row->{effect}->($m), 'the right one does what it should');
		fence($to);
		my $after = snapshot();
		$m->{puppet}->do('put', to => $to, envelope => $sent->{envelope});
		$m->{puppet}->send($to, $type, $m->{body}, @re, jti => $sent->{jti});
		$m->{puppet}->send($to, $type, $m->{body}, @re) unless $type eq 'silent';
		fence($to);
		is(snapshot(), $after, 'doubled, sealed anew and said once more it does nothing more');
		my $elsewhere = $to eq $n ? $s : $n;
		$m->{puppet}->do('put', to => $elsewhere, envelope => $sent->{envelope});
		refused($elsewhere, $sent->{id}, qr/^cannot-decrypt$/, 'replayed to another node it cannot be read');
		is(snapshot(), $after, 'and nothing happens there');
	};
}

subtest 'a request with half a predecessor' => sub {
	my $first = patient_with_record();
	$first->{puppet}->notarise($first->{accepted});
	my $evidence = $first->{puppet}->send($n, 'accepted', Puppet::evidence($first->{accepted}), re => $first->{message}{jti});
	$first->{puppet}->wait_message('committed', re => $evidence->{jti});
	$north->sql("SELECT hdms.amend('$first->{record}', '{\"amended\": true}')");
	my $message = $first->{puppet}->wait_message('record');
	my $next = $first->{puppet}->do('accept', state => $message->{body}{state}, commit => $message->{body}{commit}, prev_request => $first->{accepted}{request});
	my %prev = (prev_request => $first->{accepted}{request}, prev_receipt => $first->{accepted}{receipt});
	my $before = snapshot();
	for my $half (sort keys %prev)
	{
		my $sent = $first->{puppet}->send($s, 'notarise', {request => $next->{request}, $half => $prev{$half}});
		refused($s, $sent->{id}, qr/^bad-claim$/, "$half alone: is refused");
	}
	fence($s);
	is(snapshot(), $before, 'and nothing is notarised');
	$first->{puppet}->notarise($next, request => $prev{prev_request}, receipt => $prev{prev_receipt});
	$evidence = $first->{puppet}->send($n, 'accepted', Puppet::evidence($next), re => $message->{jti});
	ok($first->{puppet}->wait_message('committed', re => $evidence->{jti}), 'with both it is, and commits');
};

# A log tells of 20 refusals in each minute and says where the others are.
subtest 'the logs' => sub {
	my $log = $pg->log_text;
	my %told = map { $_ => 1 } $log =~ /message ([\w-]{43}) was refused: \S/g;
	my @refused = map { split /\n/, $_->sql('SELECT transport FROM hdms_internal.refusals') } $north, $south;
	my @untold = grep { !$told{$_} } @refused;
	ok(!@untold || $log =~ /More refusals within a minute are only written to/, 'name each refused message and its reason, or say where to look');
	cmp_ok(scalar(keys %told), '>=', 40, 'many are named');
};

subtest 'messages that get lost' => sub {
	$pg->configure("hdms.resend_interval = 1\n");
	$pg->reload;
	$pg->wait_sql('north', 'SHOW hdms.resend_interval', '1s');
	my $p = patient_with_record();
	is($p->{puppet}->wait_message('record', jti => $p->{message}{jti})->{envelope}, $p->{message}{envelope}, 'a record that is not answered comes again, the same bytes');
	$p->{puppet}->notarise($p->{accepted});
	my $sent = $p->{puppet}->send($n, 'accepted', Puppet::evidence($p->{accepted}), re => $p->{message}{jti});
	my $committed = $p->{puppet}->wait_message('committed', re => $sent->{jti});
	is($p->{puppet}->wait_message('committed', jti => $committed->{jti})->{envelope}, $committed->{envelope}, 'so does the confirmation');
	$p->{puppet}->send($n, 'ack', {acks => [$committed->{jti}]});
	$north->wait_for("SELECT count(*) FROM hdms_internal.outbox WHERE receiver = '$p->{puppet}{node}'", '0');
	pass('until it is acknowledged');
};

subtest 'messages in the wrong order' => sub {
	my $p = patient_with_record();
	$p->{puppet}->notarise($p->{accepted});
	my $sent = $p->{puppet}->send($n, 'accepted', Puppet::evidence($p->{accepted}), re => $p->{message}{jti});
	$p->{puppet}->wait_message('committed', re => $sent->{jti});
	$p->{puppet}->send($n, 'ack', {acks => [$p->{message}{jti}]});
	$p->{puppet}->send($n, 'refused', {code => 'bad-chain', detail => 'late'}, re => $p->{message}{jti});
	$p->{puppet}->send($n, 'silent', {vk => $p->{accepted}{vk}, notary => $s});
	$p->{puppet}->wait_message('withdrawn', vk => $p->{accepted}{vk});
	is($north->sql($p->{status}), 'committed', 'a committed record stays committed');
};

is($_->sql("SELECT count(*) FROM hdms_internal.inbox WHERE status = 'quarantined'"), '0', "nothing took $_->{db} by surprise") for $north, $south;
unlike($pg->log_text, qr/PANIC|server process .* was terminated/, 'no process died');
done_testing;
