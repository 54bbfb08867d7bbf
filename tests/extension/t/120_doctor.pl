# The doctor and the views on a node that works, and on one whose server is gone.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.witnesses = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north', notary => 1], ['south', notary => 1]);
my $doctor = sub { $north->sql("SELECT coalesce(string_agg(check_name || ' ' || status || ' (' || detail || ')', ', '), '') FROM hdms.doctor() WHERE status <> 'ok'") };

$north->wait_for("SELECT count(*) FROM hdms.doctor() WHERE check_name = 'notaries' AND status = 'ok'", '1');
is($doctor->(), '', 'a node that works has nothing wrong');
is($north->sql("SELECT state || ' ' || (pid > 0)::text FROM hdms.workers WHERE database = 'north'"), 'active true', 'its worker is shown');
is($north->sql('SELECT status FROM hdms.node'), 'active', 'and is active');

# Invitations: of the time that was asked for, one at a time.
for my $expires ('1 minute', '7 days')
{
	my $uri = $north->invite('A-1', $expires);
	like($uri, qr/^hdms:pair\?v=1&server=/, "an invitation for $expires");
	is($north->sql("SELECT invitation_status || ' ' || (invitation_expires_at BETWEEN clock_timestamp() + interval '$expires' - interval '30 seconds' AND clock_timestamp() + interval '$expires') FROM hdms.patients"),
		'open true', "expires in $expires");
}
is($north->sql("SELECT string_agg(status, ' ' ORDER BY created_at) FROM hdms_internal.invitations"), 'closed open', 'a new invitation makes the earlier one useless');
is($north->sql("SELECT count(*) FROM hdms_internal.invitations WHERE status <> 'open' AND secret IS NOT NULL"), '0', 'and forgets its secret');
is($north->sql("SELECT string_agg(DISTINCT action || ' ' || patient_ref, ',') FROM hdms.audit WHERE action = 'invite'"), 'invite A-1', 'inviting is audited');
unlike($pg->log_text, qr/hdms:pair|secret=/, 'no invitation is in the log');

# The server is gone: the worker says so, and EMRs go on issuing.
$net->stop('KILL');
$north->sql("SELECT hdms.issue('A-1', '{\"n\": 1}')");
$north->wait_for("SELECT count(*) FROM hdms.workers WHERE database = 'north' AND last_error IS NOT NULL AND last_error <> ''", '1');
like($doctor->(), qr/worker (warn|fail)/, 'the doctor reports what the worker runs into');
$net->start(0);
wait_until('a node that has recovered', sub { $doctor->() eq '' });
pass('when the server is back nothing is wrong any more');

# The worker is switched off.
$pg->configure("hdms.databases = 'south'\n");
$pg->reload;
wait_until('the missing worker is noticed', sub { $doctor->() =~ /database fail.*worker fail/ });
pass('a database that is not served any more is noticed');
like($north->sql_error("SELECT hdms.invite_patient('B-1', '7 days') FROM generate_series(1, 300)"), qr/no worker serves this database/, 'without a worker invitations run out');
done_testing();
