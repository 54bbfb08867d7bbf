#!/usr/bin/perl
# Turns measured figures (JSON, one object a line, on standard input) into a table on standard output,
# bench.json and bench.svg in the folder given. A figure has: figure, value, unit, and where there is one
# yardstick, yard (its value in the same unit), aim, less_is_better.
use strict;
use warnings;
use utf8;
use JSON::PP;
use List::Util qw(max);

binmode STDOUT, ':utf8';
my $folder = shift // die "usage: report.pl FOLDER < figures\n";
my $json = JSON::PP->new->utf8->canonical;
my @figures = map { $json->decode($_) } grep { /^\{"figure"/ } <STDIN>;

sub number
{
	my $n = shift;
	return '' unless defined $n;
	return $n >= 1000 ? sprintf('%.0f', $n) : $n >= 10 ? sprintf('%.1f', $n) : sprintf('%.2f', $n);
}

my @rows = (['figure', 'value', 'unit', 'yardstick', 'its value', 'ratio', 'aim']);
for my $f (@figures)
{
	$f->{ratio} = $f->{value} / $f->{yard} if $f->{yard};
	push @rows, [$f->{figure}, number($f->{value}), $f->{unit} // '', $f->{yardstick} // '', number($f->{yard}), number($f->{ratio}), $f->{aim} // ''];
}
my @width = map { my $c = $_; max map { length $_->[$c] } @rows } 0 .. 6;
for my $row (@rows)
{
	print join('  ', map { sprintf($_ == 1 || $_ == 4 || $_ == 5 ? '%*s' : '%-*s', $width[$_], $row->[$_]) } 0 .. 6), "\n";
}

open my $out, '>', "$folder/bench.json" or die "$folder/bench.json: $!\n";
print $out JSON::PP->new->utf8->canonical->pretty->encode(\@figures);
close $out or die "$folder/bench.json: $!\n";

# The chart: one bar for each figure that has a yardstick; the line at 1 is the yardstick.
my @bars = grep { defined $_->{ratio} } @figures;
my $scale = 300 / max(1.2, map { $_->{ratio} } @bars);
my $height = 40 + 34 * @bars;
my $escape = sub { my $t = shift; $t =~ s/&/&amp;/g; $t =~ s/</&lt;/g; $t };
open my $svg, '>:utf8', "$folder/bench.svg" or die "$folder/bench.svg: $!\n";
print $svg qq(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 $height" font-family="Helvetica,Arial,sans-serif" font-size="12">\n);
print $svg qq(<rect width="820" height="$height" fill="#fff"/>\n);
my $y = 24;
for my $f (@bars)
{
	printf $svg qq(<text x="400" y="%d" text-anchor="end">%s</text><text x="400" y="%d" text-anchor="end" fill="#777">: %s</text>\n),
		$y + 2, $escape->($f->{figure}), $y + 15, $escape->($f->{yardstick});
	printf $svg qq(<rect x="410" y="%d" width="%.1f" height="16" fill="%s"/><text x="%.1f" y="%d">%s</text>\n),
		$y - 6, $f->{ratio} * $scale, $f->{less_is_better} ? '#c98f3c' : '#3c7fc9', 416 + $f->{ratio} * $scale, $y + 6, number($f->{ratio});
	$y += 34;
}
printf $svg qq(<line x1="%.1f" x2="%.1f" y1="8" y2="%d" stroke="#333" stroke-dasharray="4 3"/>\n</svg>\n), 410 + $scale, 410 + $scale, $height - 10;
close $svg or die "$folder/bench.svg: $!\n";
