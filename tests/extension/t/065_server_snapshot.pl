# A snapshot held open in the server's own database, as a backup of it does, does not make its mailboxes slow.
use strict;
use warnings;
use IPC::Run qw(start);
use FindBin;
use Test::More;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nautovacuum = off\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

my @holders;
for my $db ('hdms_server', 'south')
{
	my ($in, $out) = ("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'held' FROM pg_class LIMIT 1;\n", '');
	my $holder = start([$pg->psql_command($db)], '<', \$in, '>', \$out);
	$holder->pump until $out =~ /held/;
	push @holders, [$holder, \$in];
}
my $count = 300;
$north->sql("SELECT count(hdms.issue('A-1', json_build_object('n', n))) FROM generate_series(1, $count) AS n");
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", $count, 120);
pass('records are committed while snapshots are held');
$pg->wait_sql('hdms_server', "SELECT n_dead_tup > $count FROM pg_stat_user_tables WHERE relname = 'mailbox'", 't');
pass('although dead rows stay');

my %read = (
	'the mailboxes' => sub { $pg->sql('hdms_server', "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'mailbox'") },
	"the notary's queues" => sub { $south->sql("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('inbox', 'outbox', 'log_entries')") },
);
my %before = map { $_ => $read{$_}->() } keys %read;
my $rounds = 20;
for my $n (1 .. $rounds)
{
	$north->wait_status($north->issue('A-1', "{\"late\": $n}"), 'committed');
}
wait_until('the mailboxes to be empty', sub { $pg->sql('hdms_server', 'SELECT count(*) FROM hdms_server.mailbox') eq '0' });
for my $what (sort keys %read)
{
	my $fetched = $read{$what}->() - $before{$what};
	cmp_ok($fetched, '<', $rounds * $count, "no walk through the dead rows of $what for each record ($fetched index entries for $rounds records)");
}
for (@holders) { ${$_->[1]} .= "COMMIT;\n\\q\n"; $_->[0]->finish; }

# The server skips what it knows to be gone. A message whose transaction took its number early and ends late is not gone.
subtest 'a message that is committed late' => sub {
	my ($sender, $receiver) = map { my $puppet = Puppet->new; $puppet->pair($north->invite("late-$_")); $puppet } 1 .. 2;
	my $to = $receiver->{node};
	my $late = $sender->do('seal', to => $to, type => 'ack', body => {acks => []});
	my ($in, $out) = ("BEGIN; SELECT pg_current_xact_id(); INSERT INTO hdms_server.mailbox SELECT '$to', '$late->{id}', nextval('hdms_server.mailbox_seq'),"
		. " extract(epoch FROM now())::bigint + 3600, length(d), convert_to(d, 'UTF8') FROM (SELECT '$late->{envelope}'::text) AS e (d); SELECT 'inserted';\n", '');
	my $session = start([$pg->psql_command('hdms_server')], '<', \$in, '>', \$out);
	$session->pump until $out =~ /inserted/;
	for my $n (1 .. 20)
	{
		my $sealed = $sender->do('seal', to => $to, type => 'ack', body => {acks => []});
		$sender->do('put', to => $to, envelope => $sealed->{envelope});
		wait_until('the message', sub { grep { $_->{id} eq $sealed->{id} } @{$receiver->do('fetch')->{messages}} });
		$receiver->do('ack', ids => [$sealed->{id}]);
	}
	$in .= "COMMIT;\n\\q\n";
	$session->finish;
	is($pg->sql('hdms_server', "SELECT count(*) FROM hdms_server.mailbox WHERE recipient = '$to'"), '1', 'is in the mailbox');
	is_deeply([map { $_->{id} } @{$receiver->do('fetch')->{messages}}], [$late->{id}], 'is fetched, although later ones were acknowledged before');
};
done_testing;
