# Hospitals publish their logs through the server: what anybody reads there is what was promised, also after the server lost it.
use strict;
use warnings;
use Test::More;
use Digest::SHA qw(sha256);
use HTTP::Tiny;
use MIME::Base64 ();
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.publish_interval = 1\nhdms.checkpoint_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north', notary => 1], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for('SELECT status FROM hdms.patients', 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');

sub fetched { my ($path) = @_; my $answer = HTTP::Tiny->new->get("$net->{url}/v1/log/$path"); return $answer->{status} == 200 ? $answer->{content} : ''; }
sub tree_root
{
	my (@hashes) = @_;
	return $hashes[0] if @hashes == 1;
	my $k = 1;
	$k *= 2 while $k * 2 < @hashes;
	return sha256("\1" . tree_root(@hashes[0 .. $k - 1]) . tree_root(@hashes[$k .. $#hashes]));
}
sub tiles
{
	my ($what, $log, $size) = @_;
	return join '', map { my $w = $size - $_ * 256; fetched(sprintf("$log/tile/$what/%03d", $_) . ($w < 256 ? ".p/$w" : '')) } 0 .. int(($size - 1) / 256);
}

# The log as it is published; its size. Dies when it does not fit together.
sub published
{
	my ($log, $entries) = @_;
	my (undef, $size, $root) = split /\n/, fetched("$log/checkpoint");
	return 0 unless $size;
	my @hashes = unpack '(a32)*', tiles(0, $log, $size);
	die 'not the tree that was promised' unless $size == @hashes && tree_root(@hashes) eq MIME::Base64::decode_base64($root);
	if ($entries)
	{
		my @leaves = unpack '(n/a)*', tiles('entries', $log, $size);
		die 'not the leaves of that tree' unless join('', @hashes) eq join '', map { sha256("\0$_") } @leaves;
	}
	return $size;
}
# 300 records in one log: more than a tile.
$north->sql("SELECT count(hdms.issue('A-1', json_build_object('number', n))) FROM generate_series(1, 300) n");
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", '300', 240);
my $log = "$south->{node}/notary";
ok(eval { wait_until('the notary\'s log', sub { published($log, 1) == 300 }) }, 'a notary publishes its log, with the entries') or diag $@;
is(fetched("$log/checkpoint") =~ s/\s+\z//r, $south->sql('SELECT note FROM hdms_internal.log_checkpoints ORDER BY size DESC LIMIT 1') =~ s/\s+\z//r, 'under the checkpoint that it signed');
my $own = $north->sql('SELECT max(size) FROM hdms_internal.ledger_checkpoints');
ok(eval { wait_until('the hospital\'s own log', sub { published("$north->{node}/ledger") >= $own }) }, 'a hospital publishes the log of its own events') or diag $@;
cmp_ok($own, '>', 1, 'which has grown');
is(fetched("$north->{node}/ledger/tile/entries/000.p/1"), '', 'without the entries');
is(fetched("$north->{node}/notary/checkpoint"), '', 'a notary that has notarised nothing publishes nothing');

# The server loses its database.
$net->stop;
$pg->sql('hdms_server', 'TRUNCATE hdms_server.log_checkpoints, hdms_server.log_tiles, hdms_server.nodes');
$net->start;
ok(eval { wait_until('the logs again', sub { published($log, 1) == 300 && published("$north->{node}/ledger") >= $own }, 120) }, 'what the server lost is published again') or diag $@;

# It went on.
my $record = $north->issue('A-1', '{"after": "the loss"}');
$north->wait_status($record, 'committed', 120);
ok(eval { wait_until('the next checkpoint', sub { published($log, 1) == 301 }) }, 'and goes on') or diag $@;
unlike($pg->log_text, qr/does not take this node's log/, 'nothing was refused');
done_testing;
