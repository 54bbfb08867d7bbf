/*
 * seed.c
 *		A ledger of many committed states, all of them valid, as files for COPY: to see what its size costs.
 *
 *	seed COUNT ISSUER_KEY NOTARY_LOG_KEY NOTARY NETWORK_KEY LIST FOLDER
 *
 * Everything is really signed: states and commits with the issuer's key, acceptances and requests with the keys of patients made
 * here (one for each 100 records), checkpoints with the notary's. The files are named after the tables of hdms_internal:
 * peers, patients, records, versions, payloads for the issuer, log_entries, log_tiles, log_checkpoints for the notary, whose log was empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json_scan.h"
#include "notarisation.h"

#define RECORDS_PER_PATIENT	100
#define BATCH				100		/* states to a checkpoint */
#define LEVELS				40
#define TILE_HASHES			256
#define TERM				(30 * 86400)

typedef struct Patient
{
	char		ref[32];
	HdmsKey    *sign;
	HdmsKey    *vrf;
	char		id[HDMS_DIGEST_TEXT + 1];
	char		vrf_id[HDMS_DIGEST_TEXT + 1];
} Patient;

/* A state that waits for its batch's checkpoint. */
typedef struct Pending
{
	long		number;
	HdmsState	state;
	char	   *sd_jwt;
	char	   *acceptance;
	char	   *request;
	char		content[4096];
	unsigned char content_digest[HDMS_DIGEST_SIZE];
	HdmsLeaf	leaf;
} Pending;

static HdmsKey *issuer,
		   *log_key;
static const char *notary;
static HdmsNotaryList list;
static long count;
static HdmsHash *nodes[LEVELS];		/* complete nodes of the notary's tree */
static HdmsMerkleFrontier frontier;
static FILE *peers,
		   *patients,
		   *records,
		   *versions,
		   *payloads,
		   *entries,
		   *tiles,
		   *checkpoints;

static void
must(int ok, const char *what)
{
	if (!ok)
	{
		fprintf(stderr, "seed: %s\n", what);
		exit(1);
	}
}

static void
done(HdmsStatus status, const char *what)
{
	must(status == HDMS_OK, what);
}

static char *
file_text(const char *path)
{
	FILE	   *in = fopen(path, "r");
	char	   *text = calloc(1, 65536);

	must(in != NULL && text != NULL && fread(text, 1, 65535, in) > 0, path);
	fclose(in);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static HdmsKey *
file_key(const char *path)
{
	HdmsKey    *key;
	char	   *jwk = file_text(path);

	done(hdms_key_from_jwk(jwk, strlen(jwk), &key), path);
	free(jwk);
	return key;
}

static FILE *
file_for(const char *folder, const char *table)
{
	char		path[4096];
	FILE	   *out;

	snprintf(path, sizeof path, "%s/%s", folder, table);
	out = fopen(path, "w");
	must(out != NULL, path);
	return out;
}

/* A column as COPY wants it. */
static void
put_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
	{
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '\\')
			fputs("\\\\", out);
		else
			putc(*text, out);
	}
}

static void
put_bytes(FILE *out, const void *data, size_t len)
{
	fputs("\\\\x", out);
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%02x", ((const unsigned char *) data)[i]);
}

static HdmsStatus
store_node(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	(void) arg;
	memcpy(nodes[level][index], hash, HDMS_DIGEST_SIZE);
	return HDMS_OK;
}

static HdmsStatus
fetch_node(void *arg, int level, uint64_t index, HdmsHash hash)
{
	(void) arg;
	memcpy(hash, nodes[level][index], HDMS_DIGEST_SIZE);
	return HDMS_OK;
}

static void
make_patient(Patient *patient, long number)
{
	HdmsNodeKeys keys = {{NULL}, NULL};
	HdmsKey    *encrypt,
			   *recovery;
	HdmsHistory *history;
	char	   *json;

	hdms_key_free(patient->sign);
	hdms_key_free(patient->vrf);
	done(hdms_key_generate(HDMS_KEY_P256, 0, &patient->sign), "a key");
	done(hdms_key_generate(HDMS_KEY_P256, 0, &patient->vrf), "a key");
	done(hdms_key_generate(HDMS_KEY_P256, 0, &encrypt), "a key");
	done(hdms_key_generate(HDMS_KEY_P256, 0, &recovery), "a key");
	keys.role[HDMS_ROLE_SIGN] = patient->sign;
	keys.role[HDMS_ROLE_ENCRYPT] = encrypt;
	keys.role[HDMS_ROLE_VRF] = patient->vrf;
	keys.recovery = recovery;
	done(hdms_history_create(HDMS_PERSON, NULL, &keys, time(NULL), &json), "a key history");
	done(hdms_history_parse(json, strlen(json), &history), "a key history");
	snprintf(patient->ref, sizeof patient->ref, "S-%ld", number);
	strcpy(patient->id, hdms_history_node_id(history));
	strcpy(patient->vrf_id, hdms_key_thumbprint(patient->vrf));
	fprintf(peers, "%s\tperson\t\t", patient->id);
	put_text(peers, json);
	fprintf(peers, "\n");
	fprintf(patients, "%s\t%s\tpaired\n", patient->ref, patient->id);
	free(json);
	hdms_history_free(history);
	hdms_key_free(encrypt);
	hdms_key_free(recovery);
}

/* State, commit, acceptance, request and leaf. */
static void
make_state(const Patient *patient, Pending *pending)
{
	HdmsCommit	commit;
	HdmsRequest request;
	const HdmsNotary *drawn;
	char	   *commit_text;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(pending->content, sizeof pending->content,
			 "{\"resourceType\":\"Observation\",\"id\":\"s-%ld\",\"status\":\"final\",\"code\":{\"coding\":[{\"system\":\"http://loinc.org\",\"code\":\"4548-4\"}]},"
			 "\"subject\":{\"reference\":\"Patient/%s\"},\"effectiveDateTime\":\"2026-03-01T08:00:00+00:00\",\"issued\":\"2026-03-01T08:15:00.000+00:00\","
			 "\"valueQuantity\":{\"value\":6.9,\"unit\":\"%%\",\"system\":\"http://unitsofmeasure.org\",\"code\":\"%%\"},\"note\":[{\"text\":\"%0*ld\"}]}",
			 pending->number, patient->ref, (int) (500 + pending->number * 397 % 1000), pending->number);
	done(hdms_sha256(pending->content, strlen(pending->content), pending->content_digest), "the content's digest");
	memset(&pending->state, 0, sizeof pending->state);
	strcpy(pending->state.iss, hdms_key_thumbprint(issuer));
	strcpy(pending->state.sub, patient->id);
	done(hdms_uuid7((int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000, pending->state.record), "a record's id");
	pending->state.version = 1;
	pending->state.iat = now.tv_sec;
	done(hdms_content_type(pending->content, strlen(pending->content), pending->state.type), "the content's type");
	done(hdms_state_build(&pending->state, pending->content, strlen(pending->content), issuer, &pending->sd_jwt), "a state");
	done(hdms_commit_for(&pending->state, &commit), "a commit");
	commit.iat = now.tv_sec;
	commit.accept_until = now.tv_sec + TERM;
	strcpy(commit.notaries, list.digest);
	strcpy(commit.vrf, patient->vrf_id);
	done(hdms_commit_sign(&commit, issuer, &commit_text), "a commit");
	done(hdms_acceptance_sign(pending->sd_jwt, strlen(pending->sd_jwt), patient->sign, now.tv_sec, &pending->acceptance), "an acceptance");
	done(hdms_request_first(&pending->state, commit_text, pending->acceptance, &list, NULL, 0, patient->vrf, patient->sign, now.tv_sec,
							&pending->request, &drawn), "a request");
	must(strcmp(drawn->node, notary) == 0, "another notary was drawn");
	done(hdms_request_peek(pending->request, strlen(pending->request), &request), "a request");
	pending->leaf.time_ms = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
	memcpy(pending->leaf.tag, commit.tag, HDMS_DIGEST_SIZE);
	memcpy(pending->leaf.request, request.digest, HDMS_DIGEST_SIZE);
	free(commit_text);
}

static void
append_leaf(const Pending *pending)
{
	unsigned char leaf[HDMS_LEAF_SIZE];
	HdmsHash	hash;

	hdms_leaf_write(&pending->leaf, leaf);
	fprintf(entries, "%ld\t", pending->number);
	put_bytes(entries, leaf, sizeof leaf);
	putc('\t', entries);
	put_bytes(entries, pending->leaf.tag, HDMS_DIGEST_SIZE);
	putc('\t', entries);
	put_bytes(entries, pending->leaf.request, HDMS_DIGEST_SIZE);
	fprintf(entries, "\t%s\n", pending->request);
	done(hdms_merkle_leaf(leaf, sizeof leaf, hash), "a leaf");
	done(hdms_merkle_append(&frontier, hash, store_node, NULL), "the tree");
}

static void
write_rows(const Patient *patient, Pending *pending, const char *note)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int			proof_count;
	char	   *receipt;
	long		id = pending->number + 1;
	double		at = pending->leaf.time_ms / 1e3;

	done(hdms_merkle_inclusion(pending->number, frontier.size, fetch_node, NULL, proof, &proof_count), "a proof");
	done(hdms_receipt_build(&pending->leaf, pending->number, (const HdmsHash *) proof, proof_count, note, &receipt), "a receipt");
	fprintf(records, "%s\t%s\tseed/%ld\t%s\t1\n", pending->state.record, patient->ref, pending->number, pending->state.type);
	fprintf(versions, "%ld\t%s\t1\t", id, pending->state.record);
	put_bytes(versions, pending->content_digest, HDMS_DIGEST_SIZE);
	fprintf(versions, "\tcommitted\t30 days\t1\t%s\t%s\t%ld\t%.3f\n", pending->state.vk, notary,
			(long) (pending->state.iat + TERM), at);
	fprintf(payloads, "%ld\t", id);
	put_text(payloads, pending->content);
	fprintf(payloads, "\t%s\t%s\t%s\t", pending->sd_jwt, pending->acceptance, pending->request);
	put_text(payloads, receipt);
	putc('\n', payloads);
	free(receipt);
	free(pending->sd_jwt);
	free(pending->acceptance);
	free(pending->request);
}

static void
make_batch(const Patient *patient, long first, int size)
{
	static Pending batch[BATCH];
	HdmsCheckpoint checkpoint;
	char	   *note;

	for (int i = 0; i < size; i++)
	{
		batch[i].number = first + i;
		make_state(patient, &batch[i]);
		append_leaf(&batch[i]);
	}
	hdms_log_origin(notary, checkpoint.origin);
	checkpoint.size = frontier.size;
	done(hdms_merkle_root(&frontier, checkpoint.root), "the tree's root");
	done(hdms_checkpoint_sign(&checkpoint, log_key, &note), "a checkpoint");
	fprintf(checkpoints, "%lu\t", (unsigned long) checkpoint.size);
	put_text(checkpoints, note);
	putc('\n', checkpoints);
	for (int i = 0; i < size; i++)
		write_rows(patient, &batch[i], note);
	free(note);
}

static void
write_tiles(void)
{
	for (int level = 0; level * 8 < LEVELS; level++)
	{
		long		hashes = count >> (level * 8);

		for (long first = 0; first < hashes; first += TILE_HASHES)
		{
			long		width = hashes - first < TILE_HASHES ? hashes - first : TILE_HASHES;

			fprintf(tiles, "%d\t%ld\t", level, first / TILE_HASHES);
			put_bytes(tiles, nodes[level * 8][first], width * HDMS_DIGEST_SIZE);
			putc('\n', tiles);
		}
	}
}

int
main(int argc, char **argv)
{
	Patient		patient = {0};
	HdmsKey    *network;
	char	   *jws;
	FILE	  **files[] = {&peers, &patients, &records, &versions, &payloads, &entries, &tiles, &checkpoints};
	static const char *const tables[] = {"peers", "patients", "records", "versions", "payloads", "log_entries", "log_tiles", "log_checkpoints"};

	must(argc == 8, "usage: seed COUNT ISSUER_KEY NOTARY_LOG_KEY NOTARY NETWORK_KEY LIST FOLDER");
	count = atol(argv[1]);
	must(count > 0, "COUNT must be positive");
	issuer = file_key(argv[2]);
	log_key = file_key(argv[3]);
	notary = argv[4];
	network = file_key(argv[5]);
	jws = file_text(argv[6]);
	done(hdms_notaries_parse(jws, strlen(jws), network, &list), "the list of notaries");
	for (int i = 0; i < 8; i++)
		*files[i] = file_for(argv[7], tables[i]);
	for (int level = 0; level < LEVELS; level++)
		must((nodes[level] = calloc((count >> level) + 1, sizeof(HdmsHash))) != NULL, "out of memory");
	for (long first = 0; first < count; first += BATCH)
	{
		if (first % RECORDS_PER_PATIENT == 0)
			make_patient(&patient, first / RECORDS_PER_PATIENT);
		make_batch(&patient, first, (int) (count - first < BATCH ? count - first : BATCH));
	}
	write_tiles();
	for (int i = 0; i < 8; i++)
		must(fclose(*files[i]) == 0, "writing");
	return 0;
}
