/*
 * trust.c
 *		Yardsticks of verification, and proofs from a long log.
 *
 *	trust signatures		raw EVP: one ES256 and one Ed25519 verification, and one VRF verification of protocol/, in microseconds
 *	trust inclusion LEAVES	a proof from a log of that many leaves in tiles, made and checked, beside hashing 24 nodes
 *
 * Processor time, in turns, the median of several; one JSON object a line.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "key.h"
#include "merkle.h"
#include "vrf.h"

#define TURNS			7
#define NODES_HASHED	24
#define TILE_HEIGHT		8
#define TILE_LEVELS		8
#define SIGNED_SIZE		1200

static HdmsHash *tiles[TILE_LEVELS];	/* each level's lowest hashes, one tile after the other */
static uint64_t leaves;

static void
must(int ok, const char *what)
{
	if (!ok)
	{
		fprintf(stderr, "trust: %s failed\n", what);
		exit(1);
	}
}

static double
processor_microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a,
				y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Microseconds for one of each step, measured in turns. */
static void
measure(void (*const *steps) (void), int count, int times, double *medians)
{
	double		turns[4][TURNS];

	for (int turn = 0; turn < TURNS; turn++)
		for (int step = 0; step < count; step++)
		{
			double		start = processor_microseconds();

			for (int i = 0; i < times; i++)
				steps[step] ();
			turns[step][turn] = (processor_microseconds() - start) / times;
		}
	for (int step = 0; step < count; step++)
	{
		qsort(turns[step], TURNS, sizeof(double), compare_doubles);
		medians[step] = turns[step][TURNS / 2];
	}
}

static unsigned char text[SIGNED_SIZE];

/* One signature and what verifies it. */
typedef struct Signed
{
	EVP_PKEY   *key;
	const char *digest;
	unsigned char signature[80];
	size_t		len;
} Signed;

static Signed es256 = {.digest = "SHA256"};
static Signed ed25519;
static HdmsKey *vrf_key;
static unsigned char vrf_proof[HDMS_VRF_PROOF_SIZE];

static void
sign(Signed *one, const char *type, const char *curve)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	one->key = curve != NULL ? EVP_PKEY_Q_keygen(NULL, NULL, type, curve) : EVP_PKEY_Q_keygen(NULL, NULL, type);
	one->len = sizeof one->signature;
	must(one->key != NULL && EVP_DigestSignInit_ex(context, NULL, one->digest, NULL, NULL, one->key, NULL) == 1 &&
		 EVP_DigestSign(context, one->signature, &one->len, text, sizeof text) == 1, "signing");
	EVP_MD_CTX_free(context);
}

static void
verify(const Signed *one)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	must(EVP_DigestVerifyInit_ex(context, NULL, one->digest, NULL, NULL, one->key, NULL) == 1 &&
		 EVP_DigestVerify(context, one->signature, one->len, text, sizeof text) == 1, "verifying");
	EVP_MD_CTX_free(context);
}

static void
verify_es256(void)
{
	verify(&es256);
}

static void
verify_ed25519(void)
{
	verify(&ed25519);
}

static void
verify_vrf(void)
{
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];

	must(hdms_vrf_verify(vrf_key, "seed", 4, vrf_proof, output) == HDMS_OK, "verifying a draw");
}

static void
signatures(void)
{
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];
	double		us[3];

	sign(&es256, "EC", "P-256");
	sign(&ed25519, "ED25519", NULL);
	must(hdms_key_generate(HDMS_KEY_P256, 0, &vrf_key) == HDMS_OK &&
		 hdms_vrf_prove(vrf_key, "seed", 4, vrf_proof, output) == HDMS_OK, "drawing");
	measure((void (*const[]) (void)) {verify_es256, verify_ed25519, verify_vrf}, 3, 500, us);
	printf("{\"yard\": \"signatures\", \"es256\": %.2f, \"ed25519\": %.2f, \"vrf\": %.2f}\n", us[0], us[1], us[2]);
}

static HdmsStatus
store(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	(void) arg;
	if (level % TILE_HEIGHT == 0)
		memcpy(tiles[level / TILE_HEIGHT][index], hash, sizeof(HdmsHash));
	return HDMS_OK;
}

/* A node that lies within a tile is computed from the tile's lowest hashes. */
static HdmsStatus
fetch(void *arg, int level, uint64_t index, HdmsHash hash)
{
	HdmsHash	left;
	HdmsHash	right;
	HdmsStatus	status;

	if (level % TILE_HEIGHT == 0)
	{
		memcpy(hash, tiles[level / TILE_HEIGHT][index], sizeof(HdmsHash));
		return HDMS_OK;
	}
	if ((status = fetch(arg, level - 1, 2 * index, left)) != HDMS_OK || (status = fetch(arg, level - 1, 2 * index + 1, right)) != HDMS_OK)
		return status;
	return hdms_merkle_node(left, right, hash);
}

static HdmsHash root;

static void
leaf_hash(uint64_t index, HdmsHash hash)
{
	must(hdms_merkle_leaf(&index, sizeof index, hash) == HDMS_OK, "hashing a leaf");
}

static void
prove(void)
{
	static uint64_t at = 12345;
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	HdmsHash	hash;
	int			count;

	at = (at * 2862933555777941757ULL + 3037000493ULL) % leaves;
	leaf_hash(at, hash);
	must(hdms_merkle_inclusion(at, leaves, fetch, NULL, proof, &count) == HDMS_OK, "making a proof");
	must(hdms_merkle_verify_inclusion(at, leaves, hash, (const HdmsHash *) proof, count, root) == HDMS_OK, "checking a proof");
}

static void
hash_nodes(void)
{
	HdmsHash	hash;

	memcpy(hash, root, sizeof hash);
	for (int i = 0; i < NODES_HASHED; i++)
		must(hdms_merkle_node(hash, root, hash) == HDMS_OK, "hashing a node");
}

static void
inclusion(void)
{
	HdmsMerkleFrontier frontier = {0};
	double		us[2];

	must(leaves > 0, "reading the number of leaves");
	for (int level = 0; level < TILE_LEVELS; level++)
		must((tiles[level] = calloc((leaves >> (TILE_HEIGHT * level)) + 1, sizeof(HdmsHash))) != NULL, "allocating the tiles");
	for (uint64_t i = 0; i < leaves; i++)
	{
		HdmsHash	hash;

		leaf_hash(i, hash);
		must(hdms_merkle_append(&frontier, hash, store, NULL) == HDMS_OK, "appending");
	}
	must(hdms_merkle_root(&frontier, root) == HDMS_OK, "the root");
	measure((void (*const[]) (void)) {prove, hash_nodes}, 2, 500, us);
	printf("{\"figure\": \"an inclusion proof from a log of %llu leaves, made and checked\", \"unit\": \"µs\", \"value\": %.1f, \"yardstick\": \"hashing %d nodes\","
		   " \"yard\": %.1f, \"aim\": \"below 1,000 µs\", \"less_is_better\": true}\n", (unsigned long long) leaves, us[0], NODES_HASHED, us[1]);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "signatures") == 0)
		signatures();
	else if (argc == 3 && strcmp(argv[1], "inclusion") == 0)
	{
		leaves = strtoull(argv[2], NULL, 10);
		inclusion();
	}
	else
	{
		fprintf(stderr, "usage: trust signatures | trust inclusion LEAVES\n");
		return 2;
	}
	return 0;
}
