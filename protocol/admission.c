/*
 * admission.c
 *		What the network key says about nodes: admissions and the list of notaries.
 *
 * The list is what draws are made from, so it has one order only: sorted by node id,
 * without duplicates, and no two notaries with one log key.
 */
#include "admission.h"

#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "signer.h"

static const char *const admission_claims[] = {"iss", "sub", "iat", "kind", "name", "notary", "entry", NULL};
static const char *const list_claims[] = {"iss", "iat", "max_age", "notaries", NULL};
static const char *const notary_members[] = {"node", "name", "log", NULL};

/* The network key of this version is Ed25519. */
static bool
is_network_key(const HdmsKey *key)
{
	return key != NULL && hdms_key_type(key) == HDMS_KEY_ED25519;
}

/* Verifies a statement by the network key and that it knows all claims. */
static HdmsStatus
verify_statement(const char *jws, size_t len, const HdmsKey *network, const char *typ, const char *const *known, json_t **claims)
{
	json_t	   *result = NULL;
	HdmsStatus	status;

	if (!is_network_key(network))
		return HDMS_BAD_KEY;
	status = hdms_jws_verify_claims(jws, len, network, typ, &result);
	if (status != HDMS_OK)
		return status;
	status = hdms_signer_known_claims(result, known);
	if (status == HDMS_OK)
		status = hdms_claims_equal(result, "iss", hdms_key_thumbprint(network));
	if (status == HDMS_OK)
		*claims = result;
	else
		json_decref(result);
	return status;
}

static HdmsStatus
read_name(const json_t *object, char out[HDMS_NAME_MAX + 1])
{
	const char *name;
	HdmsStatus	status = hdms_claims_string(object, "name", &name);

	if (status != HDMS_OK)
		return status;
	if (!hdms_is_name(name))
		return HDMS_BAD_CLAIM;
	strcpy(out, name);
	return HDMS_OK;
}

HdmsStatus
hdms_admission_sign(const HdmsKey *network, const HdmsHistory *institution, bool notary, int64_t now, char **jws)
{
	const char *entry = hdms_history_entry(institution, 0);
	char		digest[HDMS_DIGEST_TEXT + 1];
	json_t	   *claims;
	HdmsStatus	status;

	if (!is_network_key(network))
		return HDMS_BAD_KEY;
	if (hdms_history_kind(institution) != HDMS_INSTITUTION || now < 0)
		return HDMS_BAD_ARGUMENT;
	status = hdms_sha256_text(entry, strlen(entry), digest);
	if (status != HDMS_OK)
		return status;
	claims = json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:s}", "iss", hdms_key_thumbprint(network),
					   "sub", hdms_history_node_id(institution), "iat", (json_int_t) now, "kind", "institution",
					   "name", hdms_history_name(institution), "notary", notary ? 1 : 0, "entry", digest);
	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_jws_sign_claims(network, HDMS_TYP_ADMISSION, false, claims, jws);
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_admission_verify(const char *jws, size_t len, const HdmsKey *network, const HdmsHistory *institution,
					  HdmsAdmission *admission)
{
	const char *first = hdms_history_entry(institution, 0);
	HdmsAdmission result = {0};
	char		digest[HDMS_DIGEST_TEXT + 1];
	char		entry[HDMS_DIGEST_TEXT + 1];
	const json_t *notary;
	json_t	   *claims = NULL;
	HdmsStatus	status = verify_statement(jws, len, network, HDMS_TYP_ADMISSION, admission_claims, &claims);

	if (status == HDMS_OK)
		status = hdms_signer_read_digest(claims, "sub", result.node);
	if (status == HDMS_OK)
		status = hdms_claims_integer(claims, "iat", &result.iat);
	if (status == HDMS_OK)
		status = hdms_claims_equal(claims, "kind", "institution");
	if (status == HDMS_OK)
		status = read_name(claims, result.name);
	if (status == HDMS_OK)
		status = hdms_signer_read_digest(claims, "entry", entry);
	if (status == HDMS_OK)
		status = hdms_sha256_text(first, strlen(first), digest);
	if (status != HDMS_OK)
		goto cleanup;
	notary = json_object_get(claims, "notary");
	if (!json_is_boolean(notary))
	{
		status = HDMS_BAD_CLAIM;
		goto cleanup;
	}
	result.notary = json_is_true(notary);
	if (strcmp(result.node, hdms_history_node_id(institution)) != 0 || strcmp(entry, digest) != 0 ||
		hdms_history_kind(institution) != HDMS_INSTITUTION || strcmp(result.name, hdms_history_name(institution)) != 0)
	{
		status = HDMS_NOT_ADMITTED;
		goto cleanup;
	}
	*admission = result;

cleanup:
	json_decref(claims);
	return status;
}

static int
compare_notaries(const void *a, const void *b)
{
	const HdmsNotary *const *first = a;
	const HdmsNotary *const *second = b;

	return strcmp((*first)->node, (*second)->node);
}

/* One notary as a member of the list. */
static HdmsStatus
print_notary(const HdmsNotary *notary, json_t **object)
{
	char	   *jwk = NULL;
	json_t	   *log;
	HdmsStatus	status;

	if (!hdms_is_digest_text(notary->node, strlen(notary->node)) || !hdms_is_name(notary->name) || notary->log == NULL)
		return HDMS_BAD_ARGUMENT;
	if (hdms_key_type(notary->log) != HDMS_KEY_ED25519)
		return HDMS_BAD_KEY;
	status = hdms_key_to_jwk(notary->log, false, &jwk);
	if (status != HDMS_OK)
		return status;
	log = json_loads(jwk, JSON_REJECT_DUPLICATES, NULL);
	free(jwk);
	if (log == NULL)
		return HDMS_OUT_OF_MEMORY;
	*object = json_pack("{s:s, s:s, s:o}", "node", notary->node, "name", notary->name, "log", log);
	return *object == NULL ? HDMS_OUT_OF_MEMORY : HDMS_OK;
}

HdmsStatus
hdms_notaries_sign(const HdmsKey *network, const HdmsNotary *notaries, size_t count, int64_t max_age,
				   int64_t now, char **jws)
{
	const HdmsNotary **sorted = NULL;
	json_t	   *claims = NULL;
	json_t	   *array = NULL;
	char	   *result = NULL;
	HdmsNotaryList check = {0};
	HdmsStatus	status;

	if (!is_network_key(network))
		return HDMS_BAD_KEY;
	if (max_age <= 0 || now < 0)
		return HDMS_BAD_ARGUMENT;
	status = HDMS_OUT_OF_MEMORY;
	sorted = calloc(count + 1, sizeof(*sorted));
	array = json_array();
	claims = json_pack("{s:s, s:I, s:I}", "iss", hdms_key_thumbprint(network), "iat", (json_int_t) now,
					   "max_age", (json_int_t) max_age);
	if (sorted == NULL || array == NULL || claims == NULL)
		goto cleanup;
	for (size_t i = 0; i < count; i++)
		sorted[i] = &notaries[i];
	qsort(sorted, count, sizeof(*sorted), compare_notaries);
	for (size_t i = 0; i < count; i++)
	{
		json_t	   *object = NULL;

		status = print_notary(sorted[i], &object);
		if (status == HDMS_OK && json_array_append_new(array, object) != 0)
			status = HDMS_OUT_OF_MEMORY;
		if (status != HDMS_OK)
			goto cleanup;
	}
	status = json_object_set(claims, "notaries", array) == 0 ? HDMS_OK : HDMS_OUT_OF_MEMORY;
	if (status == HDMS_OK)
		status = hdms_jws_sign_claims(network, HDMS_TYP_NOTARIES, false, claims, &result);

	/* A list that nobody accepts would stop the network: duplicates show here. */
	if (status == HDMS_OK)
		status = hdms_notaries_parse(result, strlen(result), network, &check);
	if (status == HDMS_OK)
	{
		*jws = result;
		result = NULL;
	}

cleanup:
	hdms_notaries_free(&check);
	free(result);
	json_decref(claims);
	json_decref(array);
	free(sorted);
	return status;
}

static HdmsStatus
read_notary(const json_t *object, HdmsNotary *notary)
{
	char	   *jwk = NULL;
	HdmsStatus	status = json_is_object(object) ? hdms_signer_known_claims(object, notary_members) : HDMS_BAD_CLAIM;

	if (status == HDMS_OK)
		status = hdms_signer_read_digest(object, "node", notary->node);
	if (status == HDMS_OK)
		status = read_name(object, notary->name);
	if (status != HDMS_OK)
		return status;
	if (!json_is_object(json_object_get(object, "log")))
		return HDMS_BAD_CLAIM;
	status = hdms_claims_print(json_object_get(object, "log"), &jwk);
	if (status == HDMS_OK)
		status = hdms_key_from_jwk(jwk, strlen(jwk), &notary->log);
	if (status == HDMS_OK && (hdms_key_is_private(notary->log) || hdms_key_type(notary->log) != HDMS_KEY_ED25519))
		status = HDMS_BAD_KEY;
	hdms_string_wipe(jwk);
	return status;
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* That no two notaries share a log key: one machine would count as two. */
static HdmsStatus
check_log_keys(const HdmsNotaryList *list)
{
	const char **thumbprints = calloc(list->count + 1, sizeof(*thumbprints));
	HdmsStatus	status = HDMS_OK;

	if (thumbprints == NULL)
		return HDMS_OUT_OF_MEMORY;
	for (size_t i = 0; i < list->count; i++)
		thumbprints[i] = hdms_key_thumbprint(list->notaries[i].log);
	qsort(thumbprints, list->count, sizeof(*thumbprints), compare_texts);
	for (size_t i = 1; i < list->count; i++)
	{
		if (strcmp(thumbprints[i - 1], thumbprints[i]) == 0)
			status = HDMS_BAD_KEY;
	}
	free(thumbprints);
	return status;
}

/* The notaries of verified claims. */
static HdmsStatus
read_notaries(const json_t *claims, HdmsNotaryList *list)
{
	const json_t *array = json_object_get(claims, "notaries");
	size_t		count = json_array_size(array);

	if (!json_is_array(array))
		return HDMS_BAD_CLAIM;
	list->notaries = calloc(count + 1, sizeof(*list->notaries));
	if (list->notaries == NULL)
		return HDMS_OUT_OF_MEMORY;
	for (size_t i = 0; i < count; i++)
	{
		HdmsStatus	status;

		list->count = i + 1;
		status = read_notary(json_array_get(array, i), &list->notaries[i]);
		if (status != HDMS_OK)
			return status;
		if (i > 0 && strcmp(list->notaries[i - 1].node, list->notaries[i].node) >= 0)
			return HDMS_BAD_CLAIM;
	}
	return check_log_keys(list);
}

HdmsStatus
hdms_notaries_parse(const char *jws, size_t len, const HdmsKey *network, HdmsNotaryList *list)
{
	HdmsNotaryList result = {0};
	json_t	   *claims = NULL;
	HdmsStatus	status = verify_statement(jws, len, network, HDMS_TYP_NOTARIES, list_claims, &claims);

	if (status == HDMS_OK)
		status = hdms_claims_integer(claims, "iat", &result.iat);
	if (status == HDMS_OK)
		status = hdms_claims_integer(claims, "max_age", &result.max_age);

	/* iat + max_age is computed by whoever judges a leaf's time: it must not overflow. */
	if (status == HDMS_OK && (result.max_age == 0 || result.max_age > INT64_MAX / 4000 || result.iat > INT64_MAX / 4000))
		status = HDMS_BAD_CLAIM;
	if (status == HDMS_OK)
		status = read_notaries(claims, &result);
	if (status == HDMS_OK)
		status = hdms_sha256_text(jws, len, result.digest);
	if (status == HDMS_OK && (result.jws = strndup(jws, len)) == NULL)
		status = HDMS_OUT_OF_MEMORY;
	if (status == HDMS_OK)
		*list = result;
	else
		hdms_notaries_free(&result);
	json_decref(claims);
	return status;
}

void
hdms_notaries_free(HdmsNotaryList *list)
{
	for (size_t i = 0; i < list->count; i++)
		hdms_key_free(list->notaries[i].log);
	free(list->notaries);
	free(list->jws);
	memset(list, 0, sizeof(*list));
}

const HdmsNotary *
hdms_notaries_find(const HdmsNotaryList *list, const char *node)
{
	size_t		low = 0;
	size_t		high = list->count;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;
		int			order = strcmp(list->notaries[middle].node, node);

		if (order == 0)
			return &list->notaries[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
