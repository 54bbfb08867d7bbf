# A patient replaces the keys of a node: records go on, old ones still verify, and the kit recovers what was rotated.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1], ['west', notary => 1]);
my $conf = "notary_patience = 5s\nresend_initial = 2s\nretry_max = 2s\n";
my $phone = $net->device('phone', conf => $conf);
$phone->pair($north->invite('A'));
$phone->start;
my $node = $north->sql("SELECT node_id FROM hdms.patients WHERE patient_ref = 'A'");
sub entries { return $north->sql("SELECT json_array_length(history::json) FROM hdms_internal.peers WHERE node_id = '$node'"); }
sub rotated { my ($count) = @_; wait_until("the hospital to have $count entries", sub { entries() == $count && !$phone->json('status')->{pairings}[0]{rotating} }); }

$phone->cmd('policy', 'North Hospital', 'accept');
my $first = $north->issue('A', '{"before": true}');
$north->wait_status($first, 'committed');
is_deeply($phone->json('rotate'), {rotating => 1}, 'the keys are to be replaced');
rotated(2);
my $second = $north->issue('A', '{"after": true}');
$north->sql("SELECT hdms.amend('$first', '{\"before\": false}')");
$north->wait_for("SELECT status FROM hdms.states WHERE record = '$first' AND version = 2", 'committed');
$north->wait_status($second, 'committed');
pass('records and amendments go on with the new keys');
$phone->cmd('rotate', 'North Hospital');
my @during = map { $north->issue('A', "{\"during\": $_}") } 1 .. 20;
$north->wait_status($_, 'committed', 120) for @during;
rotated(3);
pass('also while records flow');
is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', 'the hospital verifies all of them');
is(scalar(grep { !$phone->json('verify', $_->{record})->{ok} } @{$phone->json('records')}), 0, 'and so does the phone');

my $uri = $phone->json('kit')->{kits}[0]{uri};
my $expected = join ' ', sort map { "$_->{record} $_->{version}" } @{$phone->json('records')};
$phone->stop('KILL');
my $new = $net->device('new', empty => 1);
$new->cmd('recover', $uri);
$new->start;
wait_until('all records to be back', sub { !grep { $_->{recovering} } @{$new->json('status')->{pairings}} });
is(join(' ', sort map { "$_->{record} $_->{version}" } @{$new->json('records')}), $expected, 'the kit of before recovers what was rotated');
is(entries(), 4, 'with one entry more');
is(scalar(grep { !$new->json('verify', $_->{record})->{ok} } @{$new->json('records')}), 0, 'and everything verifies with the keys of its time');
$new->stop;

done_testing();
