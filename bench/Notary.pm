# One notary alone: a mailbox full of requests, made by puppets while its worker is off, then the worker.
package Notary;
use strict;
use warnings;
use Bench;
use HdmsCluster;
use Puppet;
use Time::HiRes qw(time sleep);

sub serve
{
	my ($pg, @databases) = @_;
	$pg->configure("hdms.databases = '" . join(', ', @databases) . "'\n");
	$pg->reload;
}

# A clinic that issues and its patient's device, both played: that many requests, in the notary's mailbox.
sub fill
{
	my ($net, $notary, $requests) = @_;
	my $clinic = Puppet->new;
	$clinic->do('join', server => $net->{url}, name => 'Clinic');
	$net->admit($clinic->{node});
	my $patient = Puppet->new;
	$patient->do('join', server => $net->{url}, voucher => $clinic->do('voucher')->{voucher});
	for my $n (1 .. $requests)
	{
		my $state = $clinic->do('state', sub => $patient->{node}, content => qq({"n": $n}));
		my $accepted = $patient->do('accept', state => $state->{state}, commit => $state->{commit});
		$patient->send($notary->{node}, 'notarise', {request => $accepted->{request}});
	}
}

sub measure
{
	my ($yard) = @_;
	my $requests = $ENV{NOTARISE} // 2000;
	note("one notary, $requests requests");
	my $pg = HdmsCluster->new(conf => "shared_buffers = 256MB\n");
	my $net = $pg->network;
	my ($south) = $net->hospitals(['south', notary => 1]);
	serve($pg);
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'hdms worker%'", 0);
	fill($net, $south, $requests);
	my @yard = [$yard->()];
	serve($pg, 'south');
	my ($worker, $started);
	HdmsCluster::wait_until('the worker', sub { ($worker, $started) = split /\|/, $pg->sql('south', "SELECT pid, extract(epoch FROM backend_start) FROM pg_stat_activity WHERE datname = 'south' AND backend_type LIKE 'hdms worker%'"); $worker });
	# The last receipt was put when nothing is queued any more; the time is the one of the look before it was so.
	HdmsCluster::wait_until('all receipts', sub {
		return $pg->sql('south', "SELECT (SELECT count(*) FROM hdms_internal.log_entries) = $requests AND NOT EXISTS (SELECT FROM hdms_internal.outbox WHERE status = 'queued') AND NOT EXISTS (SELECT FROM hdms_internal.inbox)") eq 't';
	}, 300);
	my $seconds = time - $started;
	my $processor = Bench::processor_seconds($worker);
	push @yard, [$yard->()];
	figure(figure => 'receipts a second, one notary', unit => '1/s', value => $requests / $seconds, yardstick => "a notary's cryptography alone, raw EVP, one core", yard => ($yard[0][0] + $yard[1][0]) / 2, aim => 'at least 0.5');
	figure(figure => "processor time of one receipt, the notary's worker", unit => 'ms', value => $processor * 1000 / $requests, yardstick => "a notary's cryptography alone, raw EVP", yard => ($yard[0][1] + $yard[1][1]) / 2, aim => 'at most 2', less_is_better => 1);
	Bench::end_cluster($pg);
}

1;
