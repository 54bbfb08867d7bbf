# What verification costs: a ledger of really signed states, beside the signatures alone; one core and two; proofs from a long log.
package Trust;
use strict;
use warnings;
use Bench;
use Growth;
use HdmsCluster;
use Time::HiRes qw(time);

# Of a committed first version: state, acceptance, commit and request are signed with ES256; a draw; a checkpoint, which a batch shares.
my $es256_of_a_state = 4;

# hdms.verify_ledger() of the whole ledger in a fresh session: (seconds, states). Of all records, without what is checked of the tables as a whole.
sub verify
{
	my ($north, $workers) = @_;
	my $started = time;
	my ($summary) = split /\n/, $north->sql("SET max_parallel_workers_per_gather = $workers; SELECT detail FROM hdms.verify_ledger(until => 'infinity') WHERE check_name = 'summary'");
	my $seconds = time - $started;
	my ($states) = $summary =~ /with (\d+) signed versions verified, 0 checks failed/ or die "the ledger does not verify: $summary\n";
	return ($seconds, $states);
}

sub measure_ledger
{
	my $states = $ENV{TRUST} // 20_000;
	note("verifying $states states");
	my $network = Bench::network_with_devices(devices => 10, hospitals => ['north', 'east'], issuers => 1, conf => "max_parallel_workers_per_gather = 2\n");
	my $north = $network->{hospitals}[0];
	Growth::serve($network->{pg});
	Growth::seed($network, $states);
	my (@one, @two, @es256, @all);
	for (1 .. 3)
	{
		my $us = $Bench::json->decode(HdmsCluster::command('trust', "$Bench::out/trust", 'signatures'));
		push @es256, 1e6 / ($es256_of_a_state * $us->{es256});
		push @all, 1e6 / ($es256_of_a_state * $us->{es256} + $us->{vrf} + $us->{ed25519});
		my ($seconds, $verified) = verify($north, 0);
		push @one, $verified / $seconds;
		($seconds, $verified) = verify($north, 1);
		push @two, $verified / $seconds;
	}
	figure(figure => 'hdms.verify_ledger, one core', unit => 'states/s', value => median(@one), yardstick => "the $es256_of_a_state ES256 verifications of a state alone, raw EVP", yard => median(@es256), aim => 'at least 0.85');
	figure(figure => 'hdms.verify_ledger, one core', unit => 'states/s', value => median(@one), yardstick => 'all signatures of a state, with its draw and its checkpoint', yard => median(@all));
	figure(figure => 'hdms.verify_ledger, two cores', unit => 'states/s', value => median(@two), yardstick => 'one core', yard => median(@one), aim => 'at least 1.8');
	$network->end;
}

sub measure
{
	my $leaves = $ENV{LEAVES} // 10_000_000;
	note("a log of $leaves leaves");
	print HdmsCluster::command('trust', "$Bench::out/trust", 'inclusion', $leaves);
	measure_ledger();
}

1;
