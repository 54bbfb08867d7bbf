# Institutions put their logs for everybody to read, and cannot rewrite what they have put. The tree here is a few lines of RFC 6962.
use strict;
use warnings;
use Test::More;
use Digest::SHA qw(sha256);
use HdmsTest;

my $t = HdmsTest->new(config => "log_rate_per_second = 100000\ninstitution_rate_burst = 1000000");
my $h = $t->institution('Hospital');
my $other = $t->institution('Other');
my $p = $t->person($h);

sub tree_root
{
	my (@hashes) = @_;
	return $hashes[0] if @hashes == 1;
	my $k = 1;
	$k *= 2 while $k * 2 < @hashes;
	return sha256("\1" . tree_root(@hashes[0 .. $k - 1]) . tree_root(@hashes[$k .. $#hashes]));
}
my @leaves = map { pack 'a72', "leaf $_" } 0 .. 599;
my @hashes = map { sha256("\0$_") } @leaves;
my $files = 0;

sub put
{
	my ($who, $path, $body, %options) = @_;
	my $file = $t->write_file("$t->{base}/part" . ++$files, $body);
	return $t->request($who, PUT => "/v1/log/$h->{id}/$path", body => $file, type => $path =~ /checkpoint/ ? 'text/plain' : 'application/octet-stream', %options);
}
sub path { my ($level, $index, $width) = @_; return sprintf('tile/%s/%03d', $level, $index) . ($width < 256 ? ".p/$width" : ''); }
sub bundle { return join '', map { pack 'n/a', $_ } @_; }
sub level { my ($level, $size) = @_; my $n = 256 ** $level; return map { tree_root(@hashes[$_ * $n .. ($_ + 1) * $n - 1]) } 0 .. int($size / $n) - 1; }

# All that is new between two sizes; the statuses.
sub put_tiles
{
	my ($log, $from, $to) = @_;
	my @statuses;
	for my $level (0, 1)
	{
		my @all = level($level, $to);
		for (my $i = int($from / 256 ** ($level + 1)); $i * 256 < @all; $i++)
		{
			my $last = $i * 256 + 255 < @all ? $i * 256 + 255 : $#all;
			push @statuses, put($h, "$log/" . path($level, $i, $last - $i * 256 + 1), join '', @all[$i * 256 .. $last])->{status};
		}
	}
	return join ' ', @statuses;
}
sub checkpoint { my ($log, $size) = @_; return HdmsTest::client('checkpoint', $h->{dir}, $log, $size, unpack 'H*', tree_root(@hashes[0 .. $size - 1])) . "\n"; }
sub fetched { my ($path) = @_; return $t->request('-', GET => "/v1/log/$h->{id}/$path"); }

my $notary = "hdms.v1/log/$h->{id}";
is(fetched('notary/checkpoint')->{status}, 404, 'there is no log yet');
HdmsTest::answers(put($h, 'notary/checkpoint', checkpoint($notary, 5)), 409, 'tiles-missing', 'a checkpoint is not taken before its tiles');
is(put_tiles('notary', 0, 5), '201', 'the institution puts its tiles');
is(put($h, 'notary/' . path('entries', 0, 5), bundle(@leaves[0 .. 4]))->{status}, 201, 'and its entries');
is(put($h, 'notary/checkpoint', checkpoint($notary, 5))->{status}, 201, 'then the checkpoint over them');
is(put($h, 'notary/checkpoint', checkpoint($notary, 5))->{status}, 200, 'and again');
is(fetched('notary/checkpoint')->{body}, checkpoint($notary, 5), 'which everybody can read');
is(fetched('notary/tile/0/000.p/5')->{body}, join('', @hashes[0 .. 4]), 'with the tile');
is(fetched('notary/tile/entries/000.p/3')->{body}, bundle(@leaves[0 .. 2]), 'and the beginning of the entries');
is(put_tiles('notary', 5, 600), '201 201 201 201', 'the log grows');
is(put($h, 'notary/checkpoint', checkpoint($notary, 600))->{status}, 201, 'over full tiles');
like(fetched('notary/tile/0/001')->{head}, qr/^cache-control: .*immutable/mi, 'which are to be kept for ever');
unlike(fetched('notary/tile/0/002.p/88')->{head}, qr/immutable/, 'unlike partial ones');
is(put($h, 'notary/checkpoint', checkpoint($notary, 5))->{status}, 200, 'an earlier checkpoint');
is(fetched('notary/checkpoint')->{body}, checkpoint($notary, 600), 'takes no later one away');
is(put_tiles('notary', 0, 5), '200', 'nor does a narrower tile');

# Rewriting.
my @true = @hashes;
$hashes[3] = sha256('another');
HdmsTest::answers(put($h, 'notary/' . path(0, 0, 256), join '', @hashes[0 .. 255]), 409, 'conflict', 'a tile cannot be rewritten');
HdmsTest::answers(put($h, 'notary/checkpoint', checkpoint($notary, 600)), 409, 'tiles-missing', 'nor a checkpoint');
HdmsTest::answers(put($h, 'notary/checkpoint', checkpoint($notary, 601 - 1)), 409, 'tiles-missing', 'not of the same size either');
like($t->logs, qr/"log_contradicted"/, 'the attempt is in the log');
@hashes = @true;

# Who and what.
HdmsTest::answers(put($other, 'notary/' . path(0, 3, 1), $hashes[0]), 403, 'not-yours', 'another institution puts nothing there');
HdmsTest::answers(put($p, 'notary/' . path(0, 3, 1), $hashes[0]), 403, 'not-yours', 'nor a person');
HdmsTest::answers(put('-', 'notary/' . path(0, 3, 1), $hashes[0]), 401, 'bad-signature', 'nor who does not sign');
HdmsTest::answers(put($h, 'notary/' . path(0, 3, 2), $hashes[0]), 400, 'bad-format', 'a tile has the width of its path');
HdmsTest::answers(put($h, 'notary/' . path('entries', 3, 1), pack 'n/a', 'short'), 400, 'bad-format', 'an entry of a notary is a leaf');
HdmsTest::answers(put($h, 'notary/' . path('entries', 3, 1), bundle(@leaves[0, 1])), 400, 'bad-format', 'and there are as many as the path says');
for my $path (qw(notary notary/ notary/tile/0/00 notary/tile/7/000 ledger/tile/entries/000.p/1 ledger/1/checkpoint ledger/02/checkpoint ledger/x/checkpoint notary/2/checkpoint offers/checkpoint ledger/2), 'notary/checkpoint/')
{
	is(put($h, $path, 'x')->{status}, 404, "$path is no log");
}
HdmsTest::answers(put($h, 'notary/checkpoint', checkpoint("hdms.v1/log/$other->{id}", 600)), 400, 'bad-claim', 'a checkpoint names its log');
HdmsTest::answers(put($h, 'notary/checkpoint', checkpoint($notary, 600) =~ s/\n600\n/\n601\n/r), 400, 'bad-signature', 'and is signed');

# The institution's own log, in a later epoch, too.
for my $log (['ledger', "hdms.v1/ledger/$h->{id}"], ['ledger/2', "hdms.v1/ledger/$h->{id}/2"])
{
	is(put_tiles($log->[0], 0, 300), '201 201 201', "$log->[0] has tiles");
	is(put($h, "$log->[0]/checkpoint", checkpoint($log->[1], 300))->{status}, 201, 'and a checkpoint');
	is(fetched("$log->[0]/checkpoint")->{body}, checkpoint($log->[1], 300), 'for everybody');
	is(fetched("$log->[0]/tile/entries/000")->{status}, 404, 'but no entries');
}
HdmsTest::answers(put($h, 'ledger/2/checkpoint', checkpoint("hdms.v1/ledger/$h->{id}", 300)), 400, 'bad-claim', 'each epoch has its own name');
done_testing;
