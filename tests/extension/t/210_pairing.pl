# Pairing at the institution: wrong secrets, second devices, expiry, confirmation. The devices are puppets.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my $patient_status = sub { $north->sql("SELECT status FROM hdms.patients WHERE patient_ref = '$_[0]'") };

# A puppet that is registered with an invitation, and the body that it would pair with.
sub newcomer
{
	my ($uri) = @_;
	my $puppet = Puppet->new;
	$puppet->do('pair', uri => $uri);
	my $body = $puppet->do('pair_body');
	return ($puppet, $body->{body}, $body->{institution});
}

# The body with which a puppet would use somebody else's invitation.
sub with_secret_of
{
	my ($puppet, $uri) = @_;
	my ($invitation) = $uri =~ /invitation=([0-9a-f-]+)/;
	my ($secret) = $uri =~ /secret=([A-Za-z0-9_-]+)/;
	return {%{$puppet->do('pair_body', secret => $secret)->{body}}, invitation => $invitation};
}

subtest 'the secret decides' => sub {
	my ($puppet, $body, $to) = newcomer($north->invite('A'));
	my $wrong = $puppet->do('pair_body', secret => 'A' x 22)->{body};
	my $sent = $puppet->send($to, 'pair', $wrong);
	is($puppet->wait_message('pair_refused', re => $sent->{jti})->{body}{code}, 'bad-signature', 'a wrong MAC is refused');
	is($patient_status->('A'), 'invited', 'and binds nobody');
	$sent = $puppet->send($to, 'pair', $body);
	my $paired = $puppet->wait_message('paired', re => $sent->{jti});
	is($paired->{body}{name}, 'North Hospital', 'the right one pairs');
	is($patient_status->('A'), 'paired', 'the patient with the node');
	my $again = $puppet->send($to, 'pair', $body);
	ok($puppet->wait_message('paired', re => $again->{jti}), 'the same node again gets the same answer');
	is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'paired' AND patient_ref = 'A'"), '1', 'and is paired once');
};

subtest 'five wrong secrets close an invitation' => sub {
	my ($puppet, $body, $to) = newcomer($north->invite('B'));
	my $wrong = $puppet->do('pair_body', secret => 'B' x 21 . 'A')->{body};
	for (1 .. 5)
	{
		my $sent = $puppet->send($to, 'pair', $wrong);
		$puppet->wait_message('pair_refused', re => $sent->{jti});
	}
	my $sent = $puppet->send($to, 'pair', $body);
	is($puppet->wait_message('pair_refused', re => $sent->{jti})->{body}{code}, 'closed', 'also for the right one');
	is($north->sql("SELECT status, secret IS NULL FROM hdms_internal.invitations WHERE patient_ref = 'B'"), 'closed|t', 'the secret is gone');
};

subtest 'a second device suspends the pairing' => sub {
	my $uri = $north->invite('C');
	my ($first, $body, $to) = newcomer($uri);
	my $sent = $first->send($to, 'pair', $body);
	$first->wait_message('paired', re => $sent->{jti});

	# Its node got in with an invitation of its own; the secret it took from the first one.
	my ($second) = newcomer($north->invite('C-thief'));
	$sent = $second->send($to, 'pair', with_secret_of($second, $uri));
	is($second->wait_message('pair_refused', re => $sent->{jti})->{body}{code}, 'used', 'it is told that the invitation was used');
	is($patient_status->('C'), 'suspended', 'the binding is suspended');
	is($north->sql("SELECT count(*) FROM hdms.events WHERE kind = 'pairing_conflict' AND patient_ref = 'C'"), '1', 'and the institution is told');
	my $record = $north->issue('C', '{"secret": true}');
	is($north->status($record), 'waiting_for_patient', 'no record goes to a suspended patient');

	my ($right, $right_body) = newcomer($north->invite('C'));
	$sent = $right->send($to, 'pair', $right_body);
	$right->wait_message('paired', re => $sent->{jti});
	is($patient_status->('C'), 'paired', 'a new invitation pairs anew');
	my $message = $right->wait_message('record');
	ok($message->{verified}, 'and what waited goes to the new device');

	# Once the patient has another node, records that the old one holds are continued by others.
	my $accepted = $right->notarise($right->do('accept', %{$message->{body}}));
	$sent = $right->send($to, 'accepted', Puppet::evidence($accepted), re => $message->{jti});
	$right->wait_message('committed', re => $sent->{jti});
	$north->sql("UPDATE hdms_internal.patients SET status = 'suspended' WHERE patient_ref = 'C'");
	my ($newer, $newer_body) = newcomer($north->invite('C'));
	$sent = $newer->send($to, 'pair', $newer_body);
	$newer->wait_message('paired', re => $sent->{jti});
	is($right->wait_message('unpaired')->{body}{code}, 'replaced', 'the node of before is told');
	my $continuing = $newer->wait_message('record')->{body};
	is($north->sql("SELECT replaces FROM hdms.records WHERE patient_ref = 'C' AND replaces IS NOT NULL"), $record, 'a record of another node is continued by a new one');
	like($north->sql_error("SELECT hdms.amend('$record', '{\"secret\": false}')"), qr/continued by another one/, 'and not amended any more');
	$sent = $right->send($to, 'accepted', Puppet::evidence($accepted));
	is($right->wait_message('refused', re => $sent->{jti})->{body}{code}, 'wrong-sender', 'what the node of before sends about it is refused');
};

subtest 'an invitation ends' => sub {
	my ($puppet, $body, $to) = newcomer($north->invite('D'));
	$north->sql("UPDATE hdms_internal.invitations SET expires_at = clock_timestamp() WHERE patient_ref = 'D'");
	my $sent = $puppet->send($to, 'pair', $body);
	is($puppet->wait_message('pair_refused', re => $sent->{jti})->{body}{code}, 'expired', 'with its time');
	$north->wait_for("SELECT status, secret IS NULL FROM hdms_internal.invitations WHERE patient_ref = 'D'", 'expired|t');
	pass('and its secret is wiped');
	my $unknown = {%$body, invitation => '00000000-0000-7000-8000-000000000000'};
	$sent = $puppet->send($to, 'pair', $unknown);
	is($puppet->wait_message('pair_refused', re => $sent->{jti})->{body}{code}, 'unknown-invitation', 'one that never was is unknown');
};

subtest 'a node is paired once' => sub {
	my ($puppet, $body, $to) = newcomer($north->invite('E'));
	my $sent = $puppet->send($to, 'pair', $body);
	$puppet->wait_message('paired', re => $sent->{jti});

	# The invitation of another patient, used by the same node: its secret and id are known to the test only.
	my $uri = $north->invite('F');
	my $other = with_secret_of($puppet, $uri);
	$sent = $puppet->send($to, 'pair', $other);
	is($puppet->wait_message('pair_refused', re => $sent->{jti})->{body}{code}, 'node-in-use', 'also with the right secret of another invitation');
	is($patient_status->('F'), 'invited', 'the other patient stays unpaired');
};

subtest 'another node cannot pair in somebody\'s name' => sub {
	my ($victim, $body, $to) = newcomer($north->invite('G'));
	my ($thief) = newcomer($north->invite('H'));
	my $sent = $thief->send($to, 'pair', $body);
	is($thief->wait_message('pair_refused', re => $sent->{jti})->{body}{code}, 'wrong-sender', 'with a history that is not its own');
	is($patient_status->('G'), 'invited', 'the patient stays unpaired');
};

subtest 'confirmation' => sub {
	$pg->configure("hdms.require_confirmation = on\n");
	$pg->reload;
	$pg->wait_sql('north', 'SHOW hdms.require_confirmation', 'on');
	my $puppet = Puppet->new;
	ok($puppet->pair($north->invite('I'))->{body}{confirm}, 'the device is told that there is a code to confirm');
	is($patient_status->('I'), 'unconfirmed', 'the patient is not paired yet');
	my $record = $north->issue('I', '{"waits": true}');
	is($north->status($record), 'waiting_for_patient', 'and records wait');
	my $code = $north->sql("SELECT confirmation_code FROM hdms_internal.patients WHERE patient_ref = 'I'");
	like($code, qr/^[0-9]{6}$/, 'the code has six digits');
	$north->sql("SELECT hdms.confirm_patient('I', '$code')");
	ok($puppet->wait_message('record'), 'after the confirmation the record goes out');
};

subtest 'vouchers' => sub {
	$north->sql('DELETE FROM hdms_internal.vouchers');
	like($north->invite('J'), qr/^hdms:pair/, 'an invitation waits for the worker where none is in stock');
	$north->wait_for('SELECT count(*) >= 150 FROM hdms_internal.vouchers', 't');
	pass('and the stock is filled again');
};

subtest 'more invitations in one transaction than vouchers are in stock' => sub {
	my $count = 400;
	$north->wait_for('SELECT count(*) < ' . $count . ' FROM hdms_internal.vouchers', 't');
	my @uris = split /\n/, $north->sql("SELECT hdms.invite_patient('many-' || n) FROM generate_series(1, $count) n");
	is(scalar(grep { /^hdms:pair\?/ } @uris), $count, 'each is made');
	my %secrets = map { /secret=([^&]+)/ ? ($1 => 1) : () } @uris;
	is(scalar(keys %secrets), $count, 'each with a secret of its own');
	my %vouchers = map { /voucher=([^&]+)/ ? ($1 => 1) : () } @uris;
	is(scalar(keys %vouchers), $count, 'and a voucher of its own');
	is($north->sql("SELECT count(*) FROM hdms_internal.invitations WHERE patient_ref LIKE 'many-%' AND status = 'open'"), $count, 'all are open');
	for my $which (0, $count - 1)
	{
		my $puppet = Puppet->new;
		$puppet->pair($uris[$which]);
		is($patient_status->('many-' . ($which + 1)), 'unconfirmed', 'one that works');
	}
	is($north->sql_error("BEGIN; SELECT hdms.invite_patient('undone-' || n) FROM generate_series(1, $count) n; ROLLBACK"), undef, 'also where it is rolled back');
	is($north->sql("SELECT count(*) FROM hdms.patients WHERE patient_ref LIKE 'undone-%'"), '0', 'which invites nobody');
	like($north->invite('after'), qr/^hdms:pair/, 'and afterwards all goes on');
};
done_testing;
