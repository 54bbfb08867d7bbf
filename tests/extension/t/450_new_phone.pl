# A phone is lost and its kit is not: a new phone has all records again, and the old one is shut out.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north'], ['south', notary => 1], ['west', notary => 1]);
my $conf = "notary_patience = 5s\nresend_initial = 2s\nretry_max = 2s\n";
my $old = $net->device('old', conf => $conf);
$old->pair($north->invite('A'));
$old->pair($south->invite('B'));
$old->start;
$old->cmd('policy', $_, 'accept') for 'North Hospital', 'South Hospital';

my @records = map { $north->issue('A', "{\"north\": $_}") } 1 .. 5;
push @records, map { $south->issue('B', "{\"south\": $_}") } 1 .. 3;
for my $record (@records)
{
	my $hospital = $north->sql("SELECT count(*) FROM hdms.records WHERE record = '$record'") ? $north : $south;
	$hospital->wait_status($record, 'committed');
}
$north->sql("SELECT hdms.amend('$records[0]', '{\"north\": \"amended\"}')");
$north->wait_for("SELECT status FROM hdms.states WHERE record = '$records[0]' AND version = 2", 'committed');
$old->cmd('policy', 'North Hospital', 'ask');
my $undecided = $north->issue('A', '{"undecided": true}');
$north->wait_status($undecided, 'delivered');
wait_until('the old phone to be at rest', sub { $old->json('status')->{outbox} == 0 });
my $before = $old->json('records');
is(scalar(@$before), 8, 'the old phone has the records of both hospitals');
my $kit = $old->json('kit');
is(scalar(@{$kit->{kits}}), 1, 'the kit names one network');
is($kit->{kits}[0]{pairings}, 2, 'with two pairings');
$old->stop('KILL');

# Words, and where to look.
sub words_file { my ($name, $text) = @_; HdmsCluster::spew("$pg->{base}/$name", $text); return "$pg->{base}/$name"; }
sub recover
{
	my ($phone, @more) = @_;
	return $phone->try_cmd('--json', 'recover', '--server', $kit->{kits}[0]{server}, '--network', $kit->{kits}[0]{network}, @more);
}
sub contents { my ($phone) = @_; return join "\n", sort map { "$_->{record} $_->{version} $_->{status} $_->{institution}" } @{$phone->json('records', '--all')}; }

my $new = $net->device('new', empty => 1);
my @words = split / /, $kit->{words};
my ($status, $out, $err) = recover($new, '--words-file', words_file('wrong', join ' ', @words[1, 0, 2 .. 23]));
is($status, 1, 'words in a wrong order are refused');
like($err, qr/word/, 'with one line that says so');
ok(!-e "$new->{home}/node.db", 'and no home is made');
($status, $out, $err) = recover($new, '--words-file', words_file('words', $kit->{words}));
is($status, 0, 'the words bring the nodes back') or diag $err;
unlike($out . $err, qr/$words[0] $words[1]/, 'and are not printed');
$new->configure($conf);
$new->start;
wait_until('all records to be back', sub { !grep { $_->{recovering} } @{$new->json('status')->{pairings}} });
my $after = $new->json('records');
is(join(' ', sort map { "$_->{record} $_->{version} $_->{status}" } @$after), join(' ', sort map { "$_->{record} $_->{version} $_->{status}" } @$before),
	'all records are back, from both hospitals');
is(scalar(grep { !$new->json('verify', $_->{record})->{ok} } @$after), 0, 'and each verifies, all versions of it');
is($new->json('show', $records[0])->{content}{north}, 'amended', 'with the newest content');
wait_until('what was undecided to be asked for again', sub { grep { $_->{record} eq $undecided } @{$new->json('inbox')} });
$new->cmd('accept', $undecided);
$north->wait_status($undecided, 'committed');
pass('what the old phone had not decided is accepted on the new one');
my $fresh = $south->issue('B', '{"after": true}');
wait_until('a new record to be asked for', sub { grep { $_->{record} eq $fresh } @{$new->json('inbox')} });
$new->cmd('accept', $fresh);
$south->wait_status($fresh, 'committed');
pass('new records come to the new phone');
is($_->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', "$_->{db} verifies all its records, before and after") for $north, $south;

subtest 'the old phone' => sub {
	my $bait = $north->issue('A', '{"bait": true}');
	wait_until('the new phone to have it', sub { grep { $_->{record} eq $bait } @{$new->json('inbox')} });
	unlink "$old->{home}/socket";
	$old->start;
	wait_until('the server to refuse it', sub { $old->log_text =~ /HTTP 401/ });
	$old->try_cmd('accept', $undecided);
	$new->cmd('accept', $bait);
	$north->wait_status($bait, 'committed');
	ok(!(grep { $_->{record} eq $bait } @{$old->json('records', '--all')}), 'gets nothing any more');
	is($north->sql("SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE r.record IN ('$bait', '$undecided') AND NOT v.ok"), '0',
		'and what it signs counts for nothing');
	$old->stop('KILL');
};

subtest 'the new phone is lost, too, and recovery is killed again and again' => sub {
	my $expected = contents($new);
	$new->stop('KILL');
	my $third = $net->device('third', empty => 1);
	my $picture = $kit->{kits}[0]{uri};
	HdmsCluster::finish(HdmsCluster::launch($third->{log}, $third->command_line('recover', $picture)), 'KILL');
	my $complete = sub { my $now = eval { $third->json('status') }; return $now && !$now->{recovery} && @{$now->{pairings}} == 2 && !grep { $_->{recovering} } @{$now->{pairings}} };
	($status, $out, $err) = $third->try_cmd('recover', $picture) unless -e "$third->{home}/node.db" && $complete->();
	for my $turn (1 .. 6)
	{
		last if !-e "$third->{home}/node.db";
		my $pid = HdmsCluster::launch($third->{log}, $third->command_line('run'));
		select undef, undef, undef, 0.15 * $turn;
		HdmsCluster::finish($pid, 'KILL');
		unlink "$third->{home}/socket";
	}
	$third->start;
	wait_until('everything to be back', $complete);
	is(contents($third), $expected, 'everything is back all the same');
	is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', 'and the hospital verifies everything with the third keys');
	$third->stop;
};

done_testing();
