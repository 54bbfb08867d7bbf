# A patient and a notary conspire against a hospital: whatever they make up, only evidence that anybody could verify commits.
# One row for each forgery. The notary is a puppet, and the only one there is.
use strict;
use warnings;
use Test::More;
use Digest::MD5 qw(md5_hex);
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my $north = $net->hospital('north');
my $to = $north->{node};
my ($rogue, $other_notary) = map { Puppet->new } 1 .. 2;
$rogue->do('join', server => $net->{url}, name => 'Rogue Notary');
$net->admit($rogue->{node}, '--notary');
$other_notary->do('join', server => $net->{url}, name => 'Nobody');
$net->admit($other_notary->{node});
my ($patient, $friend) = map { Puppet->new } 1 .. 2;
$patient->pair($north->invite('P'));
$friend->pair($north->invite('F'));
$north->wait_for("SELECT count(*) > 0 FROM hdms_internal.notary_lists WHERE jws <> ''", 't');

my $serial = 0;
sub receive
{
	my ($puppet, $ref, %options) = @_;
	my $record = $north->issue($ref, '{"n": ' . ++$serial . '}', %options);
	my $message = $puppet->wait_message('record');
	return {record => $record, jti => $message->{jti}, %{$message->{body}}};
}
sub agree { my ($puppet, $body, %more) = @_; return $puppet->do('accept', state => $body->{state}, commit => $body->{commit}, %more); }
sub witness { my ($accepted, %more) = @_; return $rogue->do('receipt', request => $accepted->{request}, %more)->{receipt}; }
sub statuses { return $north->sql("SELECT string_agg(concat(id, status, version, notary), ' ' ORDER BY id) FROM hdms_internal.versions"); }

my $mine = receive($patient, 'P');
my $also_mine = receive($patient, 'P');
my $short = receive($patient, 'P', accept_within => '20 seconds');
my $theirs = receive($friend, 'F');
my $good = agree($patient, $mine);
my $good_receipt = witness($good);
my $second = agree($patient, $also_mine);
my $too_late = agree($patient, $short);
my $foreign = agree($friend, $theirs);
my %base = (vk => $good->{vk}, acceptance => $good->{acceptance}, request => $good->{request}, receipt => $good_receipt);
is($good->{notary}, $rogue->{node}, 'the rogue is drawn');

# A successor that the hospital never signed, and one that it signed for somebody else.
my $forger = $other_notary->do('state', sub => $patient->{node}, content => '{"forged": true}');
my $forged = agree($patient, $forger);

sub flipped
{
	my ($text, $at) = @_;
	my $place = int(length($text) * $at);
	my $char = substr $text, $place, 1;
	substr($text, $place, 1) = $char eq 'A' ? 'B' : 'A';
	return $text;
}

my @rows = (
	['a leaf after accept_until', qr/^too-late$/, {vk => sub { $too_late->{vk} }, acceptance => sub { $too_late->{acceptance} },
		request => sub { $too_late->{request} }, receipt => sub { witness($too_late, time_ms => (time + 3600) * 1000) }}],
	['a leaf after the end of the list of notaries', qr/^expired$/, {receipt => sub { witness($good, time_ms => (time + 40 * 86400) * 1000) }}],
	['a leaf at the beginning of time', qr/^bad-claim$/, {receipt => sub { witness($good, time_ms => 0) }}],
	['a leaf from before anybody had keys', qr/^unknown-key$/, {receipt => sub { witness($good, time_ms => 946684800000) }}],
	['a receipt for another request', qr/^digest-mismatch$/, {receipt => sub { witness($second) }}],
	['a receipt for another request for the same state', qr/^digest-mismatch$/, {receipt => sub { witness(agree($patient, $mine)) }}],
	['a receipt from a log that is not the notary\'s', qr/^bad-/, {receipt => sub { $other_notary->do('receipt', request => $good->{request})->{receipt} }}],
	['a receipt in the notary\'s name by another key', qr/^bad-signature$/,
		{receipt => sub { $other_notary->do('receipt', request => $good->{request}, origin => $rogue->{node})->{receipt} }}],
	['no receipt at all', qr/^bad-/, {receipt => sub { "c2sp.org/tlog-proof\@v1\n" }}],
	['the acceptance of another record', qr/^digest-mismatch$/, {acceptance => sub { $second->{acceptance} }}],
	['the request of another record', qr/^digest-mismatch$/, {request => sub { $second->{request} }, receipt => sub { witness($second) }}],
	['the request of another record, with its acceptance', qr/^digest-mismatch$/,
		{request => sub { $second->{request} }, acceptance => sub { $second->{acceptance} }, receipt => sub { witness($second) }}],
	['another patient\'s request', qr/^(digest-mismatch|unknown-key|bad-|wrong-)/,
		{request => sub { $foreign->{request} }, acceptance => sub { $foreign->{acceptance} }, receipt => sub { witness($foreign) }}],
	['another patient\'s record', qr/^wrong-sender$/,
		{vk => sub { $foreign->{vk} }, request => sub { $foreign->{request} }, acceptance => sub { $foreign->{acceptance} }, receipt => sub { witness($foreign) }}],
	['a state that nobody issued', qr/^unknown-state$/, {vk => sub { 'A' x 43 }}],
	['a state that somebody else issued', qr/^unknown-state$/,
		{vk => sub { $forged->{vk} }, request => sub { $forged->{request} }, acceptance => sub { $forged->{acceptance} }, receipt => sub { witness($forged) }}],
	['a commit that somebody else issued', qr/^(digest-mismatch|unknown-key|bad-)/,
		{request => sub { $forged->{request} }, acceptance => sub { $forged->{acceptance} }, receipt => sub { witness($forged) }}],
	(map { my $part = $_; map { my $at = $_;
		["one character of the $part changed at " . int($at * 100) . ' %', qr/^(bad-|digest-mismatch|unknown-|too-|wrong-|expired)/, {$part => sub { flipped($base{$part}, $at) }}]
	} 0.02, 0.3, 0.55, 0.8, 0.97 } qw(acceptance request receipt)),
);

my $before = statuses();
for my $row (@rows)
{
	my ($what, $code, $changes) = @$row;
	my %body = (%base, map { $_ => $changes->{$_}->() } keys %$changes);
	my $sent = $patient->send($to, 'accepted', \%body);
	my $answer = $patient->wait_message('refused', re => $sent->{jti});
	like($answer->{body}{code}, $code, "$what: is refused");
}
is(statuses(), $before, 'none of them has changed anything');
is($north->sql('SELECT count(*) FROM hdms_internal.payloads WHERE receipt IS NOT NULL'), '0', 'no forged evidence is kept');

my $sent = $friend->send($to, 'accepted', \%base);
is($friend->wait_message('refused', re => $sent->{jti})->{body}{code}, 'wrong-sender', 'true evidence from another patient is refused');
$sent = $patient->send($to, 'accepted', \%base);
ok($patient->wait_message('committed', re => $sent->{jti}), 'the same evidence from the patient commits');
is($north->sql("SELECT count(*) FROM hdms.verify('$mine->{record}') WHERE NOT ok"), '0', 'and verifies');
$sent = $patient->send($to, 'accepted', {%base, receipt => witness($good, time_ms => time * 1000 - 1000)});
ok($patient->wait_message('committed', re => $sent->{jti}), 'another receipt for what is committed is only confirmed');
is($north->sql("SELECT md5(receipt) FROM hdms_internal.payloads WHERE id = (SELECT id FROM hdms_internal.versions WHERE record = '$mine->{record}')"), md5_hex($good_receipt),
	'the first one stays');

subtest 'two successors that one notary lets through' => sub {
	$north->sql("SELECT hdms.amend('$mine->{record}', '{\"successor\": 1}')");
	my $message = $patient->wait_message('record');
	my %next = (state => $message->{body}{state}, commit => $message->{body}{commit});
	my $two = agree($patient, \%next, prev_request => $good->{request});
	my %evidence = (vk => $two->{vk}, acceptance => $two->{acceptance}, request => $two->{request}, receipt => witness($two));
	$sent = $patient->send($to, 'accepted', \%evidence);
	ok($patient->wait_message('committed', re => $sent->{jti}), 'only what the hospital signed can be committed at all');
	is($north->sql("SELECT string_agg(status, ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$mine->{record}'"), 'superseded,committed', 'in its place');
};

subtest 'evidence in time' => sub {
	my $accepted = $too_late;
	my $receipt = witness($accepted);
	$north->sql("UPDATE hdms_internal.versions SET status = 'expired' WHERE record = '$short->{record}'");
	$sent = $patient->send($to, 'accepted', {vk => $accepted->{vk}, acceptance => $accepted->{acceptance}, request => $accepted->{request}, receipt => $receipt});
	ok($patient->wait_message('committed', re => $sent->{jti}), 'counts by the notary\'s clock');
};
is($north->sql("SELECT count(*) FROM hdms_internal.inbox WHERE status = 'quarantined'"), '0', 'nothing took the hospital by surprise');
unlike($pg->log_text, qr/PANIC|server process .* was terminated/, 'no process died');
done_testing;
