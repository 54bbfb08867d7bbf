# Content at the limits and with names and numbers that look like something else, through the whole flow: byte for byte on the device,
# and every version in its turn while a person thinks.
use strict;
use warnings;
use JSON::PP;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

# Issues what an SQL expression gives.
sub committed
{
	my ($what, $sql) = @_;
	my $record = $north->sql("SELECT hdms.issue('A-1', ($sql)::json)");
	ok(eval { $north->wait_status($record, 'committed') }, "$what: is committed") or diag $@, $north->sql("SELECT string_agg(d::text, E'\n') FROM hdms.deliveries d");
	is($north->sql("SELECT count(*) FROM hdms.verify('$record') WHERE NOT ok"), '0', "$what: verifies");
	wait_until('the device to have it', sub { grep { $_->{record} eq $record && $_->{status} eq 'final' } @{$alice->json('records')} });
	my ($status) = $alice->try_cmd('verify', $record);
	is($status, 0, "$what: verifies on the device");
	return $record;
}

my $forty = '1234567890123456789012345678901234567890';
my $exact = qq({"type": "x", "sub": "y", "iss": 1, "iat": $forty, "cnf": {"kid": null}, "vk": 7.10, "n": -0.$forty, "e": 1E400, "content": {"_": []}});
my $record = committed('names of claims and numbers of 40 digits', "'$exact'");
is($north->sql("SELECT hdms.read('$record', 'test')::text"), $exact, 'byte for byte at the hospital');
my $shown = $alice->cmd('--json', 'show', $record);
like($shown, qr/\Q$_\E/, "the device has $_") for $forty, "-0.$forty", '7.10', '1E400';
committed('the longest content', q{SELECT json_build_object('a', repeat('x', 524288 - 10))});
committed('the most members', q{SELECT json_object_agg('m' || i, repeat('y', 480)) FROM generate_series(1, 1024) i});
committed('the deepest content', q{SELECT repeat('{"a":', 64) || '1' || repeat('}', 64)});
committed('only escapes', q{SELECT '{"a": "' || repeat('\u0000', 80000) || '"}'});
committed('no member at all', q{SELECT '{}'});

subtest 'amendments while the first version is with the patient' => sub {
	$alice->cmd('policy', 'North Hospital', 'ask');
	my $statuses = "SELECT string_agg(status || coalesce(version::text, ''), ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = ";
	my $thinking = $north->issue('A-1', '{"dose": 1}', source_id => 'dose');
	$north->wait_status($thinking, 'delivered');
	is($north->issue('A-1', '{"dose": 2}', source_id => 'dose'), $thinking, 'the EMR says something else of the same');
	is($north->issue('A-1', '{"dose": 2}', source_id => 'dose'), $thinking, 'twice');
	is($north->sql("$statuses'$thinking'"), 'delivered1,waiting_for_previous', 'that is one version, which waits');
	$alice->cmd('accept', $thinking);
	$north->wait_for("$statuses'$thinking'", 'committed1,delivered2');
	wait_until('the person to be asked again', sub { grep { $_->{record} eq $thinking } @{$alice->json('inbox')} });
	$alice->cmd('accept', $thinking);
	$north->wait_for("$statuses'$thinking'", 'superseded1,committed2');
	is($north->sql("SELECT count(*) FROM hdms.verify('$thinking') WHERE NOT ok"), '0', 'the chain verifies');
	my $refused = $north->issue('A-1', '{"dose": 3}');
	$north->wait_status($refused, 'delivered');
	$north->sql("SELECT hdms.amend('$refused', '{\"dose\": 4}')");
	$alice->cmd('reject', $refused, '--reason', 'no');
	$north->wait_for("$statuses'$refused'", 'rejected1,delivered1');
	pass('after a rejection the amendment goes out as a first version');
};
is($north->sql("SELECT count(*) FROM hdms_internal.refusals"), '0', 'no message was refused');
done_testing;
