# Work that a message brings is done at once, not when the worker next looks by itself.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my $uri = $north->invite('A');
my $early = $north->issue('A', '{"early": true}');
$north->wait_status($early, 'waiting_for_patient');

# From here on the worker looks by itself once an hour.
$pg->configure("hdms.poll_interval = 3600\n");
$pg->reload;
$north->wait_for("SELECT setting FROM pg_settings WHERE name = 'hdms.poll_interval'", '3600');

my $alice = $net->device('alice');
$alice->pair($uri);
$alice->start;
$north->wait_status($early, 'delivered', 30);
$alice->cmd('accept', $early);
$alice->cmd('policy', 'North Hospital', 'accept');
$north->wait_status($early, 'committed', 30);
pass('a record that waited for the patient goes out when the patient pairs');

my $record = $north->issue('A', '{"step": 0}');
$north->sql("SELECT hdms.amend('$record', '{\"step\": $_}')") for 1 .. 2;
$north->wait_for("SELECT string_agg(status, ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$record'", 'superseded,superseded,committed', 30);
pass('an amendment that waited goes out when the version before it commits');

done_testing();
