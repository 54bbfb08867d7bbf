# What docs/operator.md and the sample configuration say is what the server does: metrics, health, events of the log, settings.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $top = '../..';
my $docs = HdmsTest::read_file("$top/docs/operator.md");
my $sample = HdmsTest::read_file("$top/packaging/hdms-server.conf");
my $t = HdmsTest->new;
my $h = $t->institution('Hospital');

# metrics
my ($watching) = $docs =~ /^\*\*Metrics\*\*(.*?)^## /ms;
my $served = HdmsTest::run('curl', '-s', $t->{METRICS_URL});
my %is_served = map { $_ => 1 } $served =~ /^# TYPE (\S+)/mg;
my %is_said = map { $_ => 1 } map { /`(hdms_\w+)/g } grep { /^\| `hdms_/ } split /\n/, $watching;
ok(keys %is_served > 30, 'metrics are served');
is(join(' ', grep { !$is_said{$_} } sort keys %is_served), '', 'each metric is documented');
is(join(' ', grep { !$is_served{$_} } sort keys %is_said), '', 'and none that is not there');
like($served, qr/^hdms_requests_total\{route="\w+",status="\d+"\} \d+$/m, 'requests have the labels that are documented');
like($served, qr/^hdms_authentication_failures_total\{reason="$_"\} \d+$/m, "so has the failure $_") for qw(clock-skew bad-signature);
unlike($served, qr/\Q$h->{id}\E/, 'nothing is labelled by node');
is((grep { !/^(?:#|hdms_\w+(?:\{[^}]*\})? -?[0-9.e+-]+$)/ } split /\n/, $served) + 0, 0, 'each line is as Prometheus reads it');

# health
is($t->request('-', GET => '/healthz')->{status}, 200, 'the health is 200');

# events of the log
my %is_logged;
for my $file (glob "$top/server/*.c")
{
	my $source = HdmsTest::read_file($file);
	while ($source =~ /log_event\(([^;]*?);/gs)
	{
		my $call = $1;
		next if $call =~ /^LEVEL_DEBUG/;
		my ($names) = $call =~ /^[^,]*,(?:[^,]*\?)?\s*((?:"\w+"(?:\s*:\s*)?)+)/ or next;
		$is_logged{$_} = 1 for $names =~ /"(\w+)"/g;
	}
}
my ($events) = $docs =~ /^\| event \| means \|(.*?)^\*\*Health/ms;
my %is_explained = map { $_ => 1 } map { (split /\|/)[1] =~ /`(\w+)`/g } grep { /^\| `/ } split /\n/, $events;
ok($is_logged{node_frozen} && $is_logged{node_pending}, 'the events are found in the sources');
is(join(' ', grep { !$is_explained{$_} } sort keys %is_logged), '', 'each event from "info" on is documented');
is(join(' ', grep { !$is_logged{$_} } sort keys %is_explained), '', 'and none that is not there');

# settings
my %default = HdmsTest::read_file("$top/server/config.c") =~ /^\t\{"(\w+)", SETTING_\w+, FIELD\(\w+\), ("[^"]*"|NULL)/mg;
my %shown = $sample =~ /^# (\w+) = (\S+)$/mg;
my %set = $sample =~ /^(\w+) = (.*)$/mg;
is(join(' ', grep { !exists $shown{$_} && !exists $set{$_} } sort keys %default), '', 'each setting is in the sample configuration');
is(join(' ', grep { !exists $default{$_} } sort keys %shown, keys %set), '', 'and none that there is not');
is(join(' ', grep { $default{$_} ne 'NULL' && $default{$_} ne "\"$shown{$_}\"" } sort keys %shown), '', 'with its default');
$t->healthy;
done_testing;
