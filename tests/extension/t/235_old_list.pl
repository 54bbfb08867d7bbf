# A notary draws the line by its own clock: a list of notaries that is too old when the leaf would be written is refused.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

# As short as the server allows.
my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network(conf => "notary_list_max_age = 60s\n");
my ($south) = $net->hospitals(['south', notary => 1]);
my $clinic = Puppet->new;
$clinic->do('join', server => $net->{url}, name => 'Clinic');
$net->admit($clinic->{node});
my $patient = Puppet->new;
$patient->do('join', server => $net->{url}, voucher => $clinic->do('voucher')->{voucher});

# Both name the same list; the patient's signature and draw are made while it is fresh.
my @states = map { $clinic->do('state', sub => $patient->{node}, content => "{\"n\": $_}") } 1 .. 2;
my @accepted = map { $patient->do('accept', state => $_->{state}, commit => $_->{commit}) } @states;
my $early = $patient->notarise({%{$accepted[0]}});
ok($early->{receipt}, 'while the list is fresh the notary promises');
my $iat = $south->sql("SELECT iat FROM hdms_internal.notary_lists ORDER BY iat DESC LIMIT 1");
wait_until('the list to be too old', sub { time > $iat + 62 && time > $pg->sql('hdms_server', "SELECT max(iat) FROM hdms_server.notary_lists WHERE iat <= $iat + 5") + 62 }, 90);
my $sent = $patient->send($south->{node}, 'notarise', {request => $accepted[1]{request}});
is($patient->wait_message('refused', re => $sent->{jti})->{body}{code}, 'expired', 'afterwards it refuses what was signed before');
is($south->sql('SELECT count(*) FROM hdms_internal.log_entries'), '1', 'and writes nothing');
my $again = $patient->notarise({%{$accepted[0]}});
is($patient->do('check_receipt', receipt => $again->{receipt}, notary => $south->{node}, request => $accepted[0]{request})->{index}, 0, 'what it promised stands');
done_testing;
