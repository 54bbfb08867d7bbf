# Over TLS: only a server that the configured authority vouches for, under the name that it is called by.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my $folder = $net->{folder};

sub openssl { HdmsCluster::command('openssl', 'openssl', @_); return; }

# An authority, and a certificate of the server by it.
openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj), '/CN=Test authority', '-keyout', "$folder/ca.key", '-out', "$folder/ca.pem");
openssl(qw(req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj), '/CN=localhost', '-keyout', "$folder/tls.key", '-out', "$folder/tls.csr");
spew("$folder/tls.ext", "subjectAltName = DNS:localhost\n");
openssl('x509', '-req', '-in', "$folder/tls.csr", '-CA', "$folder/ca.pem", '-CAkey', "$folder/ca.key", '-days', '2', '-extfile', "$folder/tls.ext", '-out', "$folder/tls.pem");
openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj), '/CN=Another authority', '-keyout', "$folder/other.key", '-out', "$folder/other.pem");
my ($uid, $gid) = (stat $pg->{data})[4, 5];
mkdir "$pg->{base}/ca";
for my $file ('ca.pem', 'other.pem')
{
	spew("$pg->{base}/ca/$file", slurp("$folder/$file"));
	chmod 0644, "$pg->{base}/ca/$file";
}
$net->stop;
$net->{url} = "https://localhost:$net->{port}";
$net->{conf} = "tls_certificate = $folder/tls.pem\ntls_key = $folder/tls.key\n";
$net->start;

sub authority
{
	my ($file) = @_;
	$pg->configure("hdms.server_ca_file = '$file'\n");
	$pg->reload;
	return;
}

$pg->sql('postgres', 'CREATE DATABASE north');
$pg->sql('north', 'CREATE EXTENSION hdms CASCADE');
$pg->serve_database('north');
$pg->sql('north', "SELECT hdms.join_network('https://localhost:$net->{port}', '$net->{fingerprint}', 'North', false)");
$pg->wait_sql('north', "SELECT last_error LIKE '%certificate%' FROM hdms_internal.worker_status()");
pass('a certificate that no known authority signed is refused');
authority("$pg->{base}/ca/other.pem");
my $failures = $pg->sql('north', 'SELECT failures FROM hdms_internal.worker_status()');
$pg->wait_sql('north', "SELECT failures > $failures AND last_error LIKE '%certificate%' FROM hdms_internal.worker_status()");
pass('so is one of another authority');
authority("$pg->{base}/ca/ca.pem");
$pg->wait_sql('north', 'SELECT status FROM hdms.node', 'pending');
pass('with the authority configured the node registers');
$net->admit($pg->sql('north', 'SELECT node_id FROM hdms.node'));
$pg->wait_sql('north', 'SELECT status FROM hdms.node', 'active');
pass('and becomes active');
$pg->sql('north', "SELECT hdms.join_network('https://127.0.0.1:$net->{port}', '$net->{fingerprint}', 'North', false)");
$pg->wait_sql('north', "SELECT last_error LIKE '%certificate%' OR last_error LIKE '%subject name%' FROM hdms_internal.worker_status()");
pass('under a name that the certificate does not have the server is refused');

done_testing;
