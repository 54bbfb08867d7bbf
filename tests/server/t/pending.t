# Registrations of institutions that nobody admits: kept while the institution asks, removed when it has been silent for long.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $t = HdmsTest->new(config => 'pending_ttl = 30d');
my $second = $t->start_server(public_url => $t->{url});
my $authority = $t->{url} =~ s{.*//}{}r;
my $admitted = $t->institution('Admitted');
my $person = $t->person($admitted);
my %pending = map { $_ => $t->node($_) } qw(silent asking young frozen);
is($t->register($pending{$_})->{status}, 202, "$_ is registered and pending") for sort keys %pending;

sub itself { my ($node, @more) = @_; return $t->request($node, GET => "/v1/nodes/$node->{id}", @more); }
sub ids { my (@nodes) = @_; return join ',', map { "'$_->{id}'" } @nodes; }
sub there { my ($node) = @_; return $t->psql("SELECT count(*) FROM hdms_server.nodes WHERE id = '$node->{id}'"); }

is(itself($pending{silent}, url => $second->{url}, authority => $authority)->{status}, 200, 'both processes know the silent one');
is(itself($pending{asking})->{status}, 200, 'an institution asks whether it is admitted');
ok(HdmsTest::wait_until(sub { $t->psql("SELECT seen > extract(epoch FROM now()) - 60 FROM hdms_server.nodes WHERE id = '$pending{asking}{id}'") eq 't' }), 'which is written down');
is($t->psql("SELECT count(*) FROM hdms_server.nodes WHERE seen IS NOT NULL AND status <> 'pending'"), 0, 'of pending ones only');

# as if it were 31 days later for all but the young one, and the silent one had asked in the beginning
$t->psql("UPDATE hdms_server.nodes SET status = 'frozen' WHERE id = '$pending{frozen}{id}'");
$t->psql('UPDATE hdms_server.nodes SET registered = registered - 31 * 86400 WHERE id IN (' . ids($admitted, $person, @pending{qw(asking frozen)}) . ')');
$t->psql("UPDATE hdms_server.nodes SET registered = registered - 31 * 86400, seen = registered - 30.5 * 86400 WHERE id = '$pending{silent}{id}'");
ok(HdmsTest::wait_until(sub { there($pending{silent}) eq '0' }), 'the one that was silent for longer than pending_ttl is removed');
like($t->logs, qr/"event":"pending_removed"[^\n]*"nodes":1\b/, 'and the log says how many');
is(there($pending{$_}), 1, "the $_ one is not") for qw(asking young frozen);
is(there($_), 1, 'nor is who was admitted') for $admitted, $person;
is($t->mailbox($admitted)->{status}, 200, 'an admitted institution works on');
for my $at ([], [url => $second->{url}, authority => $authority])
{
	ok(HdmsTest::wait_until(sub { HdmsTest::word(itself($pending{silent}, @$at)) eq 'unknown-node' }), 'each process tells the removed one that it is unknown');
}
is($t->register($pending{silent})->{status}, 202, 'so that it can register again');
(my $out) = $t->admin('admit', $pending{silent}{id});
is(itself($pending{silent})->{json}{status}, 'active', 'and be admitted');
$t->healthy;
done_testing;
