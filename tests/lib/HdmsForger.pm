# HdmsForger: what somebody with all rights in a hospital's database can compute again after changing a row: every digest, every
# leaf and every tile of the node's own log. What is signed cannot be: the keys are not in the database.
package HdmsForger;
use strict;
use warnings;
use Digest::SHA qw(sha256 sha256_hex);
use MIME::Base64 qw(encode_base64url decode_base64url);
use Exporter qw(import);

our @EXPORT = qw(forge_state forge_record rewrite_log);

# The state with one word changed, and the digests in it computed again; its new verification key.
sub forge_state
{
	my ($state, $old, $new) = @_;
	my ($jwt, @disclosures) = split /~/, $state;
	my ($header, $claims, $signature) = split /\./, $jwt;
	my $text = decode_base64url($claims);
	my $found = 0;
	for my $disclosure (@disclosures)
	{
		my $json = decode_base64url($disclosure);
		next unless $json =~ s/\Q$old\E/$new/g;
		my $before = encode_base64url(sha256($disclosure));
		$disclosure = encode_base64url($json);
		my $after = encode_base64url(sha256($disclosure));
		$text =~ s/\Q$before\E/$after/ or die "the digest of a disclosure is not in the state\n";
		$found++;
	}
	die "\"$old\" is not in the record\n" unless $found;
	$text =~ s{"_sd":\[([^]]*)\]}{'"_sd":[' . join(',', sort split /,/, $1) . ']'}e;
	$jwt = join '.', $header, encode_base64url($text), $signature;
	return (join('~', $jwt, @disclosures) . '~', encode_base64url(sha256($jwt)));
}

# Rewrites a word in the newest version of a record, and every digest of it in the tables of the ledger.
sub forge_record
{
	my ($hospital, $record, $old, $new) = @_;
	my ($id, $text) = split /\|/, $hospital->sql("SELECT p.id, p.state FROM hdms_internal.payloads p JOIN hdms_internal.versions v USING (id) WHERE v.record = '$record' ORDER BY v.ordinal DESC LIMIT 1");
	my ($state, $vk) = forge_state($text, $old, $new);
	$hospital->sql(<<"SQL");
BEGIN;
UPDATE hdms_internal.payloads SET content = replace(content::text, '$old', '$new')::json, state = '$state' WHERE id = $id;
UPDATE hdms_internal.versions SET vk = '$vk' WHERE id = $id;
UPDATE hdms_internal.events e SET evidence = sha256(convert_to('hdms.v1/evidence' || v.vk, 'UTF8') || sha256(convert_to(p.state, 'UTF8'))
		|| sha256(convert_to(p.acceptance, 'UTF8')) || sha256(convert_to(p.request, 'UTF8')) || sha256(convert_to(p.receipt, 'UTF8')))
	FROM hdms_internal.versions v JOIN hdms_internal.payloads p USING (id) WHERE v.id = $id AND e.version_id = v.id AND e.evidence IS NOT NULL;
COMMIT;
SQL
	rewrite_log($hospital);
}

# SQL for the canonical bytes of a row of events or audit (extension/ledger_digest.h).
my %columns = (
	events => [qw(id:int8 at:timestamptz kind:text record:uuid version_id:int8 patient_ref:text source_id:text status:text reason:text node_id:text evidence:bytea)],
	audit => [qw(id:int8 at:timestamptz login:text role:text actor:text action:text record:uuid version_id:int8 patient_ref:text purpose:text)],
);
my %bytes = (int8 => 'int8send(%s)', timestamptz => 'timestamptz_send(%s)', uuid => 'uuid_send(%s)', text => "convert_to(%s, 'UTF8')", bytea => '%s');

sub row_bytes
{
	my ($table) = @_;
	return join ' || ', map {
		my ($name, $type) = split /:/;
		my $value = sprintf $bytes{$type}, "t.$name";
		"CASE WHEN t.$name IS NULL THEN '\\xffffffff'::bytea ELSE int4send(length($value)) || $value END";
	} @{$columns{$table}};
}

# Makes every leaf of a node's own log fit the rows as they are now, and every stored hash fit the leaves. Committed at once.
sub rewrite_log
{
	my ($hospital) = @_;
	for my $table (sort keys %columns)
	{
		my $kind = $table eq 'events' ? '01' : '02';
		my $row = row_bytes($table);
		$hospital->sql(<<"SQL");
UPDATE hdms_internal.ledger_entries e SET leaf = substr(e.leaf, 1, 9) || d.digest
FROM (SELECT e.index, sha256(convert_to('hdms.v1/ledger', 'UTF8') || '\\x$kind'::bytea || e.salt || int4send(count(*)::integer) || string_agg($row, ''::bytea ORDER BY t.id)) AS digest
	FROM hdms_internal.ledger_entries e JOIN hdms_internal.$table t ON t.id BETWEEN e.first_id AND e.last_id WHERE e.kind = '$table' GROUP BY e.index, e.salt) d
WHERE d.index = e.index AND substr(e.leaf, 10) <> d.digest
SQL
	}
	my @hashes = map { sha256("\0" . pack 'H*', $_) } split /\n/, $hospital->sql("SELECT encode(leaf, 'hex') FROM hdms_internal.ledger_entries ORDER BY index");
	for (my $level = 0; @hashes; $level++)
	{
		my @above;
		for (my $first = 0; $first < @hashes; $first += 256)
		{
			my @tile = grep { defined } @hashes[$first .. $first + 255];
			my $hex = unpack 'H*', join '', @tile;
			$hospital->sql("UPDATE hdms_internal.ledger_tiles SET hashes = decode('$hex', 'hex') WHERE level = $level AND index = " . $first / 256 . " AND length(hashes) = " . length($hex) / 2);
			next if @tile < 256;
			@tile = map { sha256("\1" . $tile[2 * $_] . $tile[2 * $_ + 1]) } 0 .. $#tile / 2 while @tile > 1;
			push @above, $tile[0];
		}
		@hashes = @above;
	}
}

1;
