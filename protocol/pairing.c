/*
 * pairing.c
 *		The pairing URI and the proof that both nodes know its secret.
 *
 * Whoever shows the code decides which server and which network a phone talks to, so
 * nothing in it is guessed at: each parameter once, each in its one form, and the voucher
 * must be for this invitation and by this institution.
 */
#include "pairing.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "text.h"

#define URI_HEAD		"hdms:pair?"
#define URI_MAX			8192	/* bytes; a QR code holds fewer than 3000 */
#define SERVER_MAX		512		/* bytes */
#define SECRET_TEXT		22		/* the secret in base64url */

typedef enum Parameter
{
	P_VERSION, P_SERVER, P_NETWORK, P_NODE, P_INVITATION, P_SECRET, P_VOUCHER, P_COUNT
} Parameter;

static const char *const parameter_names[P_COUNT] = {
	"v", "server", "network", "node", "invitation", "secret", "voucher"
};

static bool
is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 3986, 2.3. */
static bool
is_unreserved(char c)
{
	return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* What may stand for itself in a value: RFC 3986's query, without '&' and '=' and the ambiguous '+'. */
static bool
is_literal(char c)
{
	return is_unreserved(c) || (c != '\0' && strchr("!$'()*,;:@/?", c) != NULL);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* host, or [IPv6], and a port where there is one. */
static bool
is_authority(const char *at, size_t len)
{
	const char *end = at + len;
	const char *host = at;
	bool		is_ipv6 = len > 0 && *at == '[';

	if (is_ipv6)
	{
		for (at++; at < end && (hex_value(*at) >= 0 || *at == ':' || *at == '.'); at++)
			;
		if (at == host + 1 || at == end || *at++ != ']')
			return false;
	}
	else
	{
		for (; at < end && (is_alphanumeric(*at) || *at == '-' || *at == '.' || *at == '_'); at++)
			;
		if (at == host)
			return false;
	}
	if (at < end)
	{
		int			port = 0;

		if (*at++ != ':' || at == end || end - at > 5 || *at == '0')
			return false;
		for (; at < end; at++)
		{
			if (*at < '0' || *at > '9')
				return false;
			port = port * 10 + (*at - '0');
		}
		return port <= 65535;
	}
	return true;
}

/* http or https, no user information, query or fragment, no '/' at the end. */
static bool
is_server_url(const char *url)
{
	size_t		len = strlen(url);
	const char *at;
	const char *path;

	if (len > SERVER_MAX || len == 0 || url[len - 1] == '/')
		return false;
	if (strncmp(url, "http://", 7) == 0)
		at = url + 7;
	else if (strncmp(url, "https://", 8) == 0)
		at = url + 8;
	else
		return false;
	path = at + strcspn(at, "/");
	if (!is_authority(at, (size_t) (path - at)))
		return false;
	for (; *path != '\0'; path++)
	{
		if (*path == '%')
		{
			if (hex_value(path[1]) < 0 || hex_value(path[2]) < 0)
				return false;
			path += 2;
		}
		else if (!is_unreserved(*path) && strchr("/!$&'()*+,;=:@", *path) == NULL)
			return false;
	}
	return true;
}

/* That the parts fit each other and their forms. */
static HdmsStatus
check_pairing(const HdmsPairing *pairing)
{
	HdmsVoucher voucher;
	HdmsStatus	status;

	if (!is_server_url(pairing->server) ||
		!hdms_is_digest_text(pairing->network, strnlen(pairing->network, sizeof(pairing->network))) ||
		!hdms_is_digest_text(pairing->node, strnlen(pairing->node, sizeof(pairing->node))) ||
		!hdms_is_uuid(pairing->invitation, strnlen(pairing->invitation, sizeof(pairing->invitation))))
		return HDMS_BAD_FORMAT;
	status = hdms_voucher_peek(pairing->voucher, strlen(pairing->voucher), &voucher);
	if (status != HDMS_OK)
		return status;
	if (strcmp(voucher.iss, pairing->node) != 0 || strcmp(voucher.jti, pairing->invitation) != 0 || voucher.sub[0] != '\0')
		return HDMS_BAD_CLAIM;
	return HDMS_OK;
}

static void
add_parameter(HdmsText *text, Parameter parameter, const char *value)
{
	static const char hex[] = "0123456789ABCDEF";

	hdms_text_add(text, parameter == P_VERSION ? URI_HEAD : "&");
	hdms_text_add(text, parameter_names[parameter]);
	hdms_text_add(text, "=");
	for (; *value != '\0'; value++)
	{
		unsigned char c = (unsigned char) *value;
		char		escaped[3] = {'%', hex[c >> 4], hex[c & 0x0f]};

		if (is_unreserved(*value))
			hdms_text_add_bytes(text, value, 1);
		else
			hdms_text_add_bytes(text, escaped, sizeof(escaped));
	}
}

HdmsStatus
hdms_pairing_uri(const HdmsPairing *pairing, char **uri)
{
	HdmsText	text = {0};
	char		secret[SECRET_TEXT + 1];
	char	   *result = NULL;
	HdmsStatus	status;

	if (pairing->server == NULL || pairing->voucher == NULL)
		return HDMS_BAD_ARGUMENT;
	status = check_pairing(pairing);
	if (status != HDMS_OK)
		return status;
	hdms_base64url_write(pairing->secret, HDMS_PAIRING_SECRET_SIZE, secret);
	add_parameter(&text, P_VERSION, "1");
	add_parameter(&text, P_SERVER, pairing->server);
	add_parameter(&text, P_NETWORK, pairing->network);
	add_parameter(&text, P_NODE, pairing->node);
	add_parameter(&text, P_INVITATION, pairing->invitation);
	add_parameter(&text, P_SECRET, secret);
	add_parameter(&text, P_VOUCHER, pairing->voucher);
	OPENSSL_cleanse(secret, sizeof(secret));
	status = hdms_text_take(&text, &result);
	if (status != HDMS_OK)
		return status;
	if (strlen(result) > URI_MAX)
	{
		hdms_string_wipe(result);
		return HDMS_TOO_LARGE;
	}
	*uri = result;
	return HDMS_OK;
}

/* Decodes one value; it never has a NUL in it. */
static HdmsStatus
decode_value(const char *at, size_t len, char **value)
{
	const char *end = at + len;
	char	   *result = malloc(len + 1);
	char	   *out = result;

	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	for (; at < end; at++)
	{
		int			c = (unsigned char) *at;

		if (*at == '%')
		{
			c = end - at < 3 || hex_value(at[1]) < 0 || hex_value(at[2]) < 0 ? 0 : hex_value(at[1]) << 4 | hex_value(at[2]);
			at += 2;
		}
		else if (!is_literal(*at))
			c = 0;
		if (c == 0)
		{
			OPENSSL_cleanse(result, (size_t) (out - result));
			free(result);
			return HDMS_BAD_ENCODING;
		}
		*out++ = (char) c;
	}
	*out = '\0';
	*value = result;
	return HDMS_OK;
}

/* Splits the query into the known parameters, each exactly once. */
static HdmsStatus
read_parameters(const char *at, const char *end, char *values[P_COUNT])
{
	for (int found = 0; found < P_COUNT; found++)
	{
		const char *stop = memchr(at, '&', (size_t) (end - at));
		const char *equals;
		int			parameter;
		HdmsStatus	status;

		if ((stop != NULL) != (found < P_COUNT - 1))
			return HDMS_BAD_FORMAT;
		if (stop == NULL)
			stop = end;
		equals = memchr(at, '=', (size_t) (stop - at));
		if (equals == NULL)
			return HDMS_BAD_FORMAT;
		for (parameter = 0; parameter < P_COUNT; parameter++)
		{
			if (strlen(parameter_names[parameter]) == (size_t) (equals - at) &&
				memcmp(parameter_names[parameter], at, (size_t) (equals - at)) == 0)
				break;
		}
		if (parameter == P_COUNT || values[parameter] != NULL)
			return HDMS_BAD_FORMAT;
		status = decode_value(equals + 1, (size_t) (stop - equals - 1), &values[parameter]);
		if (status != HDMS_OK)
			return status;
		at = stop + 1;
	}
	return HDMS_OK;
}

HdmsStatus
hdms_pairing_parse(const char *uri, size_t len, HdmsPairing *pairing)
{
	HdmsPairing result = {0};
	char	   *values[P_COUNT] = {NULL};
	HdmsStatus	status = HDMS_BAD_FORMAT;

	if (len > URI_MAX)
		return HDMS_TOO_LARGE;
	if (len < strlen(URI_HEAD) || memcmp(uri, URI_HEAD, strlen(URI_HEAD)) != 0)
		return HDMS_BAD_FORMAT;
	status = read_parameters(uri + strlen(URI_HEAD), uri + len, values);
	if (status != HDMS_OK)
		goto cleanup;
	status = HDMS_BAD_FORMAT;
	if (strcmp(values[P_VERSION], "1") != 0 ||
		strlen(values[P_NETWORK]) != HDMS_DIGEST_TEXT || strlen(values[P_NODE]) != HDMS_DIGEST_TEXT ||
		strlen(values[P_INVITATION]) != sizeof(result.invitation) - 1)
		goto cleanup;
	status = hdms_base64url_read(values[P_SECRET], strlen(values[P_SECRET]), result.secret, sizeof(result.secret));
	if (status != HDMS_OK)
		goto cleanup;
	strcpy(result.network, values[P_NETWORK]);
	strcpy(result.node, values[P_NODE]);
	strcpy(result.invitation, values[P_INVITATION]);
	result.server = values[P_SERVER];
	result.voucher = values[P_VOUCHER];
	values[P_SERVER] = NULL;
	values[P_VOUCHER] = NULL;
	status = check_pairing(&result);

cleanup:
	for (int parameter = 0; parameter < P_COUNT; parameter++)
		hdms_string_wipe(values[parameter]);
	if (status == HDMS_OK)
		*pairing = result;
	else
		hdms_pairing_free(&result);
	return status;
}

void
hdms_pairing_free(HdmsPairing *pairing)
{
	hdms_string_wipe(pairing->server);
	hdms_string_wipe(pairing->voucher);
	OPENSSL_cleanse(pairing, sizeof(*pairing));
}

/* HMAC under the secret over a label and both nodes' first entries. */
static HdmsStatus
pairing_hmac(const char *label, const unsigned char secret[HDMS_PAIRING_SECRET_SIZE], const HdmsHistory *institution,
			 const HdmsHistory *person, unsigned char mac[HDMS_DIGEST_SIZE])
{
	const char *entries[2] = {hdms_history_entry(institution, 0), hdms_history_entry(person, 0)};
	unsigned char input[16 + 2 * HDMS_DIGEST_SIZE];
	size_t		len = strlen(label);

	if (hdms_history_kind(institution) != HDMS_INSTITUTION || hdms_history_kind(person) != HDMS_PERSON)
		return HDMS_BAD_ARGUMENT;
	memcpy(input, label, len);
	for (int i = 0; i < 2; i++)
	{
		HdmsStatus	status = hdms_sha256(entries[i], strlen(entries[i]), input + len);

		if (status != HDMS_OK)
			return status;
		len += HDMS_DIGEST_SIZE;
	}
	return hdms_hmac_sha256(secret, HDMS_PAIRING_SECRET_SIZE, input, len, mac);
}

HdmsStatus
hdms_pairing_mac(const unsigned char secret[HDMS_PAIRING_SECRET_SIZE], const HdmsHistory *institution,
				 const HdmsHistory *person, unsigned char mac[HDMS_DIGEST_SIZE])
{
	return pairing_hmac("hdms-pair", secret, institution, person, mac);
}

HdmsStatus
hdms_pairing_code(const unsigned char secret[HDMS_PAIRING_SECRET_SIZE], const HdmsHistory *institution,
				  const HdmsHistory *person, char code[7])
{
	unsigned char mac[HDMS_DIGEST_SIZE];
	uint64_t	number = 0;
	HdmsStatus	status = pairing_hmac("hdms-code", secret, institution, person, mac);

	if (status != HDMS_OK)
		return status;
	for (int i = 0; i < 8; i++)
		number = number << 8 | mac[i];
	number %= 1000000;
	for (int i = 5; i >= 0; i--)
	{
		code[i] = (char) ('0' + number % 10);
		number /= 10;
	}
	code[6] = '\0';
	OPENSSL_cleanse(mac, sizeof(mac));
	return HDMS_OK;
}
