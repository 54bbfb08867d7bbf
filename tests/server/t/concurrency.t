# Many at once: nothing is lost and nothing comes twice.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $count = $ENV{HDMS_VERIFY_ENVELOPES} // 4000;
my $t = HdmsTest->new(config => "mailbox_bytes = 1G\nmailbox_envelopes = 100000\nrate_per_second = 100000\nrate_burst = 1000000\ninstitution_rate_burst = 1000000\n");
my $second = $t->start_server(name => 'second');
my $h = $t->institution('Hospital');
my @persons = map { $t->person($h) } 1 .. 5;
HdmsTest::client('session', $_->{dir}, $t->{url}) for $h, @persons;

my ($out, $status) = HdmsTest::run($HdmsTest::load, 'verify', $count, $t->{url}, $h->{dir}, map { $_->{dir} } @persons);
is($status, 0, "one process: $out");
is($t->psql('SELECT count(*) FROM hdms_server.mailbox'), 0, 'in the end the mailboxes are empty');

($out, $status) = HdmsTest::run($HdmsTest::load, 'verify', $count, "$t->{url},$second->{url}", $h->{dir}, map { $_->{dir} } @persons);
is($status, 0, "two processes: $out");
is($t->psql('SELECT count(*) FROM hdms_server.mailbox'), 0, 'in the end the mailboxes are empty');
is($t->metric('hdms_database_retries_total') < $count / 10, 1, 'conflicts between batches are rare');

# Connections are killed meanwhile: clients repeat what was answered with 503, so only the server's own promises are looked at.
my $pid = fork() // die;
if ($pid == 0)
{
	for (1 .. 5)
	{
		Time::HiRes::sleep(0.3);
		$t->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hdms-server'");
	}
	POSIX::_exit(0);
}
my $stored = 0;
for my $i (1 .. 150)
{
	my $e = $t->envelope;
	my $ok = HdmsTest::wait_until(sub { $t->put($h, $persons[0], $e)->{status} =~ /^20[01]$/ });
	$stored++ if $ok;
}
waitpid $pid, 0;
is($stored, 150, 'while connections are killed each put succeeds in the end');
my %seen;
while (1)
{
	my $ids = HdmsTest::ids($t->mailbox($persons[0]));
	last unless @$ids;
	$seen{$_}++ for @$ids;
	is($t->acknowledge($persons[0], $ids)->{status}, 200, 'acknowledged');
}
is(scalar(keys %seen), 150, 'all of them are fetched');
is((grep { $_ > 1 } values %seen) + 0, 0, 'each once');

# thousands of waiters
my $waiters = $ENV{HDMS_WAITERS} // 1500;
open my $to, '|-', "$HdmsTest::load waiters $t->{url} $persons[1]{dir} $waiters > $t->{base}/waiters" or die;
ok(HdmsTest::wait_until(sub { $t->metric('hdms_waiters') == $waiters }), "$waiters wait");
is($t->put($h, $persons[1], $t->envelope)->{status}, 201, 'one put');
ok(HdmsTest::wait_until(sub { $t->metric('hdms_waiters') == 0 }), 'wakes them all');
close $to;
like(HdmsTest::read_file("$t->{base}/waiters"), qr/^$waiters of $waiters got mail/m, 'and all get it');
$t->healthy;
done_testing;
