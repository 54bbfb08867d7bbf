#!/usr/bin/perl
# Whether README.md and docs/ speak of what there is: every name in hdms.* is a function, view or setting, and each of those is documented;
# so are the keys of the device's configuration, and the server's in its sample; links, paths and the programs' commands exist.
# The last line says "docs: true". (tests/server/t/documented.t asks a running server for its metrics, events and defaults.)
use strict;
use warnings;
use FindBin;
chdir "$FindBin::Bin/.." or die "docs: $!\n";

sub slurp { my ($file) = @_; local $/; open my $in, '<', $file or die "docs: $file: $!\n"; return scalar <$in>; }
sub all { return join "\n", map { slurp($_) } @_; }
sub names { my ($text, $pattern) = @_; my %found; $found{$1} = 1 while $text =~ /$pattern/g; return %found; }

my $wrong = 0;
sub complain { print "docs: @_\n"; $wrong++; }

my %page = map { $_ => slurp($_) } 'README.md', glob('docs/*.md');
my $text = join "\n", values %page;
my $sql = all(glob('extension/sql/*.sql'));
my %function = names($sql, qr/CREATE (?:OR REPLACE )?FUNCTION hdms\.([a-z_]+)/);
my %view = names($sql, qr/CREATE (?:OR REPLACE )?VIEW hdms\.([a-z_]+)/);
my %setting = names(slurp('extension/settings.c'), qr/"hdms\.([a-z_]+)"/);
# Names of hosts, files and logs (hdms.v1/...), not of objects.
my %other = map { $_ => 1 } qw(example conf v);

for my $page (sort keys %page)
{
	my %used = names($page{$page}, qr/(?<![\w.-])hdms\.([a-z_]+)/);
	for (sort keys %used)
	{
		complain("$page: there is no hdms.$_") unless $function{$_} || $view{$_} || $setting{$_} || $other{$_};
	}
	my $folder = $page =~ m{(.*/)} ? $1 : '';
	my %link = names($page{$page}, qr/\]\((?!https?:)([^)#]+)/);
	complain("$page: no such page or file: $_") for grep { !-e "$folder$_" } sort keys %link;
	my %path = names($page{$page}, qr{`((?:bench|demo|docs|extension|node_agent|packaging|protocol|server|tests|tools)/[\w./-]*)`});
	complain("$page: no such path: $_") for grep { !-e } sort keys %path;
}
for (sort keys %function, sort keys %view)
{
	complain("hdms.$_ is in neither docs/dba.md nor docs/emr.md") unless "$page{'docs/dba.md'}$page{'docs/emr.md'}" =~ /\b$_\b/;
}
complain("the setting hdms.$_ is not in docs/dba.md") for grep { $page{'docs/dba.md'} !~ /`hdms\.$_`/ } sort keys %setting;

# The table of keys in node_agent/config.c begins each row with the key.
my %key = names(slurp('node_agent/config.c'), qr/\{\s*"([a-z_]{3,})",/);
complain("the device's setting $_ is not in docs/patient.md") for grep { $page{'docs/patient.md'} !~ /`$_`/ } sort keys %key;
my %server_key = names(slurp('server/config.c'), qr/\{\s*"([a-z_]+)",/);
my %sample = names(slurp('packaging/hdms-server.conf'), qr/^(?:# )?([a-z_]+) = /m);
complain("the server's setting $_ is not in the sample") for grep { !$sample{$_} } sort keys %server_key;
complain("the sample has $_, which the server does not know") for grep { !$server_key{$_} } sort keys %sample;

# What the programs say of themselves.
my %usage = ('hdms-node' => all(glob('node_agent/cli/*.c')), 'hdms-server' => all('server/hdms_server.c', 'server/usage.c'));
for my $program (sort keys %usage)
{
	my %command = names($text, qr/^(?:[^\n]*[`|] ?)?\Q$program\E(?: --[a-z-]+ (?:\S+))* ([a-z]+)\b/m);
	complain("$program has no command $_") for grep { $usage{$program} !~ /["\s|]$_\b/ } sort keys %command;
}
my %file = names(all(glob('packaging/systemd/*'), 'packaging/postgresql-hdms.conf'), qr{(/usr/local/[\w./-]+)});
my $install = join ' ', map { s{.*/}{}r } glob('docs/*'), glob('packaging/*.conf'), glob('packaging/systemd/*'), qw(hdms-server hdms-node hdms-tool README.md);
for my $file (sort { $a cmp $b } keys %{{%file, names($text, qr{(/usr/local/[\w./-]+)})}})
{
	my $name = $file =~ s{.*/}{}r;
	complain("make install does not install $file") if index(" $install ", " $name ") < 0;
}
print "docs: true\n" unless $wrong;
exit($wrong ? 1 : 0);
