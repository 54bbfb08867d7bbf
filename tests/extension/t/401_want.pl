# A patient's node asks for copies: it gets what was signed for that node, whole, page by page, and nothing of anybody else's.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\n");
my $net = $pg->network;
my $north = $net->hospital('north');
my $to = $north->{node};
my $notary = Puppet->new;
$notary->do('join', server => $net->{url}, name => 'Notary');
$net->admit($notary->{node}, '--notary');
my ($patient, $friend) = map { Puppet->new } 1 .. 2;
$patient->pair($north->invite('P'));
$friend->pair($north->invite('F'));
$north->wait_for("SELECT count(*) > 0 FROM hdms_internal.notary_lists WHERE jws <> ''", 't');

sub commit
{
	my ($puppet, $ref, $content) = @_;
	my $record = $north->issue($ref, $content);
	my $body = $puppet->wait_message('record')->{body};
	my $mine = $puppet->do('accept', state => $body->{state}, commit => $body->{commit});
	my %evidence = (acceptance => $mine->{acceptance}, request => $mine->{request}, receipt => $notary->do('receipt', request => $mine->{request})->{receipt});
	$puppet->send($to, 'accepted', {vk => $mine->{vk}, %evidence});
	$north->wait_status($record, 'committed');
	return {vk => $mine->{vk}, state => $body->{state}, %evidence};
}
sub want
{
	my ($puppet, %body) = @_;
	my $sent = $puppet->send($to, 'want', \%body);
	return $puppet->wait_message('copies', re => $sent->{jti})->{body};
}
sub copy_of { my ($r) = @_; return {map { $_ => $r->{$_} } qw(state acceptance request receipt)}; }

my @mine = map { commit($patient, 'P', "{\"n\": $_}") } 1 .. 3;
my $theirs = commit($friend, 'F', '{"n": 9}');

my $all = want($patient);
is_deeply($all->{copies}, [map { copy_of($_) } @mine], 'all copies of the node, as they were signed');
ok(!exists $all->{next} && !exists $all->{missing}, 'and that these were the last');
is_deeply(want($patient, wanted => [$mine[1]{vk}, $theirs->{vk}, 'A' x 43]), {copies => [copy_of($mine[1])], missing => [$theirs->{vk}, 'A' x 43]},
	'by name: nothing that was signed for somebody else');

subtest 'pages' => sub {
	my $large = 'x' x 200_000;
	push @mine, map { commit($patient, 'P', "{\"n\": $_, \"text\": \"$large\"}") } 4 .. 7;
	my (@got, %place);
	my $pages = 0;
	while (1)
	{
		my $page = want($patient, %place);
		push @got, @{$page->{copies}};
		$pages++;
		last unless defined $page->{next};
		%place = (after => $page->{next});
	}
	is_deeply(\@got, [map { copy_of($_) } @mine], 'together are everything, in order');
	cmp_ok($pages, '>', 1, "in $pages pages");
	my $first = want($patient, wanted => [map { $_->{vk} } @mine[3 .. 6]]);
	is(scalar @{$first->{copies}}, 1, 'what does not fit is left out of an answer by name');
	ok(!$first->{missing}, 'and not said to be missing');
};

subtest 'a version that the patient has not answered' => sub {
	my $record = $north->issue('P', '{"open": true}');
	my $body = $patient->wait_message('record')->{body};
	my $vk = $north->sql("SELECT vk FROM hdms.states WHERE record = '$record'");
	is_deeply(want($patient, wanted => [$vk]), {copies => [{state => $body->{state}, commit => $body->{commit}}]}, 'comes with its commit');
};

subtest 'questions that are none' => sub {
	my $refused = $north->sql('SELECT count(*) FROM hdms_internal.refusals');
	$patient->send($to, 'want', {after => 'nowhere'});
	$notary->send($to, 'want', {});
	$north->wait_for('SELECT count(*) FROM hdms_internal.refusals', $refused + 2);
	pass('are refused');
};

subtest 'a binding that was bent to another patient' => sub {
	$north->sql("UPDATE hdms_internal.records SET patient_ref = 'F' WHERE record = (SELECT record FROM hdms_internal.versions WHERE vk = '$mine[0]{vk}')");
	is_deeply([map { $_->{state} } @{want($friend)->{copies}}], [$theirs->{state}], 'gives them nothing');
};

done_testing();
