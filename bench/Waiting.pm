# What a device that waits for mail costs the server: long polls held open on plain HTTP.
package Waiting;
use strict;
use warnings;
use Bench;
use HdmsCluster;
use IPC::Open2;

my $tests = "$build/tests/server";

sub client { return HdmsCluster::command("hdms-test-client $_[0]", "$tests/hdms-test-client", @_); }

sub measure
{
	my $waiters = $ENV{WAITERS} // 2000;
	note("$waiters long polls");
	my $pg = HdmsCluster->new;
	my $metrics = HdmsCluster::free_port();
	my $net = $pg->network(conf => "metrics_listen = 127.0.0.1:$metrics\n");
	my $clinic = "$pg->{base}/clinic";
	chomp(my $node = client('new', $clinic, 'institution', 'Clinic'));
	HdmsCluster::spew("$pg->{base}/registration", client('registration', $clinic));
	client('request', $clinic, $net->{url}, 'POST', '/v1/nodes', "body=$pg->{base}/registration", 'type=application/json');
	$net->admit($node);
	client('session', $clinic, $net->{url});
	my $server = $net->{servers}[0];
	# How many wait, and the server's memory then. Those whose connection has ended count until their time is over.
	my $hold = sub {
		my ($count, $before) = @_;
		my $pid = open2(my $answers, my $input, "$tests/hdms-load", 'waiters', $net->{url}, $clinic, $count);
		<$answers>;
		my $waiting;
		HdmsCluster::wait_until("$count to wait", sub {
			($waiting) = client('request', '-', "http://127.0.0.1:$metrics", 'GET', '/metrics', 'unsigned=1') =~ /^hdms_waiters(?:\{[^}]*\})? (\d+)$/m;
			return ($waiting // 0) >= $count + $before;
		});
		my $memory = memory_kb($server, 'Anonymous');
		return ($waiting, $memory, sub { kill 'TERM', $pid; waitpid $pid, 0; });
	};
	my ($few, $memory_few, $end_few) = $hold->(100, 0);		# threads, buffers and arenas are there
	my ($many, $memory_many, $end_many) = $hold->($waiters, $few);
	$_->() for $end_few, $end_many;
	figure(figure => "server's memory for one waiting device, plain HTTP", unit => 'B', value => ($memory_many - $memory_few) * 1024 / ($many - $few), aim => 'below 8000', less_is_better => 1);
	Bench::end_cluster($pg);
}

1;
