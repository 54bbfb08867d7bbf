/*
 * puppet_server.c
 *		What a puppet says to the server: registration, mailbox, directory.
 *
 * Each request is signed with the node's key; none needs a nonce, for all of them may be repeated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "http_signature.h"
#include "puppet.h"

#define MAX_KNOWN	32

static HdmsHistory *known[MAX_KNOWN];
static int	known_count;

static size_t
collect(char *data, size_t size, size_t count, void *arg)
{
	HdmsBytes  *body = arg;
	unsigned char *grown = realloc(body->data, body->len + size * count + 1);

	if (grown == NULL)
		return 0;
	memcpy(grown + body->len, data, size * count);
	body->data = grown;
	body->len += size * count;
	body->data[body->len] = '\0';
	return size * count;
}

static struct curl_slist *
add_header(struct curl_slist *headers, const char *name, const char *value)
{
	char	   *line;

	if (asprintf(&line, "%s: %s", name, value) < 0)
		return headers;
	headers = curl_slist_append(headers, line);
	free(line);
	return headers;
}

static struct curl_slist *
signature_headers(const char *method, const char *path, const char *query, const char *body)
{
	HdmsHttpRequest request = {.method = method, .path = path, .query = query, .body = body,
		.body_len = body == NULL ? 0 : strlen(body)};
	HdmsHttpSignature signature = {0};
	struct curl_slist *headers = NULL;

	request.authority = strstr(puppet.server, "://") + 3;
	if (hdms_http_sign(&request, puppet.sign, puppet.id, time(NULL), NULL, &signature) != HDMS_OK)
		return NULL;
	if (signature.content_digest != NULL)
		headers = add_header(headers, "Content-Digest", signature.content_digest);
	headers = add_header(headers, "Signature-Input", signature.signature_input);
	headers = add_header(headers, "Signature", signature.signature);
	hdms_http_signature_free(&signature);
	return headers;
}

/* The status, 0 when the server cannot be reached. reply is filled. query starts with "?". */
static long
ask_server(const char *method, const char *path, const char *query, const char *type, const char *body, HdmsBytes *reply)
{
	CURL	   *curl = curl_easy_init();
	struct curl_slist *headers = signature_headers(method, path, query, body);
	char	   *url = NULL;
	long		status = 0;

	headers = add_header(headers, "Content-Type", type);
	headers = add_header(headers, "Expect", "");
	if (asprintf(&url, "%s%s%s", puppet.server, path, strcmp(query, "?") == 0 ? "" : query) < 0)
		url = NULL;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 90L);
	if (body != NULL)
	{
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long) strlen(body));
	}
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	free(url);
	return status;
}

static json_t *
http_answer(long status, HdmsBytes *reply)
{
	json_t	   *answer = json_pack("{s:b, s:I}", "ok", status >= 200 && status < 300, "status", (json_int_t) status);
	json_t	   *body = reply->data == NULL ? NULL : json_loads((char *) reply->data, 0, NULL);

	if (body != NULL)
		json_object_set_new(answer, "body", body);
	hdms_bytes_free(reply);
	return answer;
}

static HdmsKeyType
key_type(const json_t *command)
{
	const char *suite = text_of(command, "suite");

	return suite != NULL && strcmp(suite, "RSA") == 0 ? HDMS_KEY_RSA : HDMS_KEY_P256;
}

/* Fresh keys and a history. */
static HdmsStatus
make_node(HdmsNodeKind kind, HdmsKeyType type, const char *name)
{
	HdmsNodeKeys keys = {{NULL}, NULL};
	int			bits = type == HDMS_KEY_RSA ? 2048 : 0;
	char	   *json = NULL;
	HdmsStatus	status;

	puppet.kind = kind;
	if ((status = hdms_key_generate(type, bits, &puppet.sign)) != HDMS_OK
		|| (status = hdms_key_generate(type, bits, &puppet.encrypt)) != HDMS_OK
		|| (status = hdms_key_generate(HDMS_KEY_P256, 0, &puppet.recovery)) != HDMS_OK
		|| (status = hdms_key_generate(HDMS_KEY_P256, 0, &puppet.vrf)) != HDMS_OK
		|| (status = hdms_key_generate(HDMS_KEY_ED25519, 0, &puppet.log)) != HDMS_OK
		|| (status = hdms_key_generate(HDMS_KEY_ED25519, 0, &puppet.cosigner)) != HDMS_OK)
		return status;
	keys.role[HDMS_ROLE_SIGN] = puppet.sign;
	keys.role[HDMS_ROLE_ENCRYPT] = puppet.encrypt;
	if (kind == HDMS_PERSON)
		keys.role[HDMS_ROLE_VRF] = puppet.vrf;
	else
	{
		keys.role[HDMS_ROLE_LOG] = puppet.log;
		keys.role[HDMS_ROLE_COSIGNER] = puppet.cosigner;
	}
	keys.recovery = puppet.recovery;
	status = hdms_history_create(kind, name, &keys, time(NULL), &json);
	if (status == HDMS_OK)
		status = hdms_history_parse(json, strlen(json), &puppet.history);
	free(json);
	if (status == HDMS_OK)
		snprintf(puppet.id, sizeof(puppet.id), "%s", hdms_history_node_id(puppet.history));
	return status;
}

json_t *
register_node(const char *voucher)
{
	HdmsRegistration registration = {0};
	HdmsBytes	reply = {0};
	char	   *body = NULL;
	json_t	   *answer;
	HdmsStatus	status;

	registration.history = (char *) hdms_history_json(puppet.history);
	registration.voucher = (char *) voucher;
	status = hdms_wire_registration_print(&registration, &body);
	if (status != HDMS_OK)
		return answer_status(status, NULL);
	answer = http_answer(ask_server("POST", "/v1/nodes", "?", "application/json", body, &reply), &reply);
	json_object_set_new(answer, "node", json_string(puppet.id));
	free(body);
	return answer;
}

/* {"uri"[, "suite"]}: becomes a person's node, registered with the invitation's voucher. Nothing is sent to the institution. */
json_t *
command_pair(const json_t *command)
{
	const char *uri = text_of(command, "uri");
	HdmsStatus	status = uri == NULL ? HDMS_BAD_ARGUMENT : hdms_pairing_parse(uri, strlen(uri), &puppet.pairing);

	if (status == HDMS_OK)
		status = make_node(HDMS_PERSON, key_type(command), NULL);
	if (status != HDMS_OK)
		return answer_status(status, NULL);
	puppet.server = puppet.pairing.server;
	return register_node(puppet.pairing.voucher);
}

/* {"server", "name"[, "voucher"]}: becomes an institution's node, to be admitted; with a voucher a person's. */
json_t *
command_join(const json_t *command)
{
	const char *server = text_of(command, "server");
	const char *name = text_of(command, "name");
	const char *voucher = text_of(command, "voucher");
	HdmsStatus	status = server == NULL ? HDMS_BAD_ARGUMENT
		: make_node(voucher == NULL ? HDMS_INSTITUTION : HDMS_PERSON, key_type(command), voucher == NULL ? name : NULL);

	if (status != HDMS_OK)
		return answer_status(status, NULL);
	puppet.server = strdup(server);
	return register_node(voucher);
}

/* {"to", "envelope"}: puts it as it is. */
json_t *
command_put(const json_t *command)
{
	const char *envelope = text_of(command, "envelope");
	HdmsBytes	reply = {0};
	char		id[HDMS_DIGEST_TEXT + 1];
	char		path[200];

	if (envelope == NULL || text_of(command, "to") == NULL || hdms_envelope_id(envelope, strlen(envelope), id) != HDMS_OK)
		return answer_error("bad-argument");
	snprintf(path, sizeof(path), "/v1/mailboxes/%s/%s", text_of(command, "to"), id);
	return http_answer(ask_server("PUT", path, "?", "application/jose", envelope, &reply), &reply);
}

/* {["wait"]}: {"messages": [...]}, as open_parcel() tells them, not acknowledged. */
json_t *
command_fetch(const json_t *command)
{
	HdmsBytes	reply = {0};
	HdmsParcel *parcels = NULL;
	json_t	   *messages = json_array();
	size_t		count = 0;
	bool		more;
	char		query[64];
	char		epoch[64];
	long		status;

	snprintf(query, sizeof(query), "?wait=%d&limit=100", (int) number_of(command, "wait", 0));
	status = ask_server("GET", "/v1/mailbox", query, "application/json", NULL, &reply);
	if (status != 200 || hdms_wire_mailbox_parse((char *) reply.data, reply.len, epoch, &parcels, &count, &more) != HDMS_OK)
	{
		json_decref(messages);
		return http_answer(status == 200 ? 599 : status, &reply);
	}
	for (size_t i = 0; i < count; i++)
		json_array_append_new(messages, open_parcel(&parcels[i]));
	hdms_parcels_free(parcels, count);
	hdms_bytes_free(&reply);
	return json_pack("{s:b, s:o}", "ok", 1, "messages", messages);
}

/* {"ids": [...]}: transport ids. */
json_t *
command_ack(const json_t *command)
{
	json_t	   *body = json_pack("{s:O}", "ids", json_object_get(command, "ids"));
	char	   *text = json_dumps(body, JSON_COMPACT);
	HdmsBytes	reply = {0};
	json_t	   *answer = http_answer(ask_server("POST", "/v1/mailbox/ack", "?", "application/json", text, &reply), &reply);

	free(text);
	json_decref(body);
	return answer;
}

const HdmsHistory *
node_history(const char *id)
{
	HdmsBytes	reply = {0};
	HdmsNodeEntry entry = {0};
	HdmsHistory *history = NULL;
	char		path[80];

	for (int i = 0; i < known_count; i++)
	{
		if (strcmp(hdms_history_node_id(known[i]), id) == 0)
			return known[i];
	}
	snprintf(path, sizeof(path), "/v1/nodes/%s", id);
	if (known_count < MAX_KNOWN && ask_server("GET", path, "?", "application/json", NULL, &reply) == 200
		&& hdms_wire_node_parse((char *) reply.data, reply.len, &entry) == HDMS_OK)
	{
		if (hdms_history_parse(entry.history, strlen(entry.history), &history) == HDMS_OK)
			known[known_count++] = history;
		hdms_wire_node_free(&entry);
	}
	hdms_bytes_free(&reply);
	return history;
}

bool
notary_list(const char *digest, HdmsNotaryList *list)
{
	HdmsBytes	network = {0};
	HdmsBytes	reply = {0};
	char	   *jwk = NULL;
	char	   *newest = NULL;
	HdmsKey    *key = NULL;
	char		path[80];
	bool		good = false;

	snprintf(path, sizeof(path), "/v1/notaries/%s", digest == NULL ? "" : digest);
	if (ask_server("GET", "/v1/network", "?", "application/json", NULL, &network) == 200
		&& hdms_wire_network_parse((char *) network.data, network.len, &jwk, &newest) == HDMS_OK
		&& hdms_key_from_jwk(jwk, strlen(jwk), &key) == HDMS_OK)
	{
		if (digest == NULL)
			good = hdms_notaries_parse(newest, strlen(newest), key, list) == HDMS_OK;
		else
			good = ask_server("GET", path, "?", "application/json", NULL, &reply) == 200
				&& hdms_notaries_parse((char *) reply.data, reply.len, key, list) == HDMS_OK;
	}
	hdms_bytes_free(&network);
	hdms_bytes_free(&reply);
	hdms_key_free(key);
	free(jwk);
	free(newest);
	return good;
}

/* {}: what was seen of other nodes' keys is forgotten. */
json_t *
command_forget(const json_t *command)
{
	(void) command;
	while (known_count > 0)
		hdms_history_free(known[--known_count]);
	return answer_status(HDMS_OK, json_pack("{}"));
}
