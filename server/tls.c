/*
 * tls.c
 *		The certificate that the HTTPS server shows, replaceable while it runs.
 *
 * libmicrohttpd asks for the certificate at each handshake. GnuTLS keeps what it is handed for the length of a handshake
 * only by pointer, so certificates that were replaced are kept until the process ends: one for each renewal.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "log.h"
#include "tls.h"

#define CHAIN_MAX	16

typedef struct Certificate
{
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned int chain_len;
	gnutls_privkey_t key;
	struct Certificate *previous;
} Certificate;

struct Tls
{
	Certificate *_Atomic current;
};

static Tls *the_tls;

static int
give_certificate(gnutls_session_t session, const gnutls_datum_t *request_names, int names_count, const gnutls_pk_algorithm_t *algorithms,
				 int algorithms_count, gnutls_pcert_st **chain, unsigned int *chain_len, gnutls_privkey_t *key)
{
	Certificate *certificate = the_tls->current;

	(void) session;
	(void) request_names;
	(void) names_count;
	(void) algorithms;
	(void) algorithms_count;
	*chain = certificate->chain;
	*chain_len = certificate->chain_len;
	*key = certificate->key;
	return 0;
}

void *
tls_callback(void)
{
	union
	{
		gnutls_certificate_retrieve_function2 *function;
		void	   *pointer;
	}			cast = {.function = give_certificate};

	return cast.pointer;
}

static void
certificate_free(Certificate *certificate)
{
	while (certificate != NULL)
	{
		Certificate *previous = certificate->previous;

		for (unsigned int i = 0; i < certificate->chain_len; i++)
			gnutls_pcert_deinit(&certificate->chain[i]);
		gnutls_privkey_deinit(certificate->key);
		free(certificate);
		certificate = previous;
	}
}

static Certificate *
certificate_load(const char *certificate_file, const char *key_file)
{
	Certificate *certificate = calloc(1, sizeof(Certificate));
	gnutls_datum_t text = {NULL, 0};
	int			status;

	if (certificate == NULL)
		return NULL;
	status = gnutls_privkey_init(&certificate->key);
	if (status < 0)
	{
		free(certificate);
		return NULL;
	}
	certificate->chain_len = CHAIN_MAX;
	status = gnutls_load_file(certificate_file, &text);
	if (status >= 0)
		status = gnutls_pcert_list_import_x509_raw(certificate->chain, &certificate->chain_len, &text, GNUTLS_X509_FMT_PEM, 0);
	if (status < 0)
	{
		log_event(LEVEL_ERROR, "certificate_unusable", "file=s", certificate_file, "why=s", gnutls_strerror(status), NULL);
		certificate->chain_len = 0;
	}
	gnutls_free(text.data);
	text.data = NULL;
	if (status >= 0)
	{
		status = gnutls_load_file(key_file, &text);
		if (status >= 0)
			status = gnutls_privkey_import_x509_raw(certificate->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
		if (status < 0)
			log_event(LEVEL_ERROR, "certificate_unusable", "file=s", key_file, "why=s", gnutls_strerror(status), NULL);
		if (text.data != NULL)
			gnutls_memset(text.data, 0, text.size);
		gnutls_free(text.data);
	}
	if (status < 0)
	{
		certificate_free(certificate);
		return NULL;
	}
	return certificate;
}

Tls *
tls_load(const char *certificate_file, const char *key_file)
{
	Tls		   *tls = calloc(1, sizeof(Tls));

	if (tls == NULL)
		return NULL;
	if (!tls_reload(tls, certificate_file, key_file))
	{
		free(tls);
		return NULL;
	}
	the_tls = tls;
	return tls;
}

/* Whether the key is the certificate's. */
static bool
certificate_fits(const Certificate *certificate)
{
	static const unsigned char sample[] = "hdms";
	gnutls_datum_t data = {(unsigned char *) (uintptr_t) sample, sizeof(sample)};
	gnutls_datum_t signature = {NULL, 0};
	gnutls_sign_algorithm_t algorithm;
	bool		fits;

	algorithm = gnutls_pk_to_sign(gnutls_privkey_get_pk_algorithm(certificate->key, NULL), GNUTLS_DIG_SHA256);
	if (algorithm == GNUTLS_SIGN_UNKNOWN)
		return true;			/* a kind of key without this digest: the handshake will tell */
	fits = gnutls_privkey_sign_data2(certificate->key, algorithm, 0, &data, &signature) >= 0
		&& gnutls_pubkey_verify_data2(certificate->chain[0].pubkey, algorithm, 0, &data, &signature) >= 0;
	gnutls_free(signature.data);
	return fits;
}

bool
tls_reload(Tls *tls, const char *certificate_file, const char *key_file)
{
	Certificate *certificate = certificate_load(certificate_file, key_file);

	if (certificate == NULL)
		return false;
	if (!certificate_fits(certificate))
	{
		log_event(LEVEL_ERROR, "certificate_unusable", "file=s", certificate_file, "why=s", "the key is another certificate's", NULL);
		certificate_free(certificate);
		return false;
	}
	certificate->previous = tls->current;
	tls->current = certificate;
	return true;
}

void
tls_free(Tls *tls)
{
	if (tls == NULL)
		return;
	certificate_free(tls->current);
	the_tls = NULL;
	free(tls);
}
