/*
 * micro.c
 *		Figures of the protocol library beside the same work in raw EVP and in libjose.
 *
 * Each figure and its yardsticks are measured in turns, several times, and the
 * median is printed, so that a machine whose speed drifts does not decide the
 * ratio. Output: one JSON object a line, for report.pl.
 *
 *	micro CORES [flow]		with "flow" only the storing flow's yardstick
 */
#include <jose/jose.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jwe.h"
#include "key.h"
#include "vrf.h"

#define PLAINTEXT_SIZE	1200
#define TURNS			7

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static double
processor_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* What measure() goes by: processor time, so that a busy machine does not count, unless it is compared with a duration. */
static double (*clock_used) (void) = processor_seconds;

static void
must(int ok, const char *what)
{
	if (!ok)
	{
		fprintf(stderr, "micro: %s failed\n", what);
		exit(1);
	}
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a,
				y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(double *values, int count)
{
	qsort(values, count, sizeof *values, compare_doubles);
	return values[count / 2];
}

/* Raw EVP steps of ECDH-ES+A256KW with A256GCM, algorithms fetched once, nothing else. */

static unsigned char plaintext[PLAINTEXT_SIZE];
static EVP_PKEY *peer;
static EVP_CIPHER *gcm,
		   *wrap;
static EVP_MD *sha256;

static void
raw_agree(EVP_PKEY *mine, EVP_PKEY *theirs, unsigned char kek[32])
{
	EVP_PKEY_CTX *agree = EVP_PKEY_CTX_new(mine, NULL);
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char shared[32];
	size_t		len = sizeof shared;
	static const unsigned char info[38] = {0, 0, 0, 14, 'E', 'C', 'D', 'H', '-', 'E', 'S', '+', 'A', '2', '5', '6', 'K', 'W', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};

	must(EVP_PKEY_derive_init(agree) == 1 && EVP_PKEY_derive_set_peer_ex(agree, theirs, 0) == 1 &&
		 EVP_PKEY_derive(agree, shared, &len) == 1, "ECDH");
	must(EVP_DigestInit_ex2(digest, sha256, NULL) == 1 && EVP_DigestUpdate(digest, "\0\0\0\1", 4) == 1 &&
		 EVP_DigestUpdate(digest, shared, 32) == 1 && EVP_DigestUpdate(digest, info, 30) == 1 &&
		 EVP_DigestFinal_ex(digest, kek, NULL) == 1, "KDF");
	EVP_PKEY_CTX_free(agree);
	EVP_MD_CTX_free(digest);
}

static void
raw_seal_open(void)
{
	unsigned char sealed[PLAINTEXT_SIZE],
				opened[PLAINTEXT_SIZE],
				kek[32],
				cek[32],
				iv[12],
				wrapped[40],
				unwrapped[40],
				tag[16];
	int			len;
	EVP_PKEY   *ephemeral = NULL;
	EVP_PKEY_CTX *generate = EVP_PKEY_CTX_new_from_pkey(NULL, peer, NULL);
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	unsigned char *point = NULL;
	size_t		point_len;
	EVP_PKEY   *received = EVP_PKEY_new();

	/* seal */
	must(EVP_PKEY_keygen_init(generate) == 1 && EVP_PKEY_generate(generate, &ephemeral) == 1, "key generation");
	raw_agree(ephemeral, peer, kek);
	RAND_bytes(cek, sizeof cek);
	RAND_bytes(iv, sizeof iv);
	EVP_CIPHER_CTX_set_flags(cipher, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	must(EVP_EncryptInit_ex2(cipher, wrap, kek, NULL, NULL) == 1 && EVP_EncryptUpdate(cipher, wrapped, &len, cek, 32) == 1, "wrap");
	EVP_CIPHER_CTX_reset(cipher);
	must(EVP_EncryptInit_ex2(cipher, gcm, cek, iv, NULL) == 1 && EVP_EncryptUpdate(cipher, sealed, &len, plaintext, sizeof plaintext) == 1 &&
		 EVP_EncryptFinal_ex(cipher, sealed + len, &len) == 1 && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1, "encrypt");
	point_len = EVP_PKEY_get1_encoded_public_key(ephemeral, &point);

	/* open */
	must(EVP_PKEY_copy_parameters(received, peer) == 1 && EVP_PKEY_set1_encoded_public_key(received, point, point_len) == 1, "point");
	raw_agree(peer, received, kek);
	EVP_CIPHER_CTX_reset(cipher);
	EVP_CIPHER_CTX_set_flags(cipher, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	must(EVP_DecryptInit_ex2(cipher, wrap, kek, NULL, NULL) == 1 && EVP_DecryptUpdate(cipher, unwrapped, &len, wrapped, 40) == 1, "unwrap");
	EVP_CIPHER_CTX_reset(cipher);
	must(EVP_DecryptInit_ex2(cipher, gcm, unwrapped, iv, NULL) == 1 && EVP_DecryptUpdate(cipher, opened, &len, sealed, sizeof sealed) == 1 &&
		 EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 && EVP_DecryptFinal_ex(cipher, opened + len, &len) == 1, "decrypt");
	OPENSSL_free(point);
	EVP_PKEY_free(received);
	EVP_PKEY_free(ephemeral);
	EVP_PKEY_CTX_free(generate);
	EVP_CIPHER_CTX_free(cipher);
}

static HdmsKey *own_key;

static void
hdms_seal_open(void)
{
	char	   *envelope;
	HdmsBytes	opened = {0};

	must(hdms_jwe_seal(own_key, HDMS_TYP_ENVELOPE, plaintext, sizeof plaintext, &envelope) == HDMS_OK, "hdms_jwe_seal");
	must(hdms_jwe_open(envelope, strlen(envelope), own_key, HDMS_TYP_ENVELOPE, &opened) == HDMS_OK, "hdms_jwe_open");
	hdms_bytes_free(&opened);
	free(envelope);
}

static json_t *jose_key;

static void
libjose_seal_open(void)
{
	json_t	   *jwe = json_pack("{s:{s:s,s:s}}", "protected", "alg", "ECDH-ES+A256KW", "enc", "A256GCM");
	json_t	   *cek = json_object();
	size_t		len = 0;
	void	   *opened;

	must(jose_jwe_enc_jwk(NULL, jwe, NULL, jose_key, cek) && jose_jwe_enc_cek(NULL, jwe, cek, plaintext, sizeof plaintext), "libjose seal");
	opened = jose_jwe_dec(NULL, jwe, NULL, jose_key, &len);
	must(opened != NULL && len == sizeof plaintext, "libjose open");
	free(opened);
	json_decref(jwe);
	json_decref(cek);
}

/* Signatures, for the yardsticks of the flows: raw EVP, contexts made anew as a flow must. */

static EVP_PKEY *ed25519;
static unsigned char ed_signature[64];
static _Thread_local unsigned char es256_signature[80];
static _Thread_local size_t es256_len;

static void
raw_sign(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	es256_len = sizeof es256_signature;
	must(EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, peer, NULL) == 1 &&
		 EVP_DigestSign(context, es256_signature, &es256_len, plaintext, sizeof plaintext) == 1, "sign");
	EVP_MD_CTX_free(context);
}

static void
raw_verify(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	must(EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, peer, NULL) == 1 &&
		 EVP_DigestVerify(context, es256_signature, es256_len, plaintext, sizeof plaintext) == 1, "verify");
	EVP_MD_CTX_free(context);
}

static void
raw_verify_ed25519(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	must(EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, ed25519, NULL) == 1 &&
		 EVP_DigestVerify(context, ed_signature, sizeof ed_signature, plaintext, 200) == 1, "Ed25519 verify");
	EVP_MD_CTX_free(context);
}

static _Thread_local unsigned char vrf_proof[HDMS_VRF_PROOF_SIZE],
			vrf_output[HDMS_VRF_OUTPUT_SIZE];

static void
vrf_prove(void)
{
	must(hdms_vrf_prove(own_key, "seed", 4, vrf_proof, vrf_output) == HDMS_OK, "VRF prove");
}

static void
vrf_verify(void)
{
	must(hdms_vrf_verify(own_key, "seed", 4, vrf_proof, vrf_output) == HDMS_OK, "VRF verify");
}

static void
repeat(void (*step) (void), int times)
{
	for (int i = 0; i < times; i++)
		step();
}

/* All that a notary must compute for one receipt: open, verify message, request and commit, check the draw, sign and seal the answer. */
static void
notary_operations(void)
{
	raw_seal_open();			/* one open of the request and one seal of the receipt */
	repeat(raw_verify, 3);
	vrf_verify();
	raw_sign();
}

/* All that the storing flow must compute for one record, everybody together. docs/benchmarks.md counts them. */
static void
flow_operations(void)
{
	repeat(raw_seal_open, 5);
	repeat(raw_sign, 9);
	repeat(raw_verify, 11);
	repeat(raw_verify_ed25519, 2);
	vrf_prove();
	repeat(vrf_verify, 2);
}

static double
microseconds(void (*step) (void), int times)
{
	double		start = clock_used();

	repeat(step, times);
	return (clock_used() - start) / times * 1e6;
}

/* Measures steps in turns; fills the medians in microseconds. */
static void
measure(void (*const *steps) (void), const int *times, double *medians, int count)
{
	double		turns[4][TURNS];

	for (int turn = -1; turn < TURNS; turn++)
		for (int i = 0; i < count; i++)
		{
			double		value = microseconds(steps[i], times[i]);

			if (turn >= 0)
				turns[i][turn] = value;
		}
	for (int i = 0; i < count; i++)
		medians[i] = median(turns[i], TURNS);
}

static void *
flow_thread(void *arg)
{
	repeat(flow_operations, *(int *) arg);
	return NULL;
}

/* The flow's operations a second over as many threads as there are cores; also the processor time of one, in milliseconds. */
static double
flow_rate(int cores, double *processor_ms)
{
	pthread_t	threads[64];
	int			each = 400;
	double		start = seconds();
	double		start_processor = processor_seconds();

	for (int i = 0; i < cores; i++)
		pthread_create(&threads[i], NULL, flow_thread, &each);
	for (int i = 0; i < cores; i++)
		pthread_join(threads[i], NULL);
	*processor_ms = (processor_seconds() - start_processor) * 1000 / (cores * each);
	return cores * each / (seconds() - start);
}

static void
print_flow_rate(int cores)
{
	double		processor_ms;
	double		rate = flow_rate(cores, &processor_ms);

	printf("{\"yard\": \"flow_operations\", \"per_second\": %.1f, \"processor_ms\": %.4f}\n", rate, processor_ms);
}

int
main(int argc, char **argv)
{
	int			cores = argc > 1 ? atoi(argv[1]) : 2;
	bool		only_flow = argc > 2 && strcmp(argv[2], "flow") == 0;
	double		us[4];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t		len = sizeof ed_signature;

	must(cores >= 1 && cores <= 64, "reading the number of cores");
	RAND_bytes(plaintext, sizeof plaintext);
	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	wrap = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(gcm && wrap && sha256, "fetching algorithms");
	must(hdms_key_generate(HDMS_KEY_P256, 0, &own_key) == HDMS_OK, "key generation");
	peer = hdms_key_pkey(own_key);
	ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	must(EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, ed25519, NULL) == 1 &&
		 EVP_DigestSign(context, ed_signature, &len, plaintext, 200) == 1, "Ed25519 sign");
	EVP_MD_CTX_free(context);
	jose_key = json_pack("{s:s,s:s}", "kty", "EC", "crv", "P-256");
	must(jose_jwk_gen(NULL, jose_key), "libjose key generation");
	raw_sign();
	vrf_prove();
	if (only_flow)
	{
		print_flow_rate(cores);
		return 0;
	}

	measure((void (*const[]) (void)) {hdms_seal_open, raw_seal_open, libjose_seal_open}, (int[]) {400, 400, 200}, us, 3);
	printf("{\"figure\": \"seal and open one 1.2 kB envelope\", \"unit\": \"µs\", \"value\": %.1f, \"yardstick\": \"raw EVP\", \"yard\": %.1f, \"aim\": \"at most 1.15\", \"less_is_better\": true}\n", us[0], us[1]);
	printf("{\"figure\": \"seal and open one 1.2 kB envelope\", \"unit\": \"µs\", \"value\": %.1f, \"yardstick\": \"libjose\", \"yard\": %.1f, \"less_is_better\": true}\n", us[0], us[2]);

	clock_used = seconds;
	measure((void (*const[]) (void)) {notary_operations}, (int[]) {200}, us, 1);
	clock_used = processor_seconds;
	measure((void (*const[]) (void)) {notary_operations}, (int[]) {200}, us + 1, 1);
	printf("{\"yard\": \"notary_operations\", \"per_second_and_core\": %.1f, \"processor_ms\": %.4f}\n", 1e6 / us[0], us[1] / 1e3);
	print_flow_rate(cores);
	return 0;
}
